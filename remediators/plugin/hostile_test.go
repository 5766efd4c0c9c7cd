package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

// frame is a plugin in Python that does what a test says in place of a call. hello, and the body of each call by its
// name, are put in.
const frame = `#!/usr/bin/python3 -I
import json, os, sys
KINDS = [{"kind": "documents.document", "says": "", "actions": ["create", "update", "delete"], "reversible": "exact",
          "resource": {"path": {"type": "string", "required": True, "says": ""}}}]
def say(**m):
    print(json.dumps(m), flush=True)
def ask(**request):
    say(id=call["id"], request=request)
    m = json.loads(sys.stdin.readline())
    return m.get("answer")
sys.stdin.readline()
%s
say(protocol=1, name="hostile")
for line in sys.stdin:
    call = json.loads(line)
    if call["call"] == "describe":
        say(id=call["id"], describe={"kinds": KINDS, "page": "", "backed_by": ""})
        continue
%s
`

// hostile writes a plugin: what it does before its greeting, and what it does in any call.
func hostile(t *testing.T, before, inCall string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin")
	indented := "    " + strings.ReplaceAll(strings.TrimSpace(inCall), "\n", "\n    ")
	if err := os.WriteFile(path, fmt.Appendf(nil, frame, before, indented), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// stand is a hostile plugin, bound to a third party that has one document.
type stand struct {
	bound
	third *remediatortest.Third
	entry *ledger.Entry
}

func newStand(t *testing.T, path string, change func(*remediators.SystemConfig)) stand {
	t.Helper()
	th := remediatortest.NewThird(t)
	th.Set("/r/1", `{"v":"new"}`)
	c := remediators.SystemConfig{URL: th.URL, Plugin: pinned(t, path)}
	if change != nil {
		change(&c)
	}
	return stand{bindTo(t, c), th, entry(ledger.ActionUpdate, "/r/1", `{"v":"old"}`, `{"v":"new"}`)}
}

func (s stand) calls() int {
	reqs, _ := s.third.Calls()
	return len(reqs)
}

// said is the class and the words of an error.
func saidBy(err error) string {
	var call *ledger.CallError
	if errors.As(err, &call) {
		return string(call.Class) + ": " + call.Detail
	}
	return fmt.Sprint(err)
}

var seenNew = ledger.Look{Known: true, Now: image(`{"v":"new"}`)}

// A plugin that misbehaves in a look or an undo is ended, and the error says what is known.
func TestBreakdowns(t *testing.T) {
	const late = 2 * time.Second
	for name, c := range map[string]struct{ before, call, look, undo string }{
		"garbage":            {"", `print("hello", flush=True)`, "answered", "not_sent"},
		"another id":         {"", `say(id=call["id"] + 1, undo={})`, "answered", "not_sent"},
		"two members":        {"", `say(id=call["id"], undo={}, look={"now": None})`, "answered", "not_sent"},
		"unknown member":     {"", `say(id=call["id"], undo={"credential": True})`, "answered", "not_sent"},
		"another call's":     {"", `say(id=call["id"], check={"reversible": "exact", "can_look": True})`, "answered", "not_sent"},
		"a huge line":        {"", `print("x" * (2 << 20), flush=True)`, "answered", "not_sent"},
		"endless, no line":   {"", "while True: os.write(1, b'x' * 65536)", "answered", "not_sent"},
		"hangs":              {"", "while True: sys.stdin.read(0)", "answered", "not_sent"},
		"ends":               {"", "sys.exit(0)", "answered", "not_sent"},
		"made-up reference":  {"", `ask(method="PUT", path="/r/1", body={"$ref": "/else"})`, "answered", "not_sent"},
		"made-up secret":     {"", `ask(method="PUT", path="/r/1", body={"a": {"$secret": "1"}})`, "answered", "not_sent"},
		"too many requests":  {"", `for i in range(17): ask(method="GET", path="/r/1")`, "answered", "not_sent"},
		"another protocol":   {`say(protocol=2, name="new"); sys.exit()`, "", "answered", "not_sent"},
		"no greeting":        {"sys.exit(3)", "", "answered", "not_sent"},
		"a hostile greeting": {`say(protocol=1, name="../x\n"); sys.exit()`, "", "answered", "not_sent"},
	} {
		t.Run(name, func(t *testing.T) {
			path := hostile(t, c.before, c.call+"\npass")
			for call, want := range map[string]string{"look": c.look, "undo": c.undo} {
				s := newStand(t, path, func(c *remediators.SystemConfig) { c.Plugin.Timeout = late })
				var err error
				if call == "look" {
					_, err = s.Look(t.Context(), s.entry)
				} else {
					_, err = s.Undo(t.Context(), s.entry, seenNew)
				}
				if c.before != "" {
					want = "answered" // it never began
				}
				if got := saidBy(err); !strings.HasPrefix(got, want+": the plugin broke down") {
					t.Errorf("%s: %s, want %s", call, got, want)
				}
				if n := len(s.third.Effects()); n > 0 {
					t.Errorf("%s: %d effects", call, n)
				}
				if !strings.Contains(s.log.String(), "a plugin broke down") {
					t.Errorf("%s: the log says nothing", call)
				}
				// It is not started again at once.
				if _, err := s.Look(t.Context(), s.entry); !strings.HasPrefix(saidBy(err), "away: ") {
					t.Errorf("right after it: %s", saidBy(err))
				}
			}
		})
	}
}

// A plugin that dies between the request and its answer leaves an undo of which nobody knows what it did.
func TestDiesAfterTheRequest(t *testing.T) {
	for name, c := range map[string]struct {
		call    string
		effects int
	}{
		"ends":   {`ask(method="PUT", path="/r/1", body={"$ref": "/before"}); sys.exit(1)`, 1},
		"hangs":  {`ask(method="PUT", path="/r/1", body={"$ref": "/before"})` + "\nwhile True: sys.stdin.read(0)", 1},
		"twice":  {`ask(method="PUT", path="/r/1", body={"$ref": "/before"}); ask(method="PUT", path="/r/2", body={})`, 1},
		"babble": {`ask(method="PUT", path="/r/1", body={"$ref": "/before"}); print("done", flush=True)`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, hostile(t, "", c.call), func(c *remediators.SystemConfig) { c.Plugin.Timeout = 2 * time.Second })
			_, err := s.Undo(t.Context(), s.entry, seenNew)
			if got := saidBy(err); !strings.HasPrefix(got, "ambiguous: sent, and then the plugin broke down") {
				t.Error(got)
			}
			if n := len(s.third.Effects()); n != c.effects {
				t.Errorf("%d effects", n)
			}
		})
	}
}

