package runner_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// A run of the restore alone looks, and while it does a script records what is marked before_restore: that goes first,
// although the run leaves it out, so the restore is not sent. What is not marked holds nothing.
func TestMarkedEntryRecordedDuringARunOfTheRestoreAlone(t *testing.T) {
	for _, c := range []struct {
		name string
		fact ledger.Draft
		want string
	}{
		{"marked", marked(draft("/new", `{"v":1}`, `{"v":2}`)), "applied"},
		{"not marked", draft("/new", `{"v":1}`, `{"v":2}`), "undone undone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newRestoreBench(t, openStore(t))
			b.updates(1)
			if _, err := b.ledger.Cancel(t.Context(), b.start(withRestore).ID); err != nil {
				t.Fatal(err)
			}
			recorded := false
			b.third.OnLook = func(_ int, at string) error {
				if at == "/snapshot" && !recorded {
					recorded = true
					b.third.State["/new"] = `{"v":2}`
					b.mustRecord(c.fact)
				}
				return nil
			}
			alone := ledger.SelectRequest{Only: []string{fmt.Sprint(b.restore().Seq)}}
			run := b.rollback(ledger.RollbackRequest{SelectRequest: alone})
			b.wantState(b.restore(), c.want)
			if !recorded || run.Complete != (c.name != "marked") || b.state() != ledger.WindowSealed {
				t.Errorf("recorded: %v, run %+v, window %s", recorded, run.Counts, b.state())
			}
		})
	}
}

// What is recorded as retained is closed from its first moment and frees nothing: beside a partial run it is no news,
// and the run does not begin anew for it.
func TestPartialIsNotBegunAnewByRetainedEntries(t *testing.T) {
	b := newBench(t)
	b.updates(20)
	n := 0
	b.third.OnLook = func(int, string) error {
		if n++; n < 200 {
			d := draft(fmt.Sprintf("/guard/%d", n), `{"v":1}`, `{"v":2}`)
			d.OnRollback = ledger.OnRollbackRetain
			b.mustRecord(d)
		}
		return nil
	}
	run := b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{ToEntry: "5"}})
	if !run.Complete || run.Counts.Undone != 15 {
		t.Errorf("run %+v", run.Counts)
	}
	if looks, _ := b.third.Calls(); looks > 40 {
		t.Errorf("%d looks for 15 entries: it began anew at each record", looks)
	}
}

// An entry that was recorded and closed again beside a partial run frees what it held: the run walks once more.
func TestPartialGoesOnWhenWhatHeldItIsClosed(t *testing.T) {
	b := newBench(t)
	list := b.updates(3)
	d := draft("/other", `{"v":1}`, `{"v":2}`)
	d.State, d.DependsOn = ledger.EntryIntended, []uuid.UUID{list[0].ID}
	var newer *ledger.Entry
	b.third.OnUndo = func(n int, _ string) (bool, error) {
		switch n {
		case 1:
			newer = b.mustRecord(d)
		case 2:
			if _, err := b.ledger.Void(t.Context(), newer.ID, "it was not made"); err != nil {
				t.Error(err)
			}
		}
		return false, nil
	}
	run := b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"1", "2", "3"}}})
	b.wantState(list[0], "undone undone")
	if !run.Complete || b.state() != ledger.WindowOpen {
		t.Errorf("run %+v, window %s", run.Counts, b.state())
	}
}
