package runner_test

import (
	"testing"
	"time"

	"sideledger/ledger"
)

// Calls that never left, refused by an open breaker or without a connection, burn no attempt, however many they are:
// not those of looks, and not those of undos. Neither do they use up what is allowed without an answer.
func TestUnsentCallsBurnNoAttempts(t *testing.T) {
	const unsent = 20 // more than four times the four attempts of a system
	for _, class := range []ledger.CallClass{ledger.CallAway, ledger.CallNotSent} {
		refused := &ledger.CallError{Class: class, RetryAfter: time.Millisecond}
		t.Run(string(class)+" look", func(t *testing.T) {
			b := newBench(t)
			e := b.updates(1)[0]
			b.third.OnLook = func(n int, _ string) error {
				if n <= unsent {
					return refused
				}
				return nil
			}
			b.rollback(ledger.RollbackRequest{})
			b.wantState(e, "undone undone")
		})
		t.Run(string(class)+" undo", func(t *testing.T) {
			b := newBench(t)
			e := b.updates(1)[0]
			b.third.OnUndo = func(n int, _ string) (bool, error) {
				switch {
				case n <= unsent:
					return false, refused
				case n == unsent+1:
					return false, &ledger.CallError{Class: ledger.CallAmbiguous}
				}
				return false, nil
			}
			b.third.OnAnswer = func(n int, _ string) (ledger.Answer, bool) {
				return ledger.Answer{Class: ledger.AnswerFailed, Status: 500}, n == unsent+2
			}
			b.rollback(ledger.RollbackRequest{})
			b.wantState(e, "undone undone")
			if n := len(b.entry(e.ID).Attempts); n != unsent+3 {
				t.Errorf("%d attempts, want %d", n, unsent+3)
			}
		})
	}
}
