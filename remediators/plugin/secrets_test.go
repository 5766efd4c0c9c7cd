package plugin

import (
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

// told is what the plugin wrote to stderr, after it was ended.
func (s stand) told(t *testing.T) string {
	t.Helper()
	if len(s.plugin.pool.idle) != 1 {
		t.Fatalf("%d processes are kept", len(s.plugin.pool.idle))
	}
	p := s.plugin.pool.idle[0]
	p.kill()
	return p.stderr.String()
}

// A third party that quotes the credential quotes it to the server, not to the plugin.
func TestTheCredentialStaysOut(t *testing.T) {
	s := newStand(t, hostile(t, "", `
a = ask(method="PUT", path="/r/1", body={"$ref": "/before"})
sys.stderr.write(json.dumps(a)); sys.stderr.flush()
say(id=call["id"], undo={"detail": a.get("body", {}).get("auth", "none") + json.dumps(a)})`), nil)
	s.third.Misbehave("/r/1", remediatortest.Refuse)
	ans, err := s.Undo(t.Context(), s.entry, seenNew)
	if err != nil || ans.Class != ledger.AnswerRefused || ans.Detail == "" {
		t.Fatalf("%+v, %v", ans, err)
	}
	if said := ans.Detail + s.log.String(); strings.Contains(said, remediatortest.Secret) {
		t.Errorf("it says %s", said)
	}
	if told := s.told(t); !strings.Contains(told, "[credential]") || strings.Contains(told, remediatortest.Secret) {
		t.Errorf("the plugin was told %s", told)
	}
}

func TestConcealedForms(t *testing.T) {
	th := remediatortest.NewThird(t)
	s := bindTo(t, remediators.SystemConfig{URL: th.URL, Plugin: pinned(t, hostile(t, "", "pass")), Credential: "env:TOKEN"})
	for _, form := range []string{remediatortest.Secret, "Y2FuYXJ5LTdmM2EtY3JlZGVudGlhbA=="} {
		if got := string(s.plugin.client.Conceal([]byte(`{"x":"` + form + `"}`))); got != `{"x":"[credential]"}` {
			t.Errorf("%s: %s", form, got)
		}
	}
}

// Values of secret fields are placeholders for the plugin, and themselves for the third party and the ledger.
func TestSecretFields(t *testing.T) {
	const before, after = `{"token":"canary-alpha","n":1,"list":[{"k":"canary-gamma"}]}`, `{"token":"canary-beta","n":2,"list":[{"k":"x"}]}`
	path := hostile(t, "", `
sys.stderr.write(line); sys.stderr.flush()
if call["call"] == "look":
    a = ask(method="GET", path="/r/1")
    sys.stderr.write(json.dumps(a)); sys.stderr.flush()
    say(id=call["id"], look={"now": a["body"], "validator": ""})
elif call["call"] == "preview":
    say(id=call["id"], preview={"method": "PUT", "path": "/r/1", "body": call["entry"]["before"]})
else:
    ask(method="PUT", path="/r/1", body=call["entry"]["before"])
    say(id=call["id"], undo={"detail": "wrote " + json.dumps(call["entry"]["before"])})`)
	s := newStand(t, path, nil)
	s.entry = entry(ledger.ActionUpdate, "/r/1", before, after)
	s.entry.Secret = []string{"/token", "/list/-/k"}
	s.third.Set("/r/1", `{"token":"canary-drift","n":2,"list":[{"k":"canary-gamma"}],"note":"see canary-alpha"}`)
	seen, err := s.Look(t.Context(), s.entry)
	if err != nil || string(seen.Now.JSON) != s.third.Get("/r/1") {
		t.Fatalf("it saw %s, %v", seen.Now.JSON, err)
	}
	req, err := s.Preview(s.entry, seen)
	if err != nil || string(req.Body) != before {
		t.Fatalf("the preview has %s, %v", req.Body, err)
	}
	ans, err := s.Undo(t.Context(), s.entry, seen)
	if err != nil || ans.Class != ledger.AnswerAccepted || s.third.Get("/r/1") != before {
		t.Fatalf("%+v, %v: it has %s", ans, err, s.third.Get("/r/1"))
	}
	told := s.told(t)
	if strings.Contains(told, "canary") || !strings.Contains(told, "$secret") {
		t.Errorf("the plugin was told %s", told)
	}
	if strings.Contains(ans.Detail, "canary") {
		t.Errorf("it says %s", ans.Detail)
	}
}

// What a plugin writes to stderr is logged when it breaks down, bounded, and without what third parties sent.
func TestStderrIsLoggedScrubbed(t *testing.T) {
	s := newStand(t, hostile(t, "", `
a = ask(method="GET", path="/r/1")
sys.stderr.write("y" * 100000 + "\x1b[31m line 7: " + a["body"]["v"] + "\n"); sys.stderr.flush()
sys.exit(1)`), nil)
	s.third.Set("/r/1", `{"v":"canary-body"}`)
	if _, err := s.Look(t.Context(), s.entry); !strings.Contains(saidBy(err), "broke down") {
		t.Fatal(saidBy(err))
	}
	log := s.log.String()
	if !strings.Contains(log, "line 7: [redacted]") || strings.Contains(log, "canary") || strings.Contains(log, "\x1b") || len(log) > 3*maxStderr {
		t.Errorf("the log says (%d bytes) %.300s", len(log), log)
	}
}

// An answer means what HTTP says, and a plugin's word counts only where HTTP leaves it open.
func TestAPluginsWordOnAnswers(t *testing.T) {
	for _, c := range []struct {
		mode remediatortest.Mode
		word string
		want string
	}{
		{remediatortest.Fail502, "accepted", "ambiguous"},
		{remediatortest.LimitDelta, "accepted", "retry"},
		{remediatortest.Fail500, "accepted", "failed"},
		{remediatortest.Refuse, "accepted", "refused"},
		{remediatortest.Refuse, "gone", "gone"},
		{remediatortest.False, "conflict", "conflict"},
		{remediatortest.False, "refused", "refused"},
		{remediatortest.Well, "manual", "accepted"},
		{remediatortest.Well, "anything", "accepted"},
	} {
		s := newStand(t, hostile(t, "", `
ask(method="PUT", path="/r/1", body={"$ref": "/before"})
say(id=call["id"], undo={"result": "`+c.word+`"})`), nil)
		s.third.Misbehave("/r/1", c.mode)
		ans, err := s.Undo(t.Context(), s.entry, seenNew)
		got := string(ans.Class)
		if err != nil {
			got, _, _ = strings.Cut(saidBy(err), ":")
		}
		if got != c.want {
			t.Errorf("%s, %q: %s, want %s", c.mode, c.word, got, c.want)
		}
	}
}
