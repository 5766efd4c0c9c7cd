package runner_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/runner"
)

// notes is an Observer that writes down what it is told.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, s)
}

func (n *notes) Claimed(ctx context.Context, l *ledger.Lease) (context.Context, func(error)) {
	what := "claimed"
	if l.Taken {
		what = "taken over"
	}
	n.add(what)
	return ctx, func(err error) {
		if errors.Is(err, ledger.ErrFenced) {
			n.add("lost")
			return
		}
		n.add("let go, " + string(l.Rollback.State))
	}
}

func (n *notes) Called(ctx context.Context, _ *ledger.Entry, c runner.Call) (context.Context, func(string)) {
	n.add(string(c))
	return ctx, func(result string) { n.add(string(c) + " " + result) }
}

func (n *notes) Settled(_ context.Context, e *ledger.Entry) { n.add("settled " + string(e.State)) }

// An observer is told of each step of a run, in order; and that a lease was taken over from somebody who had not given it
// back, and not where it was.
func TestObserver(t *testing.T) {
	b := newBench(t)
	b.updates(1)
	run := b.start(ledger.RollbackRequest{}).ID
	if _, err := b.ledger.Claim(t.Context(), run, ledger.Claimant{Holder: "who died", Force: true}); err != nil {
		t.Fatal(err)
	}
	var told notes
	r := b.runner()
	r.Observer = &told
	r.RunOne(t.Context(), run)
	want := []string{"taken over", "look", "look seen", "undo", "undo accepted", "settled undone", "let go, finished"}
	if !slices.Equal(told.list, want) {
		t.Errorf("told %v\nwant %v", told.list, want)
	}
	told.list = nil
	b.window = b.open()
	b.updates(1)
	r.RunOne(t.Context(), b.start(ledger.RollbackRequest{}).ID)
	if len(told.list) == 0 || told.list[0] != "claimed" {
		t.Errorf("told %v", told.list)
	}
}

// A lease that somebody else takes while the runner works is told as lost.
func TestObserverIsToldOfLostLeases(t *testing.T) {
	b := newBench(t)
	b.updates(1)
	run := b.start(ledger.RollbackRequest{}).ID
	var told notes
	r := b.runner()
	r.Observer = &thief{notes: &told, b: b, run: run}
	r.RunOne(t.Context(), run)
	if !slices.Contains(told.list, "lost") {
		t.Errorf("told %v", told.list)
	}
}

// thief takes the lease away as soon as the runner looks.
type thief struct {
	*notes
	b    *bench
	run  uuid.UUID
	once sync.Once
}

func (s *thief) Called(ctx context.Context, e *ledger.Entry, c runner.Call) (context.Context, func(string)) {
	s.once.Do(func() {
		if _, err := s.b.ledger.Claim(ctx, s.run, ledger.Claimant{Holder: "thief", Force: true}); err != nil {
			s.b.Error(err)
		}
	})
	return s.notes.Called(ctx, e, c)
}

func (b *bench) open() uuid.UUID {
	b.Helper()
	w, err := b.ledger.OpenWindow(b.Context(), ledger.WindowDraft{Name: "another"})
	if err != nil {
		b.Fatal(err)
	}
	return w.ID
}
