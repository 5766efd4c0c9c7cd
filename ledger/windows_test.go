package ledger_test

import (
	"testing"

	"sideledger/ledger"
)

// A script that seals at its end, and is run again after the upgrade was accepted, does not take that back.
func TestSealLeavesAKeptWindow(t *testing.T) {
	s := newStand(t)
	if _, err := s.ledger.Keep(t.Context(), s.window, "accepted"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ledger.Seal(t.Context(), s.window, ""); ledger.CodeOf(err) != ledger.CodeConflict {
		t.Errorf("seal of a kept window: %v, want a conflict", err)
	}
	if w, err := s.ledger.Window(t.Context(), s.window); err != nil || w.State != ledger.WindowKept {
		t.Fatalf("the window is %s (%v), want kept", w.State, err)
	}
	if w, err := s.ledger.Reopen(t.Context(), s.window, "not yet"); err != nil || w.State != ledger.WindowSealed {
		t.Errorf("reopen of a kept window: %+v, %v, want sealed", w, err)
	}
}
