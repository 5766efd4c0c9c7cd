package runner_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// TestHeldIsNamed: a run that left an entry alone says which newer one it has to wait for, and whether it selected it.
func TestHeldIsNamed(t *testing.T) {
	b := newBench(t)
	first := b.record(draft("/one", `{"v":1}`, `{"v":2}`))[0]
	second := b.record(draft("/one", `{"v":2}`, `{"v":3}`))[0]
	dependent := draft("/other", `{"v":1}`, `{"v":2}`)
	dependent.DependsOn = []uuid.UUID{second.ID}
	b.record(dependent)

	only := func(terms ...string) *ledger.RollbackView {
		return b.finish(b.start(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: terms}}).ID)
	}
	run := only("1")
	if want := []ledger.Held{{EntryID: first.ID, Seq: 1, By: 2}}; run.Complete || !slices.Equal(run.Held, want) {
		t.Errorf("only 1: %+v, held %+v", run.Counts, run.Held)
	}
	run = only("1", "2")
	want := []ledger.Held{{EntryID: second.ID, Seq: 2, By: 3}, {EntryID: first.ID, Seq: 1, By: 2, Selected: true}}
	if !slices.Equal(run.Held, want) {
		t.Errorf("only 1 and 2: held %+v", run.Held)
	}
	if run = b.rollback(ledger.RollbackRequest{}); !run.Complete || len(run.Held) != 0 {
		t.Errorf("all: %+v, held %+v", run.Counts, run.Held)
	}
}

// TestHeldByWhatIsStuck: with each on_stuck the entry that holds the rest is named.
func TestHeldByWhatIsStuck(t *testing.T) {
	for how, held := range map[ledger.OnStuck]int{ledger.OnStuckSystem: 2, ledger.OnStuckHalt: 2, ledger.OnStuckContinue: 0} {
		b := newBench(t)
		b.updates(3)
		b.third.Set("/r/3", `{"v":"somebody"}`)
		run := b.rollback(ledger.RollbackRequest{OnStuck: how})
		if len(run.Held) != held || run.Counts.Remaining != held {
			t.Errorf("%s: %+v, held %+v", how, run.Counts, run.Held)
		}
		for _, h := range run.Held {
			if h.By != 3 || !h.Selected {
				t.Errorf("%s: %+v", how, h)
			}
		}
	}
}
