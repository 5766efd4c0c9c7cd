package runner_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"sideledger/ledger"
)

// beside opens another window on the same ledger and third party.
func (b *bench) beside(name string) *bench {
	b.Helper()
	w, err := b.ledger.OpenWindow(b.Context(), ledger.WindowDraft{Name: name})
	if err != nil {
		b.Fatal(err)
	}
	out := *b
	out.window = w.ID
	return &out
}

// contest lets two windows change one resource, theirs last.
func contest(t *testing.T) (ours, theirs *bench, first, last *ledger.Entry) {
	t.Helper()
	ours = newBench(t)
	theirs = ours.beside("other")
	first = ours.record(draft("/r/1", `{"v":"old"}`, `{"v":"ours"}`))[0]
	last = theirs.record(draft("/r/1", `{"v":"ours"}`, `{"v":"theirs"}`))[0]
	return ours, theirs, first, last
}

func (b *bench) wantBlockedBy(e, by *ledger.Entry) {
	b.Helper()
	now := b.entry(e.ID)
	if now.State != ledger.EntryStuck || now.Reason != ledger.ReasonBlocked || !strings.Contains(now.Detail, by.WindowID.String()) ||
		!strings.Contains(now.Detail, by.ID.String()) || !strings.Contains(now.Next(), "--undo") {
		b.Errorf("entry is %s %s, %q, next %q; want blocked by %s", now.State, now.Reason, now.Detail, now.Next(), by.ID)
	}
}

func TestOverlapBlocksTheOlderUndo(t *testing.T) {
	ours, theirs, first, last := contest(t)
	other := ours.record(draft("/r/2", `{"v":1}`, `{"v":2}`))[0]
	run := ours.rollback(ledger.RollbackRequest{})
	if run.Complete || run.Counts.Stuck != 1 || run.Counts.Undone != 1 {
		t.Errorf("run %+v", run)
	}
	ours.wantBlockedBy(first, last)
	ours.wantState(other, "undone undone")
	if got := ours.third.State["/r/1"]; got != `{"v":"theirs"}` {
		t.Errorf("the resource shows %s", got)
	}
	// Theirs goes first, and then a new run takes ours back.
	if run := theirs.rollback(ledger.RollbackRequest{}); !run.Complete {
		t.Fatalf("their run %+v", run)
	}
	if run := ours.rollback(ledger.RollbackRequest{}); !run.Complete {
		t.Errorf("our second run %+v", run)
	}
	if got := ours.third.State["/r/1"]; got != `{"v":"old"}` {
		t.Errorf("the resource shows %s", got)
	}
}

// What ends theirs, in whatever way, frees ours.
func TestOverlapEndsWithTheOther(t *testing.T) {
	for name, end := range map[string]func(b *bench, e *ledger.Entry) error{
		"kept": func(b *bench, _ *ledger.Entry) error {
			_, err := b.ledger.Keep(b.Context(), b.window, "accepted")
			return err
		},
		"waived": func(b *bench, e *ledger.Entry) error {
			b.third.State["/r/1"] = `{"v":"drifted"}`
			b.rollback(ledger.RollbackRequest{})
			_, err := b.ledger.Resolve(b.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideWaive, Reason: "stays"})
			b.third.State["/r/1"] = `{"v":"ours"}`
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs, first, last := contest(t)
			if err := end(theirs, last); err != nil {
				t.Fatal(err)
			}
			ours.third.State["/r/1"] = `{"v":"ours"}`
			ours.rollback(ledger.RollbackRequest{})
			ours.wantState(first, "undone undone")
		})
	}
}

// An operator's word undoes it all the same, over what stands there by then.
func TestOverlapIsOverruled(t *testing.T) {
	ours, _, first, last := contest(t)
	ours.rollback(ledger.RollbackRequest{})
	ours.wantBlockedBy(first, last)
	e, err := ours.ledger.Resolve(t.Context(), first.ID, ledger.Resolution{Decision: ledger.DecideRetry, Reason: "again"})
	if err != nil {
		t.Fatal(err)
	}
	ours.finishLast()
	ours.wantBlockedBy(e, last)
	if _, err = ours.ledger.Resolve(t.Context(), first.ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "ours counts"}); err != nil {
		t.Fatal(err)
	}
	ours.finishLast()
	ours.wantState(first, "undone undone")
	if got := ours.third.State["/r/1"]; got != `{"v":"old"}` {
		t.Errorf("the resource shows %s", got)
	}
}

