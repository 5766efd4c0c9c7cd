package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// The statuses are the contract's; each stands in the table once.
func TestExitTable(t *testing.T) {
	seen := map[int]bool{}
	for _, row := range exitTable {
		if seen[row.status] || row.means == "" {
			t.Errorf("%d stands twice, or means nothing", row.status)
		}
		seen[row.status] = true
	}
	for _, want := range []int{0, 1, 2, 3, 4, 5, 6, 8, 125, 130} {
		if !seen[want] {
			t.Errorf("%d is not in the table", want)
		}
	}
}

func TestStatusOfRollback(t *testing.T) {
	stuck := func(reasons ...string) (out []wire.Entry) {
		for _, r := range reasons {
			out = append(out, wire.Entry{Reason: r})
		}
		return out
	}
	for name, c := range map[string]struct {
		rb    wire.Rollback
		stuck []wire.Entry
		want  int
	}{
		"complete":          {wire.Rollback{State: "finished", Complete: true}, nil, 0},
		"drifted":           {wire.Rollback{State: "finished", Counts: wire.Counts{Stuck: 1}}, stuck("drifted"), 3},
		"each that waits":   {wire.Rollback{State: "finished", Counts: wire.Counts{Stuck: 4}}, stuck("manual", "in_doubt", "irreversible", "late"), 3},
		"failed beats":      {wire.Rollback{State: "finished", Counts: wire.Counts{Stuck: 2}}, stuck("drifted", "failed"), 5},
		"blocked beats":     {wire.Rollback{State: "finished", Counts: wire.Counts{Stuck: 2}}, stuck("blocked", "manual"), 5},
		"unheard of":        {wire.Rollback{State: "finished", Counts: wire.Counts{Stuck: 1}}, stuck("new"), 5},
		"held by drift":     {wire.Rollback{State: "finished", Counts: wire.Counts{Stuck: 1, Remaining: 4}}, stuck("drifted"), 3},
		"open, unexplained": {wire.Rollback{State: "finished", Counts: wire.Counts{Remaining: 1}}, nil, 5},
		"cancelled":         {wire.Rollback{State: "cancelled", Counts: wire.Counts{Stuck: 1, Remaining: 1}}, stuck("drifted"), 5},
		"cancelled, closed": {wire.Rollback{State: "cancelled", Counts: wire.Counts{Undone: 3}}, nil, 0},
	} {
		if got := statusOfRollback(&c.rb, c.stuck); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestProgressCounts: a new run counts what it has to do from 1, one that is joined what it has done too, and what came
// beyond that is said.
func TestProgressCounts(t *testing.T) {
	began := time.Now()
	counts := wire.Counts{Undone: 1, Retained: 3, Void: 1, Remaining: 2}
	for name, c := range map[string]struct {
		run  wire.Rollback
		want []string
	}{
		"new":    {wire.Rollback{Counts: counts}, []string{"[1/2] undone s k  entry 1", "[2/2] undone s k  entry 2", "[3/3] undone s k  entry 3, which came meanwhile"}},
		"joined": {wire.Rollback{Counts: counts, StartedAt: &began}, []string{"[1/4] undone s k  entry 1", "[2/4] undone s k  entry 2", "[3/4] undone s k  entry 3"}},
	} {
		var out bytes.Buffer
		p := newProgress(&app{stderr: &out, getenv: func(string) string { return "" }}, &c.run)
		for i := 1; i <= 3; i++ {
			p.entry(&wire.Record{EntryID: strconv.Itoa(i), Entry: &wire.RecordEntry{Seq: i, System: "s", Kind: "k", State: "undone", Outcome: "undone"}})
		}
		if got := strings.Split(strings.TrimSpace(out.String()), "\n"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestStatusOf(t *testing.T) {
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	answer := func(status int) error { return &client.Error{Status: status} }
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want int
	}{
		{t.Context(), nil, 0},
		{t.Context(), errors.New("x"), 1},
		{t.Context(), answer(401), 4},
		{t.Context(), answer(403), 4},
		{t.Context(), answer(404), 1},
		{t.Context(), &exit{status: 8}, 8},
		{stopped, context.Canceled, 130},
		{t.Context(), context.Canceled, 1},
	} {
		if got := statusOf(c.ctx, c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 漢":        "plain é 漢",
		"a\x1b[31mb":       "a\uFFFD[31mb",
		"a\nb\tc\r":        "a b c ",
		"a\u009bb\x7f\x00": "a\uFFFDb\uFFFD\uFFFD",
		"a\u202eb\u2066":   "a\uFFFDb\uFFFD",
		"a\xffb":           "a\uFFFDb",
		"\u200b\ufeff":     "\uFFFD\uFFFD",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b]0;x\a")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsFunc(clean(s), func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			t.Errorf("%q becomes %q", s, clean(s))
		}
	})
}

// A real shell takes the words of a plan apart again as they were.
func TestShellPlan(t *testing.T) {
	nasty := `it's "$HOME" $(touch pwned) ` + "`touch pwned`" + ` \ ! * ; & | > x #`
	step := wire.PlanStep{
		Seq: 1, System: "s\ntouch pwned", Kind: "k", Verdict: "undo", Detail: "d\n touch pwned\r\ntouch pwned", Resource: []byte(`{"a":"b\ntouch pwned"}`),
		Request: &wire.PlanRequest{
			Method: "PUT", URL: "http://h/[1]?q={2}&r=" + nasty, Headers: map[string]string{"X-A": nasty, "X-Empty": ""},
			Body: []byte(`{"v":"` + `'@$(touch pwned)` + `"}`), Credential: &wire.CredentialSlot{Variable: "S_TOKEN", Header: "Authorization", Prefix: `Bear'er $(touch pwned) `},
			Repeatable: true,
		},
	}
	dir := t.TempDir()
	script := shellOf(t, step)
	// A curl that writes its words down, one a line.
	if err := os.WriteFile(filepath.Join(dir, "curl"), []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" > words\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(env ...string) error {
		c := exec.Command("sh")
		c.Stdin, c.Dir, c.Env = strings.NewReader(script), dir, append([]string{"PATH=" + dir + ":/bin:/usr/bin"}, env...)
		return c.Run()
	}
	if run() == nil {
		t.Error("it runs without the credential")
	}
	if err := run("S_TOKEN=top secret"); err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "words"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"-fsS", "--globoff", "-X", "PUT", "-H", "X-A: " + nasty, "-H", "X-Empty;", "-H", `Authorization: Bear'er $(touch pwned) top secret`,
		"--data-raw", `{"v":"'@$(touch pwned)"}`, "--url", "http://h/[1]?q={2}&r=" + nasty, "",
	}
	if d := cmp.Diff(want, strings.Split(string(raw), "\n")); d != "" {
		t.Errorf("words (-want +got):\n%s", d)
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Error("a text from elsewhere was run")
	}
}

func shellOf(t *testing.T, steps ...wire.PlanStep) string {
	t.Helper()
	var b strings.Builder
	p, err := newShellPlan(&b, "0193c1f2-0000-7000-8000-000000000001")
	if err != nil {
		t.Fatal(err)
	}
	for i := range steps {
		if err := p.step(&steps[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.end(nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What cannot be written as a safe command is not written as one, and stops the script.
func TestShellPlanRefuses(t *testing.T) {
	good := func() *wire.PlanRequest { return &wire.PlanRequest{Method: "PUT", URL: "http://h/"} }
	for name, spoil := range map[string]func(*wire.PlanRequest){
		"control in the URL": func(r *wire.PlanRequest) { r.URL = "http://h/\n/x" },
		"method":             func(r *wire.PlanRequest) { r.Method = "P;T" },
		"method as a flag":   func(r *wire.PlanRequest) { r.Method = "-o" },
		"header's name":      func(r *wire.PlanRequest) { r.Headers = map[string]string{"@/etc/passwd": "x"} },
		"header's value":     func(r *wire.PlanRequest) { r.Headers = map[string]string{"A": "x\r\nB: y"} },
		"variable":           func(r *wire.PlanRequest) { r.Credential = &wire.CredentialSlot{Variable: "A}$(x)", Header: "A"} },
	} {
		r := good()
		spoil(r)
		script := shellOf(t, wire.PlanStep{Seq: 4, Verdict: "undo", Request: r})
		if strings.Contains(script, "\ncurl") || !strings.Contains(script, "exit 1") {
			t.Errorf("%s:\n%s", name, script)
		}
	}
	// Only an undo is a command; everything else is a comment.
	for _, verdict := range []string{"drifted", "manual", "blocked", "in_doubt", "retained"} {
		if script := shellOf(t, wire.PlanStep{Verdict: verdict, Request: good()}); strings.Contains(script, "\ncurl") {
			t.Errorf("%s is sent:\n%s", verdict, script)
		}
	}
}

// A body that is no JSON is printed as it is sent, and one that holds the name of a secret is not printed.
func TestShellPlanBodies(t *testing.T) {
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	script := shellOf(t, wire.PlanStep{Verdict: "undo", Request: &wire.PlanRequest{Method: "POST", URL: "http://h/", Headers: form, Body: []byte(`"a=b&c[]=d"`)}})
	if !strings.Contains(script, "--data-raw 'a=b&c[]=d'") {
		t.Errorf("a form is\n%s", script)
	}
	for _, body := range []string{`{"secret":"$secret:reference:hook"}`, `"secret=%24secret%3Areference%3Ahook"`} {
		script := shellOf(t, wire.PlanStep{Verdict: "undo", Request: &wire.PlanRequest{Method: "POST", URL: "http://h/", Headers: form, Body: []byte(body)}})
		if strings.Contains(script, "\ncurl") || !strings.Contains(script, "exit 1") {
			t.Errorf("%s:\n%s", body, script)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("it's")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsRune(s, 0) {
			return
		}
		out, err := exec.Command("sh", "-c", "printf %s "+quote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q became %q (%v)", s, out, err)
		}
	})
}

func TestSetAt(t *testing.T) {
	for _, c := range []struct{ object, path, value, want string }{
		{`{"z":1.0,"a":"\u00e9"}`, "id", `"x"`, `{"z":1.0,"a":"\u00e9","id":"x"}`},
		{`{"z":1.0,"a":2}`, "z", `9`, `{"z":9,"a":2}`},
		{`{"z":{"y":1e2}}`, "z.x", `9`, `{"z":{"y":1e2,"x":9}}`},
		{`null`, "a.b", `9`, `{"a":{"b":9}}`},
		{``, "a", `9`, `{"a":9}`},
	} {
		got, err := setAt([]byte(c.object), strings.Split(c.path, "."), []byte(c.value))
		if err != nil || string(got) != c.want {
			t.Errorf("%s at %s: %s, %v; want %s", c.object, c.path, got, err, c.want)
		}
	}
	if _, err := setAt([]byte(`[1]`), []string{"a"}, []byte(`1`)); err == nil {
		t.Error("a list has a member")
	}
}

// An expression sees the command's output and nothing of the environment; too long an output is no JSON.
func TestTake(t *testing.T) {
	t.Setenv("SECRET", "s3cret")
	takes, err := readTakes([]string{"resource.id=env.SECRET", "resource.n=$ENV.SECRET", "resource.ok=.a"}, true)
	if err != nil {
		t.Fatal(err)
	}
	d := &wire.EntryDraft{Resource: []byte(`{}`)}
	out := new(tee)
	out.kept.WriteString(`{"a":1}`)
	r, err := takeAll(t.Context(), takes, out, d)
	if err == nil || string(r.Resource) != `{"ok":1}` {
		t.Errorf("%s, %v", r.Resource, err)
	}
	var passed strings.Builder
	long := &tee{out: &passed}
	for range 3 {
		if _, err := long.Write([]byte(strings.Repeat("x", maxTaken/2))); err != nil {
			t.Fatal(err)
		}
	}
	if passed.Len() != maxTaken/2*3 || long.kept.Len() != maxTaken || !long.more {
		t.Errorf("passed %d, kept %d", passed.Len(), long.kept.Len())
	}
	if _, err := takeAll(t.Context(), takes, long, d); err == nil {
		t.Error("taken from a cut output")
	}
}

// A renewer counts renewals.
type renewer struct {
	recorder
	n int
}

func (r *renewer) renew(context.Context, string) error {
	r.n++
	return nil
}

// Half of perform_within is what lies between two renewals, and 30 s where the script does not say.
func TestRenewsAtHalfTime(t *testing.T) {
	for said, want := range map[string]time.Duration{"10m": 5 * time.Minute, "": 30 * time.Second} {
		var waited []time.Duration
		a := newApp(nil, nil, nil, nil)
		a.pause = func(_ context.Context, d time.Duration) error {
			if waited = append(waited, d); len(waited) == 3 {
				return context.Canceled
			}
			return nil
		}
		r := new(renewer)
		w := wrapper{app: a, rec: r, draft: wire.EntryDraft{PerformWithin: said}}
		w.renew(t.Context())
		if r.n != 2 || waited[0] != want || waited[1] != want {
			t.Errorf("%q: %d renewals after %v", said, r.n, waited)
		}
	}
}

func TestEnvironment(t *testing.T) {
	with := func(pairs ...string) *app {
		return newApp(func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}, nil, nil, nil)
	}
	for url, ok := range map[string]bool{"": true, "https://h/x/": true, "file:d": true, "file:": false, "h:80": false, "ftp://h": false} {
		if _, _, err := with("ROLLBACK_URL", url).address(); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, bad := range []string{"a b", "a\nb", "ü"} {
		if _, err := with("ROLLBACK_TOKEN", bad).token(); err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("token %q: %v", bad, err)
		}
	}
	if dir, err := with("XDG_STATE_HOME", "relative", "HOME", "/h").spoolFolder(); err != nil || dir != "/h/.local/state/rollback/spool" {
		t.Errorf("%s, %v", dir, err)
	}
	if _, err := with().spoolFolder(); err == nil {
		t.Error("a spool without a home")
	}
	if got := strconv.Itoa(len(withoutToken([]string{"ROLLBACK_TOKEN=a", "ROLLBACK_TOKEN_FILE=b", "ROLLBACK_URL=c"}))); got != "1" {
		t.Errorf("%s variables are left", got)
	}
}

// A lock on a file that was sent and removed, or replaced, meanwhile is a lock on nothing.
func TestLockOfAGoneFile(t *testing.T) {
	for name, meanwhile := range map[string]func(string) error{
		"removed":  os.Remove,
		"replaced": func(name string) error { return writeFile(name, []byte("other")) },
	} {
		file := filepath.Join(t.TempDir(), "w.jsonl")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		if held, err := lock(f, file); err != nil || !held {
			t.Fatalf("%s: %t, %v", name, held, err)
		}
		if err := meanwhile(file); err != nil {
			t.Fatal(err)
		}
		if held, err := lock(f, file); err != nil || held {
			t.Errorf("%s: held %t, %v", name, held, err)
		}
		f.Close()
	}
}
