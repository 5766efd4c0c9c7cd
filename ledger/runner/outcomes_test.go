package runner_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// hiccup is a store that says "unavailable" to chosen writes: nobody knows whether they are durable.
type hiccup struct {
	ledger.Store
	mu    sync.Mutex
	n     int
	fails func(n int) (fail, after bool)
}

func (h *hiccup) Update(ctx context.Context, id uuid.UUID, fn func(ledger.Tx) error) error {
	h.mu.Lock()
	h.n++
	fail, after := false, false
	if h.fails != nil {
		fail, after = h.fails(h.n)
	}
	h.mu.Unlock()
	if fail && !after {
		return &ledger.Error{Code: ledger.CodeUnavailable, Op: "test", Err: errors.New("on purpose")}
	}
	err := h.Store.Update(ctx, id, fn)
	if err == nil && fail {
		return &ledger.Error{Code: ledger.CodeUnavailable, Op: "test", Err: errors.New("on purpose")}
	}
	return err
}

func (h *hiccup) from(fails func(n int) (fail, after bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n, h.fails = 0, fails
}

// Each write of a rollback in turn is of unknown outcome, durable or not. Entries that cannot be read and undos that
// must not be sent twice are the judges: an answer that was had is not lost, and nothing is sent twice or given
// up for it.
func TestWritesOfUnknownOutcome(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n, fired := 1, true; fired; n += leap(t) {
			fired = false
			h := &hiccup{Store: openStore(t)}
			b := newBenchOn(t, h)
			b.third.Post = true
			list := b.updates(2)
			blind := b.record(draft("/blind", `{"v":1}`, `{"v":2}`))[0]
			b.third.Blind["/blind"] = true
			list = append(list, b.record(draft("/last", `{"v":1}`, `{"v":2}`))[0])
			run := b.start(ledger.RollbackRequest{})
			h.from(func(i int) (bool, bool) { fired = fired || i == n; return i == n, after })
			b.finish(run.ID)
			h.from(nil)
			b.checkJournal()
			b.wantState(blind, "undone unverified")
			for _, e := range list {
				b.wantState(e, "undone undone")
			}
			if _, undos := b.third.Calls(); undos != 4 {
				t.Errorf("write %d, after=%v: %d undos", n, after, undos)
			}
			if t.Failed() {
				t.Fatalf("write %d, after=%v", n, after)
			}
		}
	}
}

// A pass that ends by an error writes what its calls had brought before.
func TestAnErrorKeepsOutcomes(t *testing.T) {
	h := &brokenReads{Store: openStore(t)}
	b := newBenchOn(t, h)
	b.updates(1)
	run := b.start(ledger.RollbackRequest{})
	b.record(draft("/r/1", `{"v":"new-1"}`, `{"v":"late"}`)) // what its resource went through is read when it is visited
	blind := b.record(draft("/blind", `{"v":1}`, `{"v":2}`))[0]
	b.third.Blind["/blind"] = true
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/blind" { // its answer is there, its closing is not written, and the next read fails
			h.mu.Lock()
			defer h.mu.Unlock()
			h.at = 1
		}
		return false, nil
	}
	b.finish(run.ID)
	b.wantState(blind, "undone unverified")
	if h.failed != 1 || b.state() != ledger.WindowRolledBack {
		t.Errorf("%d reads failed, window %s", h.failed, b.state())
	}
	b.checkJournal()
}

// brokenReads fails one read of a resource's entries.
type brokenReads struct {
	ledger.Store
	mu sync.Mutex
	at int // the read that fails, from 1; 0: none

	failed int
}

func (s *brokenReads) ListEntries(ctx context.Context, q ledger.EntryQuery) ([]ledger.Entry, error) {
	s.mu.Lock()
	fail := false
	if s.at > 0 && q.Resource != (ledger.Key{}) {
		s.at--
		if fail = s.at == 0; fail {
			s.failed++
		}
	}
	s.mu.Unlock()
	if fail {
		return nil, errors.New("on purpose")
	}
	return s.Store.ListEntries(ctx, q)
}