// A word covers what was there when it was said, not what another window does afterwards.
func TestOverlapAfterTheWordBlocksAgain(t *testing.T) {
	ours, theirs, first, _ := contest(t)
	ours.rollback(ledger.RollbackRequest{})
	if _, err := ours.ledger.Resolve(t.Context(), first.ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "ours counts"}); err != nil {
		t.Fatal(err)
	}
	later := theirs.record(draft("/r/1", `{"v":"theirs"}`, `{"v":"later"}`))[0]
	ours.finishLast()
	ours.wantBlockedBy(first, later)
}

// What another window records between the look and the attempt is met under the fence.
func TestOverlapIsMetUnderTheFence(t *testing.T) {
	ours := newBench(t)
	theirs := ours.beside("other")
	first := ours.record(draft("/r/1", `{"v":"old"}`, `{"v":"ours"}`))[0]
	var last *ledger.Entry
	ours.third.OnLook = func(int, string) error {
		if last == nil {
			d := draft("/r/1", `{"v":"ours"}`, `{"v":"theirs"}`)
			d.State, d.After = ledger.EntryIntended, ledger.Image{}
			last = theirs.mustRecord(d)
		}
		return nil
	}
	ours.rollback(ledger.RollbackRequest{})
	ours.wantBlockedBy(first, last)
	if n := len(ours.third.Order()); n != 0 {
		t.Errorf("%d undos were sent", n)
	}
}

// So is one that would be closed without a call: once theirs goes back, ours would be there again.
func TestOverlapKeepsAnEntryFromBeingClosedByALook(t *testing.T) {
	ours := newBench(t)
	theirs := ours.beside("other")
	first := ours.record(draft("/r/1", `{"v":"old"}`, `{"v":"ours"}`))[0]
	last := theirs.record(draft("/r/1", `{"v":"ours"}`, `{"v":"old"}`))[0]
	ours.rollback(ledger.RollbackRequest{})
	ours.wantBlockedBy(first, last)
}

// Two windows rolled back at once need nobody: the newer one goes first, the other waits for it.
func TestOverlapWaitsForTheOthersRun(t *testing.T) {
	ours, theirs, first, last := contest(t)
	theirRun, ourRun := theirs.start(ledger.RollbackRequest{}), ours.start(ledger.RollbackRequest{})
	held := make(chan struct{})
	var once sync.Once
	ours.third.OnUndo = func(int, string) (bool, error) {
		once.Do(func() { <-held })
		return false, nil
	}
	var runs sync.WaitGroup
	r := ours.runner()
	runs.Go(func() { r.RunOne(t.Context(), theirRun.ID) })
	runs.Go(func() { r.RunOne(t.Context(), ourRun.ID) })
	ours.awaitRun(ourRun.ID, func(run *ledger.RollbackView) bool {
		return run.Waiting != nil && run.Waiting.Why == "other_window" && run.Waiting.On == theirs.window.String()
	})
	close(held)
	runs.Wait()
	ours.wantState(first, "undone undone")
	theirs.wantState(last, "undone undone")
	if got := ours.third.State["/r/1"]; got != `{"v":"old"}` {
		t.Errorf("the resource shows %s", got)
	}
}

