package main

import (
	"encoding/json"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"sideledger/api/wire"
)

// check holds the ledger and the third parties to the model, after each step.
func (m *machine) check(*rapid.T) {
	for _, w := range m.model.windows {
		m.checkWindow(w)
	}
	for at, want := range m.model.shows {
		if got := m.shown(at); got != want {
			m.failf("%s shows %s, the model says %s", at, got, want)
		}
	}
}

func (m *machine) checkWindow(w *modelWindow) {
	var got wire.Window
	m.get("/v1/windows/"+w.id, &got)
	if got.State != w.state {
		m.failf("the window is %s, the model says %s", got.State, w.state)
	}
	if n := countsOf(got.Counts); !maps.Equal(n, w.tally(everyEntry)) {
		m.failf("the window counts %v, the model %v", n, w.tally(everyEntry))
	}
	var list wire.EntryList
	m.get("/v1/windows/"+w.id+"/entries?limit=1000", &list)
	if len(list.Items) != len(w.entries) {
		m.failf("%d entries, the model has %d", len(list.Items), len(w.entries))
	}
	open := false
	for i := range list.Items {
		e := w.entries[i]
		e.id = list.Items[i].ID
		m.checkEntry(&list.Items[i], e)
		open = open || !e.closed()
	}
	if w.state == "rolled_back" && open {
		m.failf("a window is called rolled back, and something in it is open")
	}
	if w.run != nil {
		m.checkRun(w)
	}
}

func (m *machine) checkEntry(got *wire.Entry, e *modelEntry) {
	state := got.State + " " + got.Reason + got.Outcome
	want := e.state + " " + map[string]string{"stuck": e.reason, "undone": e.outcome}[e.state]
	if got.Seq != e.seq || state != want || got.Late != e.late {
		m.failf("entry %d is %s (%s), late: %v; the model says %d, %s, %v", got.Seq, state, got.Detail, got.Late, e.seq, want, e.late)
	}
	if e.intent && !got.PerformBy.Equal(e.by) {
		m.failf("entry %d has until %s, the model says %s", got.Seq, got.PerformBy, e.by)
	}
}

func (m *machine) checkRun(w *modelWindow) {
	var got wire.Rollback
	m.get("/v1/rollbacks/"+w.run.id, &got)
	want := w.run.state
	if want == "running" && !m.model.alive {
		want = got.State // it is what it was when its runner died
	}
	if got.State != want || got.Partial == w.run.pick.all() {
		m.failf("the run is %s %+v, the model says %s", got.State, got.Waiting, want)
	}
	if n := countsOf(got.Counts); !maps.Equal(n, w.tally(w.run.has)) {
		m.failf("the run counts %v, the model %v", n, w.tally(w.run.has))
	}
	if got.Complete != (want == "finished" && w.allClosed(w.run.has)) { // as it is now: a late fact opens it again
		m.failf("complete: %v, counts %v", got.Complete, got.Counts)
	}
}

func countsOf(c wire.Counts) map[string]int {
	n := map[string]int{
		"undone": c.Undone, "already_undone": c.AlreadyUndone, "compensated": c.Compensated, "unverified": c.Unverified, "by_hand": c.ByHand,
		"waived": c.Waived, "retained": c.Retained, "void": c.Void, "stuck": c.Stuck, "remaining": c.Remaining,
	}
	maps.DeleteFunc(n, func(_ string, v int) bool { return v == 0 })
	return n
}

// shown returns what a resource really shows.
func (m *machine) shown(at string) string {
	i := slices.IndexFunc(m.parties, func(p *simParty) bool { return p.name == at[1:len("/party0")] })
	p := m.parties[i]
	p.mu.Lock()
	defer p.mu.Unlock()
	var doc struct{ V string }
	_ = json.Unmarshal([]byte(p.state[at]), &doc)
	return doc.V
}
