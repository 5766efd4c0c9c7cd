package runner_test

import (
	"testing"

	"sideledger/ledger"
)

// TestLateFactOpensTheRun: a run that was complete is not, once a late fact is open that it would have undone.
// What is answered of a run is true now, counts and word alike; once a person has decided, it is complete again.
func TestLateFactOpensTheRun(t *testing.T) {
	b := newBench(t)
	b.updates(1)
	run := b.rollback(ledger.RollbackRequest{})
	if !run.Complete || b.state() != ledger.WindowRolledBack {
		t.Fatalf("the run is %+v, the window %s", run, b.state())
	}
	late := b.record(draft("/late", `{"v":"old"}`, `{"v":"new"}`))[0]
	b.wantState(late, "stuck late")
	now, err := b.ledger.Rollback(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if now.Complete || now.Counts.Stuck != 1 || b.state() != ledger.WindowStuck {
		t.Errorf("after the late fact: complete %t, counts %+v, window %s", now.Complete, now.Counts, b.state())
	}
	if _, err := b.ledger.Resolve(t.Context(), late.ID, ledger.Resolution{Decision: ledger.DecideWaive, Reason: "it stays"}); err != nil {
		t.Fatal(err)
	}
	if now, err = b.ledger.Rollback(t.Context(), run.ID); err != nil || !now.Complete {
		t.Errorf("after the decision: %+v, %v", now, err)
	}
}

// TestLateFactBesidePartialRun: what a partial run did not select does not open it.
func TestLateFactBesidePartialRun(t *testing.T) {
	b := newBench(t)
	b.updates(2)
	run := b.finish(b.start(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"2"}}}).ID)
	b.record(draft("/later", `{"v":"old"}`, `{"v":"new"}`))
	if now, err := b.ledger.Rollback(t.Context(), run.ID); err != nil || !now.Complete || now.Counts.Open() != 0 {
		t.Errorf("the partial run is %+v, %v", now, err)
	}
}
