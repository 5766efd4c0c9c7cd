package remediatortest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"sideledger/ledger"
)

// A Window is one maintenance window of a real ledger, in which tests record what they did at a third party
// and roll it back. The package under test makes the ledger and its runner: they are not known here.
type Window struct {
	T      testing.TB
	Ledger *ledger.Ledger
	ID     uuid.UUID
	// RunFunc works on a rollback until it is over, paused, or waits longer than ctx.
	RunFunc func(ctx context.Context, rollbackID uuid.UUID)
}

// OpenWindow opens a window in a ledger.
func OpenWindow(t testing.TB, l *ledger.Ledger, runFunc func(context.Context, uuid.UUID)) *Window {
	t.Helper()
	w, err := l.OpenWindow(t.Context(), ledger.WindowDraft{Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	return &Window{T: t, Ledger: l, ID: w.ID, RunFunc: runFunc}
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
	return w.finish(run.ID)
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
	w.finish(known.RollbackID)
}

func (w *Window) finish(id uuid.UUID) *ledger.RollbackView {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), time.Minute)
	defer cancel()
	w.RunFunc(ctx, id)
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
	var got []string
	var steps []ledger.Step
	_, err := w.Ledger.Plan(w.T.Context(), w.ID, ledger.Selection{}, func(s ledger.Step) error {
		got, steps = append(got, string(s.Verdict)), append(steps, s)
		return nil
	})
	if err != nil || strings.Join(got, " ") != want {
		w.T.Errorf("the plan says %v (%v), want %s", got, err, want)
	}
	return steps
}

// WantVerify compares what verify says, newest first.
func (w *Window) WantVerify(want string) {
	w.T.Helper()
	list, err := w.Ledger.Verify(w.T.Context(), w.ID)
	var got []string
	for _, c := range list {
		got = append(got, c.Verdict)
	}
	if err != nil || strings.Join(got, " ") != want {
		w.T.Errorf("verify says %v (%v), want %s", list, err, want)
	}
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
