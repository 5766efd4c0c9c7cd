package windowtest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"sideledger/ledger"
)

// A Window is one maintenance window of a real ledger, in which tests record what they did at a third party
// and roll it back. See [Setup.Open].
type Window struct {
	T      testing.TB
	Ledger *ledger.Ledger
	ID     uuid.UUID

	runFunc func(ctx context.Context, rollbackID uuid.UUID) // works on a rollback until it is over or waits longer than ctx
}

// Record records an entry and fails the test if it is refused.
func (w *Window) Record(d ledger.Draft) *ledger.Entry {
	w.T.Helper()
	r, err := w.Ledger.Record(w.T.Context(), w.ID, []ledger.Draft{d})
	if err != nil {
		w.T.Fatal(err)
	}
	return r[0].Entry
}

// Applied reports an entry as applied; resource completes its name, after its after-image, "" leaves them.
func (w *Window) Applied(e *ledger.Entry, resource, after string) *ledger.Entry {
	w.T.Helper()
	r := ledger.Report{Resource: json.RawMessage(resource)}
	if after != "" {
		r.After = ledger.Image{JSON: json.RawMessage(after)}
	}
	out, err := w.Ledger.Applied(w.T.Context(), e.ID, r)
	if err != nil {
		w.T.Fatal(err)
	}
	return out
}

// Rollback rolls the window back and returns the run when it is over; terms pick entries, none all.
func (w *Window) Rollback(terms ...string) *ledger.RollbackView {
	w.T.Helper()
	run, err := w.Ledger.StartRollback(w.T.Context(), w.ID, ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: terms}})
	if err != nil {
		w.T.Fatal(err)
	}
	return w.Finish(run.ID)
}

// Rehearse makes a rehearsal and takes back what it made, and what earlier ones left.
func (w *Window) Rehearse(r ledger.RehearsalRequest) *ledger.Rehearsal {
	w.T.Helper()
	out, err := w.Ledger.Rehearse(w.T.Context(), r)
	if err != nil {
		w.T.Fatal(err)
	}
	for _, e := range out.Earlier {
		earlier, err := w.Ledger.Window(w.T.Context(), e.WindowID)
		if err != nil {
			w.T.Fatal(err)
		}
		w.Finish(earlier.RollbackID)
	}
	if out.WindowID != uuid.Nil {
		w.Finish(out.RollbackID)
	}
	if out, err = w.Ledger.Rehearsed(w.T.Context(), out); err != nil {
		w.T.Fatal(err)
	}
	return out
}

// Resolve gives a person's word on a stuck entry and works on what that sets free.
func (w *Window) Resolve(e *ledger.Entry, d ledger.DecisionKind) {
	w.T.Helper()
	if _, err := w.Ledger.Resolve(w.T.Context(), e.ID, ledger.Resolution{Decision: d, Reason: "test"}); err != nil {
		w.T.Fatal(err)
	}
	known, err := w.Ledger.Window(w.T.Context(), w.ID)
	if err != nil {
		w.T.Fatal(err)
	}
	w.Finish(known.RollbackID)
}

// Finish works on a rollback that was started until it is over, and holds the journal to the store.
func (w *Window) Finish(id uuid.UUID) *ledger.RollbackView {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), time.Minute)
	defer cancel()
	w.runFunc(ctx, id)
	run, err := w.Ledger.Rollback(w.T.Context(), id)
	if err != nil {
		w.T.Fatal(err)
	}
	w.checkJournal()
	return run
}

// Entry reads an entry.
func (w *Window) Entry(e *ledger.Entry) *ledger.Entry {
	w.T.Helper()
	out, err := w.Ledger.Entry(w.T.Context(), e.ID)
	if err != nil {
		w.T.Fatal(err)
	}
	return out
}

// Want fails unless the entry is in this state: "applied", "undone compensated", "stuck drifted".
func (w *Window) Want(e *ledger.Entry, want string) *ledger.Entry {
	w.T.Helper()
	out := w.Entry(e)
	got := strings.Join(strings.Fields(string(out.State)+" "+string(out.Outcome)+" "+string(out.Reason)), " ")
	if got != want {
		w.T.Errorf("entry %d is %s (%s), want %s", out.Seq, got, out.Detail, want)
	}
	return out
}

