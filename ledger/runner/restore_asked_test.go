package runner_test

import (
	"slices"
	"strings"
	"testing"

	"sideledger/ledger"
)

func TestWhatMayNotBeAskedFor(t *testing.T) {
	b := newRestoreBench(t, openStore(t))
	b.weekend()
	ask := func(r ledger.RollbackRequest) error {
		_, err := b.ledger.StartRollback(t.Context(), b.window, r)
		return err
	}
	field := func(err error) string {
		e, ok := err.(*ledger.Error) //nolint:errorlint // it is made here
		if !ok || e.Code != ledger.CodeInvalid {
			t.Fatalf("got %v", err)
		}
		return e.Field
	}
	for _, part := range []ledger.SelectRequest{{Only: []string{"1"}}, {Exclude: []string{"1"}}, {ToEntry: "1"}} {
		if f := field(ask(ledger.RollbackRequest{RestoreSnapshot: true, SelectRequest: part})); f != "/restore_snapshot" {
			t.Errorf("%+v: field %s", part, f)
		}
	}
	sum, err := b.ledger.Plan(t.Context(), b.window, ledger.Selection{}, func(ledger.Step) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if f := field(ask(ledger.RollbackRequest{RestoreSnapshot: true, Plan: sum.Fingerprint})); f != "/plan" {
		t.Errorf("a plan without the restore, run with it: field %s", f)
	}
	b.third.Gone.Store(true)
	if f := field(ask(withRestore)); f != "/restore/system" {
		t.Errorf("its system is gone: field %s", f)
	}
	b.third.Gone.Store(false)
	// A running one that leaves the snapshot alone is not joined; one that restores it is, by whoever asks.
	run := b.start(ledger.RollbackRequest{})
	if err := ask(withRestore); ledger.CodeOf(err) != ledger.CodeConflict || !strings.Contains(err.Error(), "cancel it, then start again with restore_snapshot") {
		t.Errorf("joined: %v", err)
	}
	if _, err := b.ledger.Cancel(t.Context(), run.ID); err != nil {
		t.Fatal(err)
	}
	if sum, err = b.ledger.PlanRestore(t.Context(), b.window, ledger.Selection{}, func(ledger.Step) error { return nil }); err != nil {
		t.Fatal(err)
	}
	planned := withRestore
	planned.Plan = sum.Fingerprint
	run = b.start(planned)
	for _, r := range []ledger.RollbackRequest{withRestore, {}} {
		if joined := b.start(r); joined.ID != run.ID {
			t.Error("two runs")
		}
	}
	if b.restore() == nil {
		t.Error("the restore is not recorded")
	}
	b.window = newBenchWindow(b)
	if f := field(ask(withRestore)); f != "/restore_snapshot" {
		t.Errorf("a window that names none: field %s", f)
	}
}

func newBenchWindow(b *bench) (id [16]byte) {
	w, err := b.ledger.OpenWindow(b.Context(), ledger.WindowDraft{Name: "plain"})
	if err != nil {
		b.Fatal(err)
	}
	return w.ID
}

// The restore says that it succeeded, and the read-back says otherwise: the read-back is believed.
func TestRestoreIsReadBack(t *testing.T) {
	b := newRestoreBench(t, openStore(t))
	b.weekend()
	b.third.OnAnswer = func(_ int, at string) (ledger.Answer, bool) {
		return ledger.Answer{Class: ledger.AnswerAccepted}, at == "/snapshot"
	}
	b.rollback(withRestore)
	b.wantState(b.restore(), "stuck failed")
	b.wantOrder(weekendOrder[:4]...)
	if n := len(b.restore().Attempts); n != 1 {
		t.Errorf("it was run %d times", n)
	}
}

// Where the window says what the upgraded machine shows, anything else stops the restore as drift stops any entry.
func TestRestoreStopsAtDrift(t *testing.T) {
	b := newBench(t)
	d := restoreDraft()
	d.After = image(upgradedState)
	w, err := b.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "r", Restore: d})
	if err != nil {
		t.Fatal(err)
	}
	b.window = w.ID
	b.third.Set("/snapshot", `{"live":"a machine that somebody put there"}`)
	b.weekend()
	b.rollback(withRestore)
	b.wantState(b.restore(), "stuck drifted")
	b.wantOrder(weekendOrder[:4]...)
	// Without an expectation the order to restore covers whatever is there, and stands in the journal as a decision.
	b = newRestoreBench(t, openStore(t))
	b.third.Set("/snapshot", `{"live":"a machine that somebody put there"}`)
	run := b.start(withRestore)
	if d := b.restore().Decision; d == nil || d.Kind != ledger.DecideUndo || d.Reason != withRestore.Reason {
		t.Errorf("decision %+v", d)
	}
	b.finish(run.ID)
	b.wantState(b.restore(), "undone undone")
}

// A snapshot that is live already is not restored again.
func TestRestoredAlready(t *testing.T) {
	b := newRestoreBench(t, openStore(t))
	b.weekend()
	b.third.Set("/snapshot", snapshotState)
	b.rollback(withRestore)
	b.wantState(b.restore(), "undone already_undone")
	if slices.Contains(b.third.Order(), "/snapshot") || b.state() != ledger.WindowRolledBack {
		t.Errorf("order %v, window %s", b.third.Order(), b.state())
	}
}
