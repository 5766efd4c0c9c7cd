package runner_test

import (
	"fmt"
	"testing"

	"sideledger/ledger"
)

// While the third party is called, the attempt stands in the store already, open.
func TestAttemptIsDurableBeforeTheCall(t *testing.T) {
	b := newBench(t)
	list := map[string]*ledger.Entry{}
	for _, e := range b.updates(3) {
		list[fmt.Sprintf("/r/%d", e.Seq)] = e
	}
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		e := b.entry(list[at].ID)
		if e.State != ledger.EntryUndoing || len(e.Attempts) != 1 || !e.Attempts[0].Open() {
			t.Errorf("%s is undone while its entry is %s with attempts %+v", at, e.State, e.Attempts)
		}
		return false, nil
	}
	b.rollback(ledger.RollbackRequest{})
	if n := len(b.third.Order()); n != len(list) {
		t.Errorf("%d undos, want %d", n, len(list))
	}
}

// The process dies at every write of a rollback, before and after it took effect, and no look can tell what was
// sent: nothing is sent twice, and what nobody knows is said.
func TestDeathAtEveryWriteOfBlindEntries(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n, fired := 0, true; fired; n += step(t) {
			t.Run(fmt.Sprintf("write %d after=%v", n, after), func(t *testing.T) {
				d := &deathly{Store: openStore(t), left: -1}
				b := newBenchOn(t, d)
				b.third.Post = true
				list := b.updates(3)
				for i := range list {
					b.third.Blind[fmt.Sprintf("/r/%d", i+1)] = true
				}
				run := b.start(ledger.RollbackRequest{})
				fired = b.dieAt(d, n, after, run.ID)
				b.checkJournal()
				sent := map[string]int{}
				for _, at := range b.third.Order() {
					sent[at]++
				}
				for i, e := range list {
					at := fmt.Sprintf("/r/%d", i+1)
					if sent[at] > 1 {
						t.Errorf("%s was undone %d times", at, sent[at])
					}
					if got := b.entry(e.ID); got.Outcome != ledger.OutcomeUnverified && got.Reason != ledger.ReasonInDoubt {
						t.Errorf("%s is %s %s%s (%s)", at, got.State, got.Outcome, got.Reason, got.Detail)
					}
				}
			})
		}
	}
}