// An undo that may be repeated may take several requests.
func TestRepeatableRequests(t *testing.T) {
	s := newStand(t, hostile(t, "", `
ask(method="PUT", path="/r/1", body={"$ref": "/before"}, repeatable=True)
ask(method="PUT", path="/r/2", body={"n": 1}, repeatable=True)
say(id=call["id"], undo={})`), nil)
	ans, err := s.Undo(t.Context(), s.entry, seenNew)
	if err != nil || ans.Class != ledger.AnswerAccepted || len(s.third.Effects()) != 2 {
		t.Errorf("%+v, %v, %v", ans, err, s.third.Effects())
	}
}

// Whatever a plugin asks for stays within what the system allows, and no request that it must not make is sent.
func TestRequestsStayWithin(t *testing.T) {
	for name, c := range map[string]struct{ request, want string }{
		"another host":         {`path="//evil.example/x"`, "a path begins with one '/'"},
		"a whole address":      {`path="http://evil.example/x"`, "a path begins with one '/'"},
		"up and out":           {`path="/r/../../x"`, "segment"},
		"outside allow":        {`path="/admin"`, "allow list"},
		"the credential":       {`path="/r/1", headers={"Authorization": "Bearer x"}`, "carries a credential"},
		"an api key":           {`path="/r/1", headers={"X-Api-Key": "x"}`, "carries a credential"},
		"cookies":              {`path="/r/1", headers={"Cookie": "a=b"}`, "belongs to the connection"},
		"another Host":         {`path="/r/1", headers={"Host": "evil.example"}`, "belongs to the connection"},
		"another method":       {`path="/r/1", headers={"X-HTTP-Method-Override": "DELETE"}`, "another method"},
		"another method again": {`path="/r/1", query="_method=DELETE"`, "overrides the method"},
		"a split header":       {`path="/r/1", headers={"X-A": "b\r\nAuthorization: x"}`, "no header value"},
		"a mask":               {`path="/r/1", body={"secret": "********"}`, "secret_missing"},
	} {
		for _, call := range []string{"look", "undo"} {
			if name == "a mask" && call == "look" {
				continue // nothing is written
			}
			t.Run(name+" in "+call, func(t *testing.T) {
				method := map[string]string{"look": "GET", "undo": "PUT"}[call]
				s := newStand(t, hostile(t, "", `ask(method="`+method+`", `+c.request+`)`), func(c *remediators.SystemConfig) {
					c.Allow = []string{"GET /r/*", "PUT /r/*"}
				})
				var err error
				if call == "look" {
					_, err = s.Look(t.Context(), s.entry)
				} else {
					_, err = s.Undo(t.Context(), s.entry, seenNew)
				}
				if got := saidBy(err); !strings.HasPrefix(got, "denied: ") || !strings.Contains(got, c.want) {
					t.Error(got)
				}
				if s.calls() > 0 {
					t.Error("a request was sent")
				}
				// The plugin itself is as good as before: it was told that the call is over.
				if _, err := s.Look(t.Context(), s.entry); call == "look" && !strings.HasPrefix(saidBy(err), "denied: ") {
					t.Errorf("the call after it: %s", saidBy(err))
				}
			})
		}
	}
}

