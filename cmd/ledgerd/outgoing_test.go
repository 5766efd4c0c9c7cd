package main

import (
	"bytes"
	"encoding/json"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/remediators"
)

// outLedger is a real ledger over these systems, with one open window.
func outLedger(t *testing.T, systems map[string]remediators.SystemConfig) (l *ledger.Ledger, waker *runner.Waker, window uuid.UUID) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: emptyLedger(t), Clock: time.Now, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	registry, _, err := remediators.NewRegistry(remediators.Options{
		Systems: systems, Factories: factories(), Clock: time.Now, Log: quiet, Getenv: func(string) string { return "canary-55d0" },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	waker = runner.NewWaker()
	l = ledger.New(ledger.Config{Store: store, Systems: registry, Clock: time.Now, Log: quiet, Waker: waker})
	w, err := l.OpenWindow(t.Context(), ledger.WindowDraft{Name: "out"})
	if err != nil {
		t.Fatal(err)
	}
	return l, waker, w.ID
}

// A recorder cannot announce what will never be taken back, or read, at its system: its intent is refused with
// the field and the fix. What anybody else says, and every fact, is taken in with a warning.
func TestRecordersStayWithinAllow(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("recording called the third party") }))
	defer server.Close()
	l, _, window := outLedger(t, map[string]remediators.SystemConfig{
		"flags": {Remediator: "http", URL: server.URL, AllowPrivate: true, Credential: "env:T", Allow: []string{"GET /r/*", "PUT /r/*"}},
	})
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for _, c := range []struct {
		name, field string
		change      func(d *ledger.Draft)
	}{
		{"allowed", "", func(*ledger.Draft) {}},
		{"undo outside", "/undo/path", func(d *ledger.Draft) { d.Undo = raw(`{"method":"DELETE","path":"/tokens/1"}`) }},
		{"undo by a value", "/undo/path", func(d *ledger.Draft) {
			d.Undo = raw(`{"method":"PUT","path":"{{+resource.path}}x","body":"{{before}}"}`)
		}},
		{"undo by what is not known yet", "/undo/path", func(d *ledger.Draft) { d.Undo = raw(`{"method":"PUT","path":"/tokens/{{resource.id}}"}`) }},
		{"read outside", "/read/path", func(d *ledger.Draft) { d.Read = raw(`{"path":"/tokens"}`) }},
		{"proof outside", "/read/gone_proof/path", func(d *ledger.Draft) { d.Read = raw(`{"path":"/r/1","gone_proof":{"path":"/tokens"}}`) }},
		{"capture outside", "/read/path", func(d *ledger.Draft) { d.Capture, d.Before, d.Read = true, ledger.Image{}, raw(`{"path":"/tokens"}`) }},
	} {
		for _, role := range []ledger.Role{ledger.RoleRecorder, ledger.RoleOperator, ledger.RoleAdmin} {
			for _, state := range []ledger.EntryState{ledger.EntryIntended, ledger.EntryApplied} {
				d := simDraft("flags", "/r/1", "old", "new")
				d.State, d.Resource = state, raw(`{"path":"/tokens/1"}`)
				if state == ledger.EntryApplied {
					d.Resource = raw(`{"path":"/tokens/1","id":7}`)
				}
				c.change(&d)
				ctx := ledger.WithActor(t.Context(), ledger.Actor{TokenID: "t", Role: role, WindowID: window})
				got, err := l.Record(ctx, window, []ledger.Draft{d})
				refused := c.field != "" && role == ledger.RoleRecorder && state == ledger.EntryIntended
				switch said := ""; {
				case refused:
					var bad *ledger.Error
					if bad, _ = err.(*ledger.Error); bad == nil || bad.Code != ledger.CodeInvalid || bad.Field != c.field || !strings.Contains(bad.Msg, "systems.flags.allow") || strings.Contains(bad.Msg, "tokens") { //nolint:errorlint // made there
						t.Errorf("%s, %s, %s: %v, want %s", c.name, role, state, err, c.field)
					}
				case d.Capture && state == ledger.EntryIntended:
					if ledger.CodeOf(err) != ledger.CodeConflict { // a capture that fails refuses the intent of anybody
						t.Errorf("%s, %s, %s: %v", c.name, role, state, err)
					}
				case err != nil:
					t.Errorf("%s, %s, %s: %v", c.name, role, state, err)
				default:
					said = strings.Join(got[0].Entry.Warnings, "; ")
					if (c.field != "") != strings.Contains(said, "will be blocked") {
						t.Errorf("%s, %s, %s: warnings %q", c.name, role, state, said)
					}
				}
			}
		}
	}
}