// The other window may know the resource by the name that ours has given it, or the other way round.
func TestOverlapUnderAnotherName(t *testing.T) {
	ours := newBench(t)
	ours.third.Rename = true
	theirs := ours.beside("other")
	up := draft("/s", `{"v":1}`, "")
	up.State = ledger.EntryIntended
	renamed := ours.record(up)[0]
	ours.third.Set("/t", `{"v":2}`)
	if _, err := ours.ledger.Applied(t.Context(), renamed.ID, ledger.Report{After: image(`{"v":2}`), Resource: json.RawMessage(`{"path":"/t"}`)}); err != nil {
		t.Fatal(err)
	}
	last := theirs.record(draft("/t", `{"v":2}`, `{"v":3}`))[0]
	if w := strings.Join(last.Warnings, "\n"); !strings.Contains(w, renamed.ID.String()) {
		t.Errorf("warnings %q", last.Warnings)
	}
	ours.rollback(ledger.RollbackRequest{})
	ours.wantBlockedBy(renamed, last)
	again := ours.mustRecord(draft("/u", `{"v":1}`, `{"v":2}`))
	if len(again.Warnings) != 0 {
		t.Errorf("another resource warns: %q", again.Warnings)
	}
}

// A run that is paused does not move its window: whoever comes to it asks a person.
func TestOverlapDoesNotWaitForAPausedRun(t *testing.T) {
	ours, theirs, first, last := contest(t)
	run := theirs.start(ledger.RollbackRequest{})
	if _, err := theirs.ledger.Pause(t.Context(), run.ID); err != nil {
		t.Fatal(err)
	}
	ours.rollback(ledger.RollbackRequest{})
	ours.wantBlockedBy(first, last)
}

func TestOverlapStandsInThePlan(t *testing.T) {
	ours, theirs, first, last := contest(t)
	plan := func(b *bench) map[int]ledger.Step {
		steps := map[int]ledger.Step{}
		if _, err := b.ledger.Plan(t.Context(), b.window, ledger.Selection{}, func(s ledger.Step) error {
			steps[s.Entry.Seq] = s
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return steps
	}
	s := plan(ours)[first.Seq]
	if s.Verdict != ledger.VerdictBlocked || s.Overlap == nil || s.Overlap.EntryID != last.ID || s.Overlap.Window != "other" || s.Request.Method != "" {
		t.Errorf("step %+v", s)
	}
	if s := plan(theirs)[last.Seq]; s.Verdict != ledger.VerdictUndo || s.Overlap != nil {
		t.Errorf("their step %+v", s)
	}
}

func TestOverlapIsSaidAtRecording(t *testing.T) {
	ours, theirs, first, last := contest(t)
	if w := ours.entry(first.ID).Warnings; strings.Contains(strings.Join(w, "\n"), "overlap") {
		t.Errorf("the first one warns: %q", w)
	}
	for name, e := range map[string]*ledger.Entry{"answer": last, "kept": theirs.entry(last.ID)} {
		if w := strings.Join(e.Warnings, "\n"); !strings.Contains(w, first.ID.String()) || !strings.Contains(w, `window "w"`) || !strings.Contains(w, "entry 1") {
			t.Errorf("%s: %q", name, e.Warnings)
		}
	}
	// An intent, and one of a batch whose resource stands in the very same batch only for its own window.
	intent := draft("/r/1", `{"v":"theirs"}`, `{"v":"x"}`)
	intent.State = ledger.EntryIntended
	list, err := theirs.ledger.Record(t.Context(), theirs.window, []ledger.Draft{intent, draft("/own", `{"v":1}`, `{"v":2}`), draft("/own", `{"v":2}`, `{"v":3}`)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, false} {
		if got := strings.Contains(strings.Join(list[i].Entry.Warnings, "\n"), "overlap"); got != want {
			t.Errorf("draft %d warns: %v", i, got)
		}
	}
	// What comes between intent and report is said with the report.
	later := draft("/late", `{"v":1}`, `{"v":2}`)
	later.State = ledger.EntryIntended
	told := theirs.record(later)[0]
	between := ours.record(draft("/late", `{"v":1}`, `{"v":2}`))[0]
	reported, err := theirs.ledger.Applied(t.Context(), told.ID, ledger.Report{})
	if err != nil || !strings.Contains(strings.Join(reported.Warnings, "\n"), between.ID.String()) {
		t.Errorf("report: %+v, %v", reported, err)
	}
}