// A look changes nothing, whatever the plugin says of a method, unless the operator says so.
func TestALookSendsReads(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE", "get"} {
		s := newStand(t, hostile(t, "", `ask(method="`+method+`", path="/r/1")`), nil)
		if _, err := s.Look(t.Context(), s.entry); !strings.HasPrefix(saidBy(err), "denied: ") || s.calls() > 0 {
			t.Errorf("%s: %s, %d calls", method, saidBy(err), s.calls())
		}
	}
	s := newStand(t, hostile(t, "", `
a = ask(method="POST", path="/search", body={"q": 1})
say(id=call["id"], look={"now": {"$ref": "/answers/1"}})`), func(c *remediators.SystemConfig) { c.Plugin.Reads = []string{"POST /search"} })
	if seen, err := s.Look(t.Context(), s.entry); err != nil || string(seen.Now.JSON) != `{"q":1}` {
		t.Errorf("a search by POST: %+v, %v", seen, err)
	}
}

// What a plugin says of the third party needs an answer behind it.
func TestClaimsNeedAnswers(t *testing.T) {
	for name, c := range map[string]struct{ call, want string }{
		"asked nobody":        {`say(id=call["id"], look={"now": {"v": "old"}})`, "answered: the plugin says what is there, and has not asked"},
		"proof by 404 alone":  {`ask(method="GET", path="/none"); say(id=call["id"], look={"now": None, "proven": True})`, "unproven"},
		"there, after a 404":  {`ask(method="GET", path="/none"); say(id=call["id"], look={"now": {"v": "old"}})`, "answered: the plugin says that it is there, and no answer did"},
		"nothing to be read":  {`ask(method="GET", path="/r/1"); say(id=call["id"], look={})`, "answered: the plugin says nothing that can be read"},
		"absent, with a look": {`ask(method="GET", path="/r/1"); say(id=call["id"], look={"now": None, "proven": True})`, "proven"},
	} {
		s := newStand(t, hostile(t, "", c.call), nil)
		seen, err := s.Look(t.Context(), s.entry)
		got := saidBy(err)
		if err == nil {
			got = map[bool]string{true: "proven", false: "unproven"}[seen.Proven]
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Another file than the pinned one is never run, whenever it was exchanged.
func TestPinned(t *testing.T) {
	mark := `say(id=call["id"], error={"message": "it runs"})`
	path := hostile(t, "", mark+"\nsys.exit()")
	s := newStand(t, path, nil)
	if _, err := s.Look(t.Context(), s.entry); saidBy(err) != "answered: the plugin says: it runs" {
		t.Fatal(saidBy(err))
	}
	other := newStand(t, path, func(c *remediators.SystemConfig) { c.Plugin.SHA256 = strings.Repeat("0", 64) })
	if _, err := other.Look(t.Context(), other.entry); !strings.Contains(saidBy(err), "denied: the plugin is not run: the file is not the one") {
		t.Errorf("another hash: %s", saidBy(err))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, "# changed\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := newStand(t, path, func(c *remediators.SystemConfig) { c.Plugin.SHA256 = s.plugin.config.SHA256 })
	if _, err := fresh.Look(t.Context(), fresh.entry); !strings.Contains(saidBy(err), "the file is not the one") {
		t.Errorf("written over: %s", saidBy(err))
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Look(t.Context(), fresh.entry); !strings.HasPrefix(saidBy(err), "denied: the plugin is not run") {
		t.Errorf("gone: %s", saidBy(err))
	}
}

// What is run is a copy that was checked: changing the file while it is read, or after, changes nothing.
func TestSwappedBetweenCheckAndRun(t *testing.T) {
	path := hostile(t, "", "")
	sum, err := Hash(path)
	if err != nil {
		t.Fatal(err)
	}
	image, err := sealedCopy(path, sum)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho swapped\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", image.Fd()))
	if err != nil || string(got) != string(want) {
		t.Errorf("the copy holds %d bytes, %v", len(got), err)
	}
	if _, err := image.WriteAt([]byte("x"), 0); err == nil {
		t.Error("the copy can be written to")
	}
	if err := image.Truncate(0); err == nil {
		t.Error("the copy can be cut off")
	}
}

// A call that is given up ends, and a process that is in the middle of it is not used again.
func TestGivenUp(t *testing.T) {
	s := newStand(t, hostile(t, "", "while True: sys.stdin.read(0)"), func(c *remediators.SystemConfig) { c.Plugin.Timeout = time.Minute })
	if _, _, err := s.plugin.pool.description(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.Undo(ctx, s.entry, seenNew); !strings.HasPrefix(saidBy(err), "not_sent: given up") {
		t.Error(saidBy(err))
	}
	if n := len(s.plugin.pool.idle); n != 0 {
		t.Errorf("%d processes are kept", n)
	}
	if _, _, err := s.plugin.pool.description(t.Context()); err != nil {
		t.Errorf("it was no fault of the plugin: %v", err)
	}
}