// A server that stops cuts a patient verification short. Half of it is no look: the next start goes on with it, and
// what the third party shows by then decides.
func TestStopDuringAPatientVerification(t *testing.T) {
	b := newBench(t)
	b.third.Post, b.third.Patience = true, time.Hour
	e := b.record(draft("/a", `{"v":1}`, `{"v":2}`))[0]
	run := b.start(ledger.RollbackRequest{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	looks, sent := 0, false
	b.third.OnAnswer = func(int, string) (ledger.Answer, bool) {
		sent = true // accepted; it takes a while to show
		return ledger.Answer{Class: ledger.AnswerAccepted, Status: 202}, true
	}
	b.third.OnLook = func(int, string) error {
		if sent {
			if looks++; looks == 2 {
				stop()
			}
		}
		return nil
	}
	r := b.runner()
	r.RunOne(ctx, run.ID)
	got := b.entry(e.ID)
	if got.State != ledger.EntryUndoing || !got.Unsettled() {
		t.Fatalf("after the stop the entry is %s %s (%s)", got.State, got.Reason, got.Detail)
	}
	b.third.Set("/a", `{"v":1}`)
	b.finish(run.ID)
	b.wantState(e, "undone undone")
	if _, undos := b.third.Calls(); undos != 1 {
		t.Errorf("%d undos", undos)
	}
}

// The undo of a late fact brings its resource home; the older entry there is judged with that known, although
// nothing has come between that would have written it down.
func TestOlderEntryAfterALateOneOnItsResource(t *testing.T) {
	b := newBench(t)
	older := b.record(draft("/a", `{"v":"base"}`, `{"v":"first"}`))[0]
	newer := b.record(draft("/a", `{"v":"first"}`, `{"v":"second"}`))[0]
	other := b.record(draft("/other", `{"v":1}`, `{"v":2}`))[0]
	run := b.start(ledger.RollbackRequest{})
	var late *ledger.Entry
	b.third.OnUndo = func(n int, _ string) (bool, error) {
		if n == 2 { // the newer one is undone; then somebody's forgotten script acts on the same resource
			b.third.State["/a"] = `{"v":"late"}`
			late = b.mustRecord(draft("/a", `{"v":"first"}`, `{"v":"late"}`))
			return false, &ledger.CallError{Class: ledger.CallNotSent}
		}
		return false, nil
	}
	b.finish(run.ID)
	b.checkJournal()
	for _, e := range []*ledger.Entry{older, newer, other, late} {
		if got := b.entry(e.ID); got.State != ledger.EntryUndone {
			t.Errorf("entry %d is %s %s (%s)", got.Seq, got.State, got.Reason, got.Detail)
		}
	}
	if b.third.Get("/a") != `{"v":"base"}` || b.state() != ledger.WindowRolledBack {
		t.Errorf("/a %s, window %s", b.third.Get("/a"), b.state())
	}
}

// Paused and resumed while an undo is under way, the run goes on by the same runner, to its end.
func TestResumeWhileTheRunnerIsStillAtWork(t *testing.T) {
	b := newBench(t)
	list := b.updates(3)
	run := b.start(ledger.RollbackRequest{})
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/r/2" {
			_, err1 := b.ledger.Pause(t.Context(), run.ID)
			_, err2 := b.ledger.Resume(t.Context(), run.ID)
			if err := errors.Join(err1, err2); err != nil {
				t.Error(err)
			}
		}
		return false, nil
	}
	got := b.finish(run.ID) // one RunOne, no sweep behind it
	if got.State != ledger.RollbackFinished || !got.Complete || got.Epoch != 1 {
		t.Errorf("the run is %s, epoch %d", got.State, got.Epoch)
	}
	b.wantState(list[0], "undone undone")
}

// serve --paused pauses before anything goes on, however often the store has to be asked.
func TestPausedFailsClosed(t *testing.T) {
	h := &hiccup{Store: openStore(t)}
	b := newBenchOn(t, h)
	list := b.updates(1)
	run := b.start(ledger.RollbackRequest{})
	failed := make(chan struct{})
	h.from(func(n int) (bool, bool) {
		if n == 2 {
			close(failed)
		}
		return n <= 2, false
	})
	ctx, stop := context.WithCancel(t.Context())
	r := b.runnerPaused()
	done := make(chan struct{})
	told, end := b.ledger.Subscribe(b.window)
	defer end()
	go func() { defer close(done); r.Run(ctx) }()
	<-failed
	for b.runState(run.ID) != ledger.RollbackPaused {
		<-told
	}
	stop()
	<-done
	b.wantState(list[0], "applied")
	if looks, _ := b.third.Calls(); looks != 0 {
		t.Errorf("%d looks of a paused server", looks)
	}
}
