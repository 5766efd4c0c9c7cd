package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
)

const hooksPath = "/repos/acme/shop/hooks"

// A stage is a real server whose system, hooks, is GitHub's card; one call of it can be held.
type stage struct {
	*testing.T
	server *server
	card   *cards.Server
	hold   atomic.Pointer[string] // "GET /path…" that waits; nil: none
	begun  chan struct{}          // says that a held call is there
	free   chan struct{}          // closed: what is held goes on
}

func newStage(t *testing.T) *stage {
	t.Helper()
	t.Setenv("CANARY_TOKEN", remediatortest.Secret)
	s := &stage{T: t, card: cards.Start(t, cards.GitHub(), remediatortest.Secret), begun: make(chan struct{}, 1), free: make(chan struct{})}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	t.Cleanup(func() { close(s.free) })
	more := fmt.Sprintf("  hooks: {remediator: http, profile: github, url: %q, allow_private: true, credential: \"env:CANARY_TOKEN\", effects: [\"* /repos/*\"]}\n", web.URL)
	s.server = newServerIn(t, buildServer(t), "http://127.0.0.1:1", t.TempDir(), more)
	s.server.start()
	return s
}

// ServeHTTP implements [http.Handler].
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if want := s.hold.Load(); want != nil && strings.HasPrefix(r.Method+" "+r.URL.Path, *want) {
		s.begun <- struct{}{}
		<-s.free
		panic(http.ErrAbortHandler) // whoever asked is gone
	}
	s.card.ServeHTTP(w, r)
}

func (s *stage) request() wire.RehearsalRequest {
	return wire.RehearsalRequest{System: "hooks", Kinds: []string{"github.repo_hook"}, Place: json.RawMessage(`{"owner":"acme","repo":"shop"}`), PerformWithin: "1s"}
}

