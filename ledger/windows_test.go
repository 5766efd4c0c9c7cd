package ledger_test

import (
	"strings"
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

// TestNamesAreCountedInCharacters: the limit of a name is the one that the API's schema says, and it says it in one word.
func TestNamesAreCountedInCharacters(t *testing.T) {
	s := newStand(t)
	open := func(name string) error {
		_, err := s.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: name})
		return err
	}
	if err := open(strings.Repeat("ü", 200)); err != nil {
		t.Errorf("200 characters: %v", err)
	}
	if err := open(strings.Repeat("ü", 201)); err == nil || !strings.Contains(err.Error(), "is longer than 200 characters") {
		t.Errorf("201 characters: %v", err)
	}
}
