package runner_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// creates records n resources that a script made at a system.
func (b *bench) creates(system string, n int) []*ledger.Entry {
	b.Helper()
	var list []ledger.Draft
	for i := 1; i <= n; i++ {
		d := draft(fmt.Sprintf("/%s/%d", system, i), "null", `{"v":1}`)
		d.System = system
		list = append(list, d)
	}
	return b.record(list...)
}

// working runs a runner until the test stops it.
func (b *bench) working() (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	r := b.runner()
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	return func() { cancel(); wg.Wait() }
}

// awaitRun waits until the run is as ok says.
func (b *bench) awaitRun(id uuid.UUID, ok func(*ledger.RollbackView) bool) *ledger.RollbackView {
	b.Helper()
	told, end := b.ledger.Subscribe(b.window)
	defer end()
	limit := time.After(time.Minute)
	for {
		run, err := b.ledger.Rollback(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		if ok(run) {
			return run
		}
		select {
		case <-told:
		case <-limit:
			b.Fatalf("the run is %s, %+v, %+v", run.State, run.Waiting, run.Words)
		}
	}
}

func asksFor(system string) func(*ledger.RollbackView) bool {
	return func(r *ledger.RollbackView) bool {
		return r.State == ledger.RollbackWaiting && r.Waiting.Why == "second_word" && r.Waiting.On == system && r.Waits(system)
	}
}

// More deletions at one system than its guard allows wait for a second word; everything else goes on.
func TestDeletionsWaitForASecondWord(t *testing.T) {
	b := newBench(t)
	b.third.Guard = ledger.Guard{Deletions: 3}
	b.creates("edge", 5)
	b.updatesOf("edge", 2)
	b.creates("flags", 3)
	changes := b.updatesOf("other", 4)
	run := b.start(ledger.RollbackRequest{})
	stop := b.working()
	got := b.awaitRun(run.ID, asksFor("edge"))
	if got.Counts.Undone != 12 || got.Counts.Remaining != 2 { // 3 of edge's deletions, its 2 updates, flags, others
		t.Errorf("counts %+v", got.Counts)
	}
	b.wantState(changes[0], "undone undone")
	for _, wrong := range []struct{ system, reason string }{{"flags", "r"}, {"", ""}} {
		if _, err := b.ledger.Confirm(t.Context(), run.ID, wrong.system, wrong.reason); err == nil {
			t.Errorf("confirmed %+v", wrong)
		}
	}
	stop() // the word that was asked for outlives the process: the next one sends nothing without it
	_, before := b.third.Calls()
	stop = b.working()
	defer func() { stop() }()
	b.awaitRun(run.ID, func(r *ledger.RollbackView) bool { return r.Epoch > got.Epoch && asksFor("edge")(r) })
	if _, undos := b.third.Calls(); undos != before {
		t.Errorf("%d undos without a word", undos-before)
	}
	if _, err := b.ledger.Confirm(t.Context(), run.ID, "edge", "all ours"); err != nil {
		t.Fatal(err)
	}
	got = b.awaitRun(run.ID, func(r *ledger.RollbackView) bool { return r.State.Over() })
	if !got.Complete || got.Words[0].Reason != "all ours" || got.Words[0].GivenAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if _, err := b.ledger.Confirm(t.Context(), run.ID, "", "again"); ledger.CodeOf(err) != ledger.CodeConflict {
		t.Errorf("a run that is over was confirmed: %v", err)
	}
	b.checkJournal()
}

// A share of what a system holds is worked out before the first undo there.
func TestShareWaitsForASecondWord(t *testing.T) {
	for name, c := range map[string]struct {
		held  int
		known bool
		asks  bool
	}{"more than its share": {7, true, true}, "its share": {8, true, false}, "nobody can count": {0, false, true}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.third.Guard, b.third.HeldFunc = ledger.Guard{Share: 0.5}, func() (int, bool, error) { return c.held, c.known, nil }
			b.updatesOf("edge", 4)
			run := b.start(ledger.RollbackRequest{})
			stop := b.working()
			defer stop()
			if c.asks {
				b.awaitRun(run.ID, asksFor("edge"))
				if _, undos := b.third.Calls(); undos != 0 {
					t.Errorf("%d undos", undos)
				}
				if _, err := b.ledger.Confirm(t.Context(), run.ID, "", "yes"); err != nil {
					t.Fatal(err)
				}
			}
			if got := b.awaitRun(run.ID, func(r *ledger.RollbackView) bool { return r.State.Over() }); !got.Complete {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A system that is away while its share is worked out is waited for, as for a look.
func TestShareOfASystemThatIsAway(t *testing.T) {
	b := newBench(t)
	away := 2
	b.third.Guard, b.third.HeldFunc = ledger.Guard{Share: 0.5}, func() (int, bool, error) {
		if away--; away >= 0 {
			return 0, false, &ledger.CallError{Class: ledger.CallNotSent, Err: errors.New("away")}
		}
		return 100, true, nil
	}
	b.updatesOf("edge", 2)
	if run := b.rollback(ledger.RollbackRequest{}); !run.Complete || away >= 0 {
		t.Errorf("%+v", run)
	}
}

// What was deleted more than a minute ago does not count.
func TestDeletionsOfTheLastMinuteCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.third.Guard = ledger.Guard{Deletions: 2}
		b.creates("edge", 5)
		b.third.OnUndo = func(int, string) (bool, error) { time.Sleep(31 * time.Second); return false, nil }
		id := b.start(ledger.RollbackRequest{}).ID
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		b.runner().RunOne(ctx, id)
		if run, err := b.ledger.Rollback(t.Context(), id); err != nil || !run.Complete || len(run.Words) != 0 {
			t.Errorf("%+v, %v", run, err)
		}
	})
}
