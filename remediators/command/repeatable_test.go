package command

import (
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

// An undo is repeatable where the configuration says so, and nowhere else.
func TestRepeatableIsSaid(t *testing.T) {
	for _, repeatable := range []bool{false, true} {
		s := newSetup(t, "do", func(c *remediators.CommandConfig) { c.Repeatable = repeatable })
		req, err := s.rem.Preview(s.entry, ledger.Look{})
		if err != nil || req.Repeatable != repeatable {
			t.Errorf("repeatable: %v, the request says %v, %v", repeatable, req.Repeatable, err)
		}
	}
}

// A look has a time limit of its own, below the one of an undo that takes hours.
func TestReadTimeout(t *testing.T) {
	s := newSetup(t, "do", func(c *remediators.CommandConfig) { c.Timeout, c.ReadTimeout = 24*time.Hour, time.Nanosecond })
	if seen, err := s.rem.Look(t.Context(), s.entry); err == nil {
		t.Errorf("a look without time saw %s", seen.Now.JSON)
	}
	if a, err := s.rem.Undo(t.Context(), s.entry, ledger.Look{}); err != nil || a.Class != ledger.AnswerAccepted {
		t.Errorf("the undo: %+v, %v", a, err)
	}
	s = newSetup(t, "do", func(c *remediators.CommandConfig) { c.Timeout = 24 * time.Hour })
	if _, err := s.rem.Look(t.Context(), s.entry); err != nil {
		t.Error(err)
	}
}
