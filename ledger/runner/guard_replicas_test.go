package runner_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/ledger/sqlstore/sqlstoretest"
)

// counting returns a runner whose deletions are counted elsewhere.
func (b *bench) counting(d ledger.Deletions, sole bool) *runner.Runner {
	return runner.New(runner.Config{
		Ledger: b.ledger, Waker: b.waker, Clock: time.Now, Log: quiet(), Sole: sole, Deletions: d,
		JitterFunc: func(d time.Duration) time.Duration { return d },
	})
}

// Two replicas undo two windows at one system at once: they delete as much as its guard allows together, and then both wait for
// a second word. With it they delete what is left.
func TestDeletionsOfAllReplicas(t *testing.T) {
	const limit = 5
	url := migrated(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var benches []*bench
	var runs []*ledger.RollbackView
	for range 2 {
		store := sqlstoretest.Open(t, sqlstore.Config{URL: url})
		b := newBenchOn(t, store)
		b.third.Guard = ledger.Guard{Deletions: limit}
		for i := range limit + 1 {
			d := draft(fmt.Sprintf("/%s/%d", b.window, i), "null", `{"v":1}`) // no other window's resources
			d.System = "edge"
			b.record(d)
		}
		run := b.start(ledger.RollbackRequest{})
		benches, runs = append(benches, b), append(runs, run)
		wg.Go(func() { b.counting(store.Turns(), false).RunOne(ctx, run.ID) })
	}
	sent := 0
	for i, b := range benches {
		b.awaitRun(runs[i].ID, asksFor("edge"))
	}
	for _, b := range benches {
		_, undos := b.third.Calls()
		sent += undos
	}
	if sent != limit {
		t.Errorf("%d deletions without a second word, want %d", sent, limit)
	}
	for i, b := range benches {
		if _, err := b.ledger.Confirm(t.Context(), runs[i].ID, "edge", "all ours"); err != nil {
			t.Error(err)
		}
		if got := b.awaitRun(runs[i].ID, func(r *ledger.RollbackView) bool { return r.State.Over() }); !got.Complete || len(got.Words) != 1 {
			t.Errorf("%+v", got)
		}
	}
	cancel()
	wg.Wait()
}

// A counter is deletions that are counted elsewhere.
type counter struct {
	mu     sync.Mutex
	calls  int    // that were let through
	fails  int    // the next ones
	full   bool   // nothing is let through, but anyway
	anyway int    // that were let through so
	before func() // the first call; nil: nothing
}

func (c *counter) CountDeletion(_ context.Context, _ string, _ int, anyway bool) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.before != nil {
		c.before()
		c.before = nil
	}
	if c.fails > 0 {
		c.fails--
		return false, errors.New("away")
	}
	if c.full && !anyway {
		return false, nil
	}
	c.calls++
	if anyway {
		c.anyway++
	}
	return true, nil
}

// After the second word deletions go on beyond the limit, and count for the others.
func TestDeletionsAfterTheSecondWord(t *testing.T) {
	b := newBench(t)
	b.third.Guard = ledger.Guard{Deletions: 1}
	b.creates("edge", 3)
	run := b.start(ledger.RollbackRequest{})
	c := &counter{full: true}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { b.counting(c, true).Run(ctx) })
	defer wg.Wait()
	defer cancel()
	b.awaitRun(run.ID, asksFor("edge"))
	c.mu.Lock()
	c.full = false // the run ends, whatever it asks
	c.mu.Unlock()
	if _, err := b.ledger.Confirm(t.Context(), run.ID, "", "all ours"); err != nil {
		t.Fatal(err)
	}
	if got := b.awaitRun(run.ID, func(r *ledger.RollbackView) bool { return r.State.Over() }); !got.Complete || c.calls != 3 || c.anyway != 3 {
		t.Errorf("%+v, %d counted, %d anyway", got, c.calls, c.anyway)
	}
}

// While nobody can be asked how much was deleted, nothing is.
func TestDeletionsThatCannotBeCounted(t *testing.T) {
	b := newBench(t)
	b.third.Guard = ledger.Guard{Deletions: 5}
	b.creates("edge", 2)
	c := &counter{fails: 2}
	b.third.OnUndo = func(int, string) (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.fails > 0 || c.calls == 0 {
			t.Error("an undo was sent that was not counted")
		}
		return false, nil
	}
	run := b.start(ledger.RollbackRequest{})
	b.counting(c, true).RunOne(t.Context(), run.ID)
	if got, err := b.ledger.Rollback(t.Context(), run.ID); err != nil || !got.Complete || c.fails != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// An undo that was counted, and put off as news came between, is not counted again; updates, and systems without a guard, ask
// nobody.
func TestDeletionsAreCountedOnce(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		b := newBench(t)
		b.third.Guard = ledger.Guard{Deletions: 100}
		b.updatesOf("other", 2)
		b.creates("edge", 3)
		run := b.start(ledger.RollbackRequest{Parallel: parallel})
		c := &counter{before: func() { b.updatesOf("late", 1) }}
		b.counting(c, true).RunOne(t.Context(), run.ID)
		if got, err := b.ledger.Rollback(t.Context(), run.ID); err != nil || !got.Complete || got.Counts.Undone != 6 {
			t.Errorf("%+v, %v", got, err)
		}
		if c.calls != 3 {
			t.Errorf("parallel %d: 3 deletions were counted as %d", parallel, c.calls)
		}
	}
	b := newBench(t)
	b.creates("edge", 3)
	c := &counter{}
	run := b.start(ledger.RollbackRequest{})
	b.counting(c, true).RunOne(t.Context(), run.ID)
	if c.calls != 0 || b.runState(run.ID) != ledger.RollbackFinished {
		t.Errorf("%d deletions of a system without a guard were counted", c.calls)
	}
}
