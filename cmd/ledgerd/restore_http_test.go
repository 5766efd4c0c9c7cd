package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// A hypervisor restores a machine as many do: a POST begins it and answers 202 with the address of a task; the task
// comes on by one step with each question about it, and while it runs the machine shows neither state.
type hypervisor struct {
	mu     sync.Mutex
	live   string // what the machine shows
	begun  []string
	steps  int           // questions until a task is done
	asked  chan struct{} // gets a value with the first question; nil: nobody waits for it
	frozen bool          // the task makes no progress
}

func (v *hypervisor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.Method + " " + r.URL.Path {
	case "GET /vms/core-1":
		_, _ = fmt.Fprintf(w, `{"name":"core-1","live":%q}`, v.live)
	case "POST /vms/core-1/revert":
		raw, _ := io.ReadAll(r.Body)
		v.begun = append(v.begun, string(raw))
		v.live = "reverting"
		v.frozen = v.frozen && len(v.begun) == 1 // one that is begun again comes to its end, and the test to its failure
		w.Header().Set("Location", fmt.Sprintf("/tasks/%d", len(v.begun)))
		w.WriteHeader(http.StatusAccepted)
	case fmt.Sprintf("GET /tasks/%d", len(v.begun)):
		if v.asked != nil {
			close(v.asked)
			v.asked = nil
		}
		if !v.frozen {
			v.step()
		}
		_, _ = fmt.Fprintf(w, `{"state":%q}`, map[bool]string{true: "success", false: "running"}[v.steps <= 0])
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (v *hypervisor) step() {
	if v.steps--; v.steps == 0 {
		v.live = "before-4.2"
	}
}

func (v *hypervisor) shows() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.live
}

// wantBegun fails unless exactly one restore was begun, of the window's snapshot.
func (v *hypervisor) wantBegun(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.begun) != 1 || v.begun[0] != `{"snapshot":"before-4.2"}` {
		t.Errorf("begun: %q", v.begun)
	}
}

// newHypervisor starts one with a real ledgerd that knows it as a system, and the upgrade of a machine that it runs.
func newHypervisor(t *testing.T) (v *hypervisor, s *server, third *witness, window string) {
	t.Helper()
	v = &hypervisor{live: "4.2", steps: 3}
	vms := httptest.NewServer(v)
	t.Cleanup(vms.Close)
	third = &witness{counting: counting{state: map[string]string{}}, machine: v.shows}
	web := httptest.NewServer(third)
	t.Cleanup(web.Close)
	s = newServerIn(t, buildServer(t), web.URL, t.TempDir(),
		fmt.Sprintf("  vms: {remediator: http, url: %q, allow_private: true, retry: {base: 10ms, cap: 200ms}}\n", vms.URL))
	s.start()
	return v, s, third, s.upgrade(third, &wire.Restore{
		System: "vms", Kind: "http.request", Resource: json.RawMessage(`{"vm":"core-1"}`), Before: json.RawMessage(`{"live":"before-4.2"}`),
		Undo:  json.RawMessage(`{"method":"POST","path":"/vms/core-1/revert","body":{"snapshot":"{{before./live}}"}}`),
		Read:  json.RawMessage(`{"method":"GET","path":"/vms/core-1"}`),
		Async: json.RawMessage(`{"poll":{"header":"Location","every":"1ms","until":{"pointer":"/state","in":["success"]},"max":"1m"}}`),
	})
}

var machineOrder = []string{"/4 4.2", "/2 4.2", "/3 before-4.2", "/1 before-4.2"}

// The machine is restored by an API that only begins it: the rest waits for the end of the task.
func TestRestoreByHTTP(t *testing.T) {
	v, s, third, window := newHypervisor(t)
	s.startRestoring(window)
	e := s.restored(window, third, machineOrder)
	v.wantBegun(t)
	if e.Outcome != "undone" || len(e.Attempts) != 1 || e.Attempts[0].Status != http.StatusAccepted {
		t.Errorf("the restore is %s %s (%s), attempts %+v", e.State, e.Outcome, e.Detail, e.Attempts)
	}
}

// ledgerd is killed while the task runs. A POST must not be sent twice: the next one looks, sees neither state, and asks a
// person; the rest waits. Once the task is done a word is enough, and nothing is sent again.
func TestRestoreByHTTPKilledInTheMiddle(t *testing.T) {
	v, s, third, window := newHypervisor(t)
	asked := make(chan struct{})
	v.asked, v.frozen = asked, true
	s.startRestoring(window)
	<-asked
	s.kill()
	s.start()
	stuck := s.awaitRestore(window, "stuck")
	if stuck.Reason != "in_doubt" || !strings.Contains(stuck.Detail, "the rest of the window waits") {
		t.Errorf("the restore is %s %s: %s", stuck.State, stuck.Reason, stuck.Detail)
	}
	if got := third.seen(); len(got) != 2 {
		t.Errorf("beside a restore in doubt the third party was called: %v", got)
	}
	v.mu.Lock()
	v.live = "before-4.2"
	v.mu.Unlock()
	if _, err := s.client.Resolve(t.Context(), stuck.ID, wire.ResolveRequest{Decision: "retry", Reason: "the task is done"}); err != nil {
		t.Fatal(err)
	}
	e := s.restored(window, third, machineOrder)
	v.wantBegun(t)
	if e.Outcome != "already_undone" {
		t.Errorf("the restore is %s %s (%s)", e.State, e.Outcome, e.Detail)
	}
}

// awaitRestore follows the window's rollback to its end and returns the restore's entry, which is in this state.
func (s *server) awaitRestore(window, state string) wire.Entry {
	s.t.Helper()
	w, err := s.client.Window(s.t.Context(), window)
	if err != nil || w.RollbackID == nil {
		s.t.Fatalf("%+v, %v", w, err)
	}
	for {
		run, err := s.client.Rollback(s.t.Context(), *w.RollbackID)
		if err != nil {
			s.t.Fatal(err)
		}
		if run.Over() {
			break
		}
	}
	for e, err := range s.client.AllEntries(s.t.Context(), window, client.EntryQuery{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Restore && e.State == state {
			return e
		}
	}
	s.t.Fatalf("no restore that is %s", state)
	return wire.Entry{}
}