// What /applied completes is a fact: it is taken in, and said.
func TestCompletedOutsideAllow(t *testing.T) {
	l, _, window := outLedger(t, map[string]remediators.SystemConfig{
		"flags": {Remediator: "http", URL: "http://127.0.0.1:1", AllowPrivate: true, Allow: []string{"* /r/*/good"}},
	})
	d := simDraft("flags", "/r/1/good", "old", "new")
	d.State, d.Undo = ledger.EntryIntended, json.RawMessage(`{"method":"PUT","path":"/r/1/{{resource.id}}","body":"{{before}}"}`)
	ctx := ledger.WithActor(t.Context(), ledger.Actor{TokenID: "t", Role: ledger.RoleRecorder, WindowID: window})
	got, err := l.Record(ctx, window, []ledger.Draft{d})
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.Applied(ctx, got[0].Entry.ID, ledger.Report{Resource: json.RawMessage(`{"id":"bad"}`)})
	if err != nil || e.State != ledger.EntryApplied || !strings.Contains(strings.Join(e.Warnings, "; "), "the undo will be blocked") {
		t.Errorf("%v: %+v", err, e)
	}
}

// A name or an address that may not be dialled ends its entry stuck, blocked, in one pass; a capture at it
// refuses the intent. Nobody is called.
func TestDeniedAddressesBlock(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was dialled") }))
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	systems := map[string]remediators.SystemConfig{
		"name": {Remediator: "http", URL: "http://localhost:" + port, Credential: "env:T"}, "number": {Remediator: "http", URL: server.URL},
		"metadata": {Remediator: "http", URL: "http://169.254.169.254", AllowPrivate: true},
	}
	l, waker, window := outLedger(t, systems)
	for name := range systems {
		got, err := l.Record(t.Context(), window, []ledger.Draft{simDraft(name, "/r/1", "old", "new")})
		if err != nil || len(got[0].Entry.Warnings) == 0 {
			t.Errorf("%s: %v; nothing was said at recording", name, err)
		}
		d := simDraft(name, "/r/2", "old", "new")
		d.State, d.Capture, d.Before = ledger.EntryIntended, true, ledger.Image{}
		if _, err := l.Record(t.Context(), window, []ledger.Draft{d}); ledger.CodeOf(err) != ledger.CodeConflict {
			t.Errorf("%s: a capture: %v", name, err)
		}
	}
	run, err := l.StartRollback(t.Context(), window, ledger.RollbackRequest{Reason: "denied"})
	if err != nil {
		t.Fatal(err)
	}
	runner.New(runner.Config{
		Ledger: l, Waker: waker, Clock: time.Now, Log: slog.New(slog.DiscardHandler), Sole: true, JitterFunc: func(d time.Duration) time.Duration { return d },
	}).RunOne(t.Context(), run.ID)
	list, err := l.Entries(t.Context(), ledger.EntryQuery{WindowID: window, Limit: 100})
	if err != nil || len(list) != len(systems) {
		t.Fatal(err, len(list))
	}
	for i := range list {
		if e := &list[i]; e.State != ledger.EntryStuck || e.Reason != ledger.ReasonBlocked {
			t.Errorf("%s: %s %s %s", e.System, e.State, e.Reason, e.Detail)
		}
	}
	if checked, err := l.Verify(t.Context(), window); err != nil || len(checked) != 0 {
		t.Errorf("%+v, %v", checked, err)
	}
}

// What libraries write by themselves may quote a third party; the log says only that they wrote.
func TestLibrariesAreHushed(t *testing.T) {
	defer log.SetOutput(os.Stderr)
	defer log.SetFlags(log.LstdFlags)
	var out bytes.Buffer
	hush(slog.New(slog.NewJSONHandler(&out, nil)))
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q", "canary-body")
	if strings.Contains(out.String(), "canary") || !strings.Contains(out.String(), "connection") {
		t.Errorf("%s", out.String())
	}
}
