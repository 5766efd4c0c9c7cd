package ledger_test

import (
	"errors"
	"testing"
	"time"

	"sideledger/ledger"
)

// Who may have a lease, without a race and by no clock but the one that the test moves. Both heirs have seen the dead one's lease unchanged
// for a whole term: the first one who asks gets it, and what the other one has seen is not the lease any more.
func TestLeaseOfTheDeadHasOneHeir(t *testing.T) {
	s := newStand(t)
	run, err := s.ledger.StartRollback(t.Context(), s.window, ledger.RollbackRequest{})
	if err != nil {
		t.Fatal(err)
	}
	claim := func(c ledger.Claimant) *ledger.Lease {
		t.Helper()
		lease, err := s.ledger.Claim(t.Context(), run.ID, c)
		if err != nil && ledger.CodeOf(err) != ledger.CodeConflict {
			t.Fatal(err)
		}
		return lease
	}
	seen := func() *ledger.Tenure {
		t.Helper()
		r, err := s.ledger.Run(t.Context(), run.ID)
		if err != nil {
			t.Fatal(err)
		}
		now := r.Tenure()
		return &now
	}
	dead := claim(ledger.Claimant{Holder: "dead"})
	if dead == nil {
		t.Fatal("a lease that nobody has is not to be had")
	}
	before := seen()
	s.now = s.now.Add(time.Second)
	if err := s.ledger.RenewLease(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
	if claim(ledger.Claimant{Holder: "first", Silent: before}) != nil {
		t.Error("a lease that was renewed since it was seen was taken")
	}
	silent := seen()
	s.now = s.now.Add(24 * time.Hour) // what the time in the row says is nobody's concern
	if claim(ledger.Claimant{Holder: "first"}) != nil {
		t.Error("a lease was taken by one who has not watched it")
	}
	first := claim(ledger.Claimant{Holder: "first", Silent: silent})
	if first == nil || !first.Taken {
		t.Fatalf("a dead one's lease is not to be had: %+v", first)
	}
	if claim(ledger.Claimant{Holder: "second", Silent: silent}) != nil {
		t.Error("a dead one's lease has two heirs")
	}
	if err := s.ledger.RenewLease(t.Context(), dead); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("the dead one renewed a lease that it has lost: %v", err)
	}
	if err := s.ledger.RenewLease(t.Context(), first); err != nil {
		t.Errorf("its heir cannot renew it: %v", err)
	}
}
