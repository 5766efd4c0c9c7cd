package runner_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/runner"
)

// The process dies at every write of a rollback that restores the snapshot, before and after it took effect; the next
// one finishes, and nothing is done twice or out of its order.
func TestRestoreDeathAtEveryWrite(t *testing.T) {
	for _, after := range []bool{false, true} {
		deaths := 0
		for n, fired := 0, true; fired; n += leap(t) {
			t.Run(fmt.Sprintf("write %d after=%v", n, after), func(t *testing.T) {
				d := &deathly{Store: openStore(t), left: -1}
				b := newRestoreBench(t, d)
				b.weekend()
				run := b.start(withRestore)
				fired = b.dieAt(d, n, after, run.ID)
				b.wantOrder(weekendOrder...)
				if b.state() != ledger.WindowRolledBack {
					t.Errorf("window %s", b.state())
				}
				b.checkJournal()
			})
			deaths += leap(t)
		}
		if deaths < 10 {
			t.Errorf("%d deaths only", deaths)
		}
	}
}

// Every answer is lost once, before or after its effect. The order stands.
func TestRestoreAnswersLost(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; n <= len(weekendOrder); n += min(2, leap(t)) {
			t.Run(fmt.Sprintf("answer %d after=%v", n, after), func(t *testing.T) {
				b := newRestoreBench(t, openStore(t))
				b.weekend()
				b.third.OnUndo = func(i int, _ string) (bool, error) {
					if i == n {
						return after, &ledger.CallError{Class: ledger.CallAmbiguous}
					}
					return false, nil
				}
				b.rollback(withRestore)
				b.wantOrder(weekendOrder...)
				if b.state() != ledger.WindowRolledBack {
					t.Errorf("window %s", b.state())
				}
			})
		}
	}
}

// A restore breaks off half way: one that is safe to repeat is run again, one that is not waits for a person's word, and
// neither lets the rest overtake it. What it left half done is not drift, whatever the window expected to see.
func TestHalfRestored(t *testing.T) {
	for _, c := range []struct{ repeatable, expected bool }{{true, false}, {true, true}, {false, false}, {false, true}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			b := newBench(t)
			d := restoreDraft()
			if c.expected {
				d.After = image(upgradedState)
			}
			w, err := b.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "r", Restore: d})
			if err != nil {
				t.Fatal(err)
			}
			b.window = w.ID
			b.third.Set("/snapshot", upgradedState)
			list := b.weekend()
			b.third.Post = !c.repeatable
			broke := false
			b.third.OnUndo = func(_ int, at string) (bool, error) {
				if at != "/snapshot" || broke {
					return false, nil
				}
				broke = true
				b.third.State["/snapshot"] = `{"live":"half of it"}`
				return false, &ledger.CallError{Class: ledger.CallAmbiguous, Detail: "the command was killed"}
			}
			b.rollback(withRestore)
			if c.repeatable {
				b.wantOrder(weekendOrder...)
				b.wantState(b.restore(), "undone undone")
				return
			}
			b.wantState(b.restore(), "stuck in_doubt")
			b.wantState(list[0], "applied")
			b.rollback(withRestore) // a new run does not send it again either
			b.wantState(b.restore(), "stuck in_doubt")
			b.wantOrder(weekendOrder[:4]...)
			b.resolve(b.restore(), ledger.DecideRetry)
			b.wantOrder(weekendOrder...)
		})
	}
}

// A restore takes hours: the lease is kept, no other runner takes the run over, and nothing else is sent meanwhile.
func TestRestoreTakesHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRestoreBench(t, openStore(t))
		b.weekend()
		run := b.start(withRestore)
		refused := 0
		b.third.OnUndo = func(_ int, at string) (bool, error) {
			if at != "/snapshot" {
				return false, nil
			}
			for range fewer(t, restoreMinutes, 20) { // another runner asks every minute
				time.Sleep(time.Minute)
				if _, err := b.ledger.Claim(t.Context(), run.ID, ledger.Claimant{Holder: "another"}); ledger.CodeOf(err) == ledger.CodeConflict {
					refused++
				}
			}
			return false, nil
		}
		r := runner.New(runner.Config{
			Ledger: b.ledger, Waker: b.waker, Clock: time.Now, Log: quiet(), JitterFunc: func(d time.Duration) time.Duration { return d },
		})
		r.RunOne(t.Context(), run.ID)
		b.wantOrder(weekendOrder...)
		if refused != fewer(t, restoreMinutes, 20) || b.state() != ledger.WindowRolledBack {
			t.Errorf("the run was refused to another runner %d times, window %s", refused, b.state())
		}
		b.checkJournal()
	})
}