func (s *stage) rehearse() *wire.Rehearsal {
	s.Helper()
	r, err := s.server.client.Rehearse(s.Context(), s.request(), time.Minute)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// killDuring begins a rehearsal, and kills the server while a call of it is under way.
func (s *stage) killDuring(call string) {
	s.Helper()
	s.hold.Store(&call)
	lost := make(chan error, 1)
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	go func() {
		_, err := s.server.client.Rehearse(ctx, s.request(), time.Minute)
		lost <- err
	}()
	<-s.begun
	s.server.kill()
	cancel()
	if err := <-lost; err == nil {
		s.Error("a killed server answered")
	}
	s.hold.Store(nil)
	s.server.start()
}

// A server that is killed with a canary made and changed leaves it; the next rehearsal takes it back and makes its own.
func TestKilledDuringARehearsal(t *testing.T) {
	s := newStage(t)
	s.killDuring("PATCH " + hooksPath) // the canary is made, its change is under way
	if s.card.Count(hooksPath) != 1 {
		t.Fatalf("%d canaries are there", s.card.Count(hooksPath))
	}
	r := s.rehearse()
	if len(r.Earlier) != 1 {
		t.Fatalf("%+v", r)
	}
	back, err := s.server.client.StartRollback(t.Context(), r.Earlier[0].WindowID, wire.RollbackRequest{}, time.Minute) // joins it, to its end
	if err != nil || !back.Complete {
		t.Errorf("the earlier rehearsal: %+v, %v", back, err)
	}
	if !r.Proven || s.card.Count(hooksPath) != 0 {
		t.Errorf("%+v, and %d are left", r, s.card.Count(hooksPath))
	}
}

// A server that is killed before the answer to its create is recorded knows no name of the canary: the next rehearsal
// finds it in the list, and says how it is removed.
func TestKilledDuringTheCreateOfARehearsal(t *testing.T) {
	s := newStage(t)
	s.killDuring("GET " + hooksPath + "/") // the look that follows the create
	first := s.rehearse()
	if !first.Proven || len(first.Earlier) != 1 {
		t.Fatalf("%+v", first)
	}
	window := first.Earlier[0].WindowID
	if _, err := s.server.client.StartRollback(t.Context(), window, wire.RollbackRequest{}, time.Minute); err != nil {
		t.Fatal(err)
	}
	again, err := s.server.client.Rehearsal(t.Context(), window)
	if err != nil || len(again.Canaries) != 1 || again.Canaries[0].Remains == nil {
		t.Fatalf("%+v, %v", again, err)
	}
	left := again.Canaries[0].Remains
	if left.Request == nil || left.Request.Method != "DELETE" || !strings.Contains(left.Request.URL, hooksPath+"/1") || s.card.Count(hooksPath) != 1 {
		t.Errorf("left is %+v, and %d are there", left, s.card.Count(hooksPath))
	}
}

// The real command rehearses a real Caddy, and leaves its configuration as it was.
func TestRehearseOnARealCaddy(t *testing.T) {
	admin := remediatortest.StartCaddy(t)
	s := newEffectStand(t, admin)
	s.env = append(s.env, "ROLLBACK_TOKEN="+s.server.run("token", "create", "--role", "operator"))
	start := s.exec("", "curl", "-s", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", admin+"/config/").Stdout
	got := s.exec("", s.tool, "rehearse", "--system", "edge", "--place", `{"server":"srv0"}`)
	for _, want := range []string{"caddy.route", "undo create  = ok", "gone         = ok", "not rehearsable", "Proven:"} {
		if got.Status != 0 || !strings.Contains(got.Stdout, want) {
			t.Errorf("no %q: status %d\n%s%s", want, got.Status, got.Stdout, got.stderr)
		}
	}
	if now := s.exec("", "curl", "-s", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", admin+"/config/").Stdout; now != start || start == "" {
		t.Errorf("the configuration is\n%s, want\n%s", now, start)
	}
	if got := s.exec("", s.tool, "rehearse", "--system", "edge", "--kind", "caddy.config"); got.Status != 3 || !strings.Contains(got.Stdout, "Nothing was proven") {
		t.Errorf("what cannot be rehearsed: %+v %s", got, got.stderr)
	}
	if got := s.exec("", s.tool, "unrecorded", "--window", s.window, "--system", "edge", "--kind", "caddy.route", "--place", `{"server":"srv0"}`); got.Status != 6 || !strings.Contains(got.Stdout, "id=base") {
		t.Errorf("the route that nobody recorded: %+v %s", got, got.stderr)
	}
}

// A credential that may not delete is found before the night, and the command says so.
func TestRehearseSaysWhichRightIsMissing(t *testing.T) {
	s := newStage(t)
	config, err := os.ReadFile(s.server.config)
	if err != nil {
		t.Fatal(err)
	}
	stand := &effectStand{T: t, server: s.server, tool: buildTool(t), dir: t.TempDir(), env: []string{
		"ROLLBACK_URL=http://" + strings.Fields(string(config))[1], "ROLLBACK_TOKEN=" + s.server.run("token", "create", "--role", "operator"),
	}}
	s.card.Forbid("DELETE")
	w, err := s.server.client.OpenWindow(t.Context(), wire.WindowDraft{Name: "tonight"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.server.client.Effect(client.WithKey(t.Context(), "k"), w.ID, wire.EffectRequest{
		Call:  wire.EffectCall{Method: "POST", Path: hooksPath, Body: new(`{"name":"web","events":["push"],"config":{"url":"https://hook.example.com/"}}`)},
		Entry: wire.EffectEntry{System: "hooks"},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := stand.exec("", stand.tool, "rehearse", "--window", w.ID)
	for _, want := range []string{"undo create  x refused", "may not delete what it makes", "Left behind:", "DELETE http", "Not proven."} {
		if got.Status != 5 || !strings.Contains(got.Stdout, want) {
			t.Errorf("no %q: status %d\n%s%s", want, got.Status, got.Stdout, got.stderr)
		}
	}
	s.card.Forbid("")
	if got := stand.exec("", stand.tool, "rehearse", "--window", w.ID); got.Status != 0 || s.card.Count(hooksPath) != 1 {
		t.Errorf("with the right: %d\n%s%s, %d hooks", got.Status, got.Stdout, got.stderr, s.card.Count(hooksPath))
	}
}
