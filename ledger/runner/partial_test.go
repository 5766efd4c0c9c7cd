package runner_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// What scripts record while a partial run works is not the run's.
func TestPartialLeavesWhatIsRecordedMeanwhile(t *testing.T) {
	b := newBench(t)
	list := b.updates(3)
	b.third.OnUndo = func(n int, _ string) (bool, error) {
		if n == 1 {
			b.third.State["/new"] = `{"v":2}`
			b.mustRecord(draft("/new", `{"v":1}`, `{"v":2}`))
		}
		return false, nil
	}
	run := b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"system=sys"}}})
	if want := []string{"/r/3", "/r/2", "/r/1"}; !slices.Equal(b.third.Order(), want) || !run.Complete || run.Counts.Undone != 3 {
		t.Errorf("order %v, run %+v", b.third.Order(), run.Counts)
	}
	b.wantState(list[0], "undone undone")
	// The same selection posted again takes the new one in.
	b.third.OnUndo = nil
	if run := b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"system=sys"}}}); run.Counts.Undone != 4 {
		t.Errorf("again: %+v", run.Counts)
	}
}

// mustRecord records a draft from within a hook of the third party.
func (b *bench) mustRecord(d ledger.Draft) *ledger.Entry {
	b.Helper()
	r, err := b.ledger.Record(b.Context(), b.window, []ledger.Draft{d})
	if err != nil {
		b.Error(err)
		return &ledger.Entry{}
	}
	return r[0].Entry
}

// An entry that is recorded meanwhile on a resource holds the older one there, as any dependent does.
func TestPartialDoesNotOvertakeDependentsRecordedMeanwhile(t *testing.T) {
	for _, how := range []string{"resource", "depends_on"} {
		t.Run(how, func(t *testing.T) {
			b := newBench(t)
			list := b.updates(3)
			b.third.OnUndo = func(n int, _ string) (bool, error) {
				d := draft("/r/1", `{"v":"new-1"}`, `{"v":"newer"}`)
				if how == "depends_on" {
					d = draft("/other", `{"v":1}`, `{"v":2}`)
					d.DependsOn = []uuid.UUID{list[0].ID}
				}
				if n == 1 {
					b.mustRecord(d)
				}
				return false, nil
			}
			run := b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"1", "2", "3"}}})
			if want := []string{"/r/3", "/r/2"}; !slices.Equal(b.third.Order(), want) || run.Complete || run.Counts.Remaining != 1 {
				t.Errorf("order %v, run %+v", b.third.Order(), run.Counts)
			}
			b.wantState(list[0], "applied")
		})
	}
}

// Recording beside a partial run does not keep it from its end.
func TestPartialEndsBesideABusyScript(t *testing.T) {
	b := newBench(t)
	list := b.updates(20)
	n := 0
	b.third.OnLook = func(int, string) error {
		if n++; n < 200 {
			b.mustRecord(draft(fmt.Sprintf("/busy/%d", n), `{"v":1}`, `{"v":2}`))
		}
		return nil
	}
	run := b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{ToEntry: "5"}})
	if !run.Complete || run.Counts.Undone != 15 {
		t.Errorf("run %+v", run.Counts)
	}
	b.wantState(list[4], "applied")
	if looks, _ := b.third.Calls(); looks > 40 {
		t.Errorf("%d looks for 15 entries: it began anew at each record", looks)
	}
}

// A person's word on an entry of a partial run that is under way is acted on by that run.
func TestResolveDuringAPartialRun(t *testing.T) {
	b := newBench(t)
	list := b.updates(3)
	b.third.Set("/r/3", `{"v":"x"}`)
	resolved := false
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/r/1" && !resolved {
			resolved = true
			if _, err := b.ledger.Resolve(b.Context(), list[2].ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "ours"}); err != nil {
				t.Error(err)
			}
		}
		return false, nil
	}
	run := b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"1", "2", "3"}}})
	b.wantState(list[2], "undone undone")
	if !resolved || !run.Complete || b.state() != ledger.WindowOpen {
		t.Errorf("run %+v, window %s", run.Counts, b.state())
	}
}

// After a cancelled rollback a person's word moves its own entry, not the rest that was called off.
func TestResolveAfterACancel(t *testing.T) {
	for _, decision := range []ledger.DecisionKind{ledger.DecideUndo, ledger.DecideWaive} {
		t.Run(string(decision), func(t *testing.T) {
			b := newBench(t)
			list := b.updates(4)
			b.third.Set("/r/4", `{"v":"x"}`)
			run := b.start(ledger.RollbackRequest{})
			b.third.OnUndo = func(_ int, at string) (bool, error) {
				if at == "/r/3" {
					if _, err := b.ledger.Cancel(t.Context(), run.ID); err != nil {
						t.Error(err)
					}
				}
				return false, nil
			}
			b.finish(run.ID)
			if b.state() != ledger.WindowStuck {
				t.Fatalf("window %s", b.state())
			}
			b.third.OnUndo = nil
			if _, err := b.ledger.Resolve(t.Context(), list[3].ID, ledger.Resolution{Decision: decision, Reason: "r"}); err != nil {
				t.Fatal(err)
			}
			b.finishLast()
			b.wantState(list[1], "applied")
			b.wantState(list[0], "applied")
			if b.state() != ledger.WindowSealed {
				t.Errorf("nothing is stuck any more, and the window is %s", b.state())
			}
			if run := b.rollback(ledger.RollbackRequest{}); !run.Complete || b.state() != ledger.WindowRolledBack {
				t.Errorf("the rollback that was asked for anew: %+v, window %s", run.Counts, b.state())
			}
		})
	}
}
