package runner_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/runner"
)

const (
	answersAfter = 5 * time.Second  // an undo takes so long
	grace        = 20 * time.Second // and may, when the server stops
)

// slowThird is a third party whose undos take a while, and end early with their call.
type slowThird struct {
	*ledgertest.Third
	sent func() // with every undo, before it has any effect

	mu    sync.Mutex
	begun []time.Time // calls that a living context let out, looks and undos alike
	cut   []time.Time // undos whose call ended before they had an effect
}

func (s *slowThird) Find(name string) (ledger.System, ledger.Remediator, error) {
	sys, _, err := s.Third.Find(name)
	return sys, s, err
}

// goesOut reports whether a call is sent at all.
func (s *slowThird) goesOut(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	s.begun = append(s.begun, time.Now())
	return true
}

func (s *slowThird) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	if !s.goesOut(ctx) {
		return ledger.Look{}, &ledger.CallError{Class: ledger.CallNotSent, Err: ctx.Err()}
	}
	return s.Third.Look(ctx, e)
}

func (s *slowThird) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	if !s.goesOut(ctx) {
		return ledger.Answer{}, &ledger.CallError{Class: ledger.CallNotSent, Err: ctx.Err()}
	}
	s.sent()
	t := time.NewTimer(answersAfter)
	defer t.Stop()
	select {
	case <-t.C:
		return s.Third.Undo(ctx, e, seen)
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cut = append(s.cut, time.Now())
		return ledger.Answer{}, &ledger.CallError{Class: ledger.CallAmbiguous, Err: ctx.Err()}
	}
}

// afterwards returns how many calls went out after a moment.
func (s *slowThird) afterwards(at time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.begun {
		if c.After(at) {
			n++
		}
	}
	return n
}

// newSlowBench is a bench with two entries to undo and a run over them.
func newSlowBench(t *testing.T) (*bench, *slowThird, *ledger.RollbackView) {
	t.Helper()
	b := newBench(t)
	third := &slowThird{Third: b.third, sent: func() {}}
	b.ledger = ledger.New(ledger.Config{Store: b.store, Systems: third, Clock: time.Now, Log: quiet(), Waker: b.waker})
	b.updates(2)
	return b, third, b.start(ledger.RollbackRequest{})
}

func (b *bench) patient() *runner.Runner {
	return runner.New(runner.Config{
		Ledger: b.ledger, Waker: b.waker, Clock: time.Now, Log: quiet(), Grace: grace, Sole: true,
		JitterFunc: func(d time.Duration) time.Duration { return d },
	})
}

// A runner whose lease was lost while its undo is under way gets no grace: another one may be at work. Its call ends as
// soon as it notices, nothing more goes out, and it writes nothing but what it knew, as evidence.
func TestNoGraceAfterALostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, third, run := newSlowBench(t)
		var lost time.Time
		third.sent = func() {
			lost = time.Now()
			if _, err := b.ledger.Claim(t.Context(), run.ID, ledger.Claimant{Holder: "another", Force: true}); err != nil {
				t.Error(err)
			}
		}
		b.patient().RunOne(t.Context(), run.ID)
		if len(third.cut) != 1 || third.cut[0].Sub(lost) > ledger.LeaseRenew {
			t.Errorf("the call was cut %v, the lease was lost at %s: it had grace", third.cut, lost)
		}
		if n := third.afterwards(lost); n != 0 || len(b.third.Order()) != 0 {
			t.Errorf("%d calls went out after the lease was lost, %d had an effect", n, len(b.third.Order()))
		}
		b.wantOnlyEvidence()
	})
}

// A server that stops lets an undo that it has sent be answered, and writes what it brought. Nothing more is begun.
func TestGraceWhenTheServerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, third, run := newSlowBench(t)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		third.sent = stop
		b.patient().RunOne(ctx, run.ID)
		if len(third.cut) != 0 || len(b.third.Order()) != 1 {
			t.Errorf("%d undos were cut, %d had an effect", len(third.cut), len(b.third.Order()))
		}
		b.wantCounts(run, 1)
	})
}

// wantCounts holds a run to how many entries it has undone.
func (b *bench) wantCounts(run *ledger.RollbackView, undone int) {
	b.Helper()
	got, err := b.ledger.Rollback(b.Context(), run.ID)
	if err != nil {
		b.Fatal(err)
	}
	if got.Counts.Undone != undone {
		b.Errorf("%+v", got.Counts)
	}
}

// wantOnlyEvidence holds the journal to one record of evidence after the last claim, and nothing else.
func (b *bench) wantOnlyEvidence() {
	b.Helper()
	list, err := b.ledger.Records(b.Context(), ledger.RecordQuery{WindowID: b.window, Limit: 1000})
	if err != nil {
		b.Fatal(err)
	}
	var since []string
	for _, r := range list {
		if since = append(since, r.Kind); r.Kind == "rollback.running" {
			since = nil
		}
	}
	if len(since) != 1 || since[0] != "evidence" {
		b.Errorf("written after the lease was lost: %v", since)
	}
}