// TakeBack takes an effect that is there through the whole of a ledger, in a window that has nothing else open: it
// records it, plans, verifies, rolls back and verifies again. outcome is what the undo comes to; sendsFunc counts the
// changing calls so far, so that a second rollback is seen to send nothing; nil: there is no second one.
func (w *Window) TakeBack(d ledger.Draft, outcome ledger.Outcome, sendsFunc func() int) *ledger.Entry {
	w.T.Helper()
	e := w.Record(d)
	w.wantFirst("the plan", w.verdicts, string(ledger.VerdictUndo))
	w.wantFirst("verify", w.checks, ledger.CheckSame)
	if run := w.Rollback(); !run.Complete {
		w.T.Errorf("the rollback left something: %+v", run.Counts)
	}
	e = w.Want(e, string(ledger.EntryUndone)+" "+string(outcome))
	w.wantFirst("verify of what was undone", w.checks, ledger.CheckSame)
	if sendsFunc != nil {
		sent := sendsFunc()
		if again := w.Rollback(); !again.Complete || sendsFunc() != sent {
			w.T.Errorf("a second rollback sent %d calls: %+v", sendsFunc()-sent, again.Counts)
		}
	}
	return e
}

// wantFirst compares what is said of the newest entry.
func (w *Window) wantFirst(name string, askFunc func() ([]string, error), want string) {
	w.T.Helper()
	got, err := askFunc()
	if err != nil || len(got) == 0 || got[0] != want {
		w.T.Errorf("%s says %v (%v), want %s first", name, got, err, want)
	}
}

// Warned reports whether a warning of an entry has these words.
func Warned(e *ledger.Entry, words string) bool {
	return slices.ContainsFunc(e.Warnings, func(w string) bool { return strings.Contains(w, words) })
}

// WantState fails unless the window is in this state.
func (w *Window) WantState(want ledger.WindowState) {
	w.T.Helper()
	if got, err := w.Ledger.Window(w.T.Context(), w.ID); err != nil || got.State != want {
		w.T.Errorf("the window is %s (%v), want %s", got.State, err, want)
	}
}

// WantPlan compares the plan's verdicts, newest first, and returns its steps.
func (w *Window) WantPlan(want string) []ledger.Step {
	w.T.Helper()
	steps, err := w.plan()
	if got := verdictsOf(steps); err != nil || strings.Join(got, " ") != want {
		w.T.Errorf("the plan says %v (%v), want %s", got, err, want)
	}
	return steps
}

func (w *Window) plan() (steps []ledger.Step, err error) {
	_, err = w.Ledger.Plan(w.T.Context(), w.ID, ledger.Selection{}, func(s ledger.Step) error {
		steps = append(steps, s)
		return nil
	})
	return steps, err
}

func verdictsOf(steps []ledger.Step) (list []string) {
	for _, s := range steps {
		list = append(list, string(s.Verdict))
	}
	return list
}

func (w *Window) verdicts() ([]string, error) {
	steps, err := w.plan()
	return verdictsOf(steps), err
}

// WantVerify compares what verify says, newest first.
func (w *Window) WantVerify(want string) {
	w.T.Helper()
	got, err := w.checks()
	if err != nil || strings.Join(got, " ") != want {
		w.T.Errorf("verify says %v (%v), want %s", got, err, want)
	}
}

func (w *Window) checks() (got []string, err error) {
	list, err := w.Ledger.Verify(w.T.Context(), w.ID)
	for _, c := range list {
		got = append(got, c.Verdict)
	}
	return got, err
}

// checkJournal rebuilds the entries from the journal alone and sets them beside the store's.
func (w *Window) checkJournal() {
	w.T.Helper()
	records, err := w.Ledger.Records(w.T.Context(), ledger.RecordQuery{WindowID: w.ID, Limit: 10000})
	if err != nil {
		w.T.Fatal(err)
	}
	var told ledger.Rebuilt
	for _, r := range records {
		if err := told.Apply(r); err != nil {
			w.T.Fatal(err)
		}
	}
	stored, err := w.Ledger.Entries(w.T.Context(), ledger.EntryQuery{WindowID: w.ID, Limit: 10000})
	if err != nil {
		w.T.Fatal(err)
	}
	if d := cmp.Diff(stored, told.Entries, cmpopts.EquateEmpty()); d != "" {
		w.T.Errorf("the journal tells other entries (-store +journal):\n%s", d)
	}
}
