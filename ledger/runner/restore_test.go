package runner_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

const (
	snapshotState = `{"live":"snap-118"}`
	upgradedState = `{"live":"4.2"}`
)

// restoreDraft is a restore that the third party makes at /snapshot.
func restoreDraft() *ledger.Draft {
	return &ledger.Draft{System: "vm", Kind: "test", Resource: json.RawMessage(`{"path":"/snapshot"}`), Before: image(snapshotState)}
}

// newRestoreBench is a bench whose window names its snapshot's restore; the machine is upgraded.
func newRestoreBench(t *testing.T, s ledger.Store) *bench {
	t.Helper()
	b := newBenchOn(t, s)
	w, err := b.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "r", Snapshot: "snap-118", Restore: restoreDraft()})
	if err != nil {
		t.Fatal(err)
	}
	b.window = w.ID
	b.third.Set("/snapshot", upgradedState)
	return b
}

func marked(d ledger.Draft) ledger.Draft {
	d.BeforeRestore = true
	return d
}

// weekend records what the tests below roll back: two marked effects, a newer change of a marked resource, one that
// depends on a marked one by name, and three that have nothing to do with them.
func (b *bench) weekend() []*ledger.Entry {
	b.Helper()
	list := b.record(
		draft("/rest/1", `{"v":1}`, `{"v":2}`),
		marked(draft("/early/a", `{"v":1}`, `{"v":2}`)),
		draft("/rest/2", `{"v":1}`, `{"v":2}`),
		draft("/early/a", `{"v":2}`, `{"v":3}`),
		marked(draft("/early/b", "null", `{"v":1}`)),
	)
	named := draft("/early/c", `{"v":1}`, `{"v":2}`)
	named.DependsOn = append(named.DependsOn, list[3].ID)
	return append(list, b.record(named, draft("/rest/3", `{"v":1}`, `{"v":2}`))...)
}

var weekendOrder = []string{"/early/c", "/early/b", "/early/a", "/early/a", "/snapshot", "/rest/3", "/rest/2", "/rest/1"}

var withRestore = ledger.RollbackRequest{RestoreSnapshot: true, Reason: "the upgrade is bad"}

// restore returns the restore entry of the window; nil: it is not recorded.
func (b *bench) restore() *ledger.Entry {
	b.Helper()
	list, err := b.ledger.Entries(b.Context(), ledger.EntryQuery{WindowID: b.window, Limit: 1000})
	if err != nil {
		b.Fatal(err)
	}
	var found *ledger.Entry
	for i := range list {
		if list[i].Restore {
			if found != nil {
				b.Fatal("two restores in one window")
			}
			found = &list[i]
		}
	}
	return found
}

func (b *bench) wantOrder(want ...string) {
	b.Helper()
	if d := cmp.Diff(want, b.third.Order()); d != "" {
		b.Errorf("the order at the third party (-want +got):\n%s", d)
	}
}

// planOrder returns the steps of a plan as "path verdict".
func (b *bench) planOrder(asked bool) (steps []string, details map[string]string) {
	b.Helper()
	plan := b.ledger.Plan
	if asked {
		plan = b.ledger.PlanRestore
	}
	details = map[string]string{}
	_, err := plan(b.Context(), b.window, ledger.Selection{}, func(s ledger.Step) error {
		at := ledgertest.Path(s.Entry.Resource)
		steps = append(steps, at+" "+string(s.Verdict))
		details[at] = s.Detail
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return steps, details
}

func TestRestoreAtItsPlace(t *testing.T) {
	b := newRestoreBench(t, openStore(t))
	list := b.weekend()
	var want []string
	for _, at := range weekendOrder {
		want = append(want, at+" undo")
	}
	before, err := b.ledger.Window(t.Context(), b.window)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := b.planOrder(true)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the plan (-want +got):\n%s", d)
	}
	if after, err := b.ledger.Window(t.Context(), b.window); err != nil || after.Head != before.Head || b.restore() != nil {
		t.Errorf("the plan wrote something: %v", err)
	}
	run := b.rollback(withRestore)
	b.wantOrder(weekendOrder...)
	if !run.Complete || !run.RestoreSnapshot || run.Counts.Undone != 8 || b.state() != ledger.WindowRolledBack {
		t.Errorf("run %+v, window %s", run, b.state())
	}
	r := b.restore()
	if r.State != ledger.EntryUndone || r.Outcome != ledger.OutcomeUndone || r.Seq != len(list)+1 || len(r.Attempts) != 1 || r.Late {
		t.Errorf("the restore: %s %s, entry %d, %d attempts", r.State, r.Outcome, r.Seq, len(r.Attempts))
	}
	// A second rollback answers with the first, and nothing is sent.
	again := b.rollback(withRestore)
	b.wantOrder(weekendOrder...)
	if again.ID != run.ID {
		t.Error("another run of a window that is rolled back")
	}
}

// Without the flag nothing changes: newest first, and no restore.
func TestNoRestoreUnlessAsked(t *testing.T) {
	b := newRestoreBench(t, openStore(t))
	b.weekend()
	got, _ := b.planOrder(false)
	if len(got) != 7 || got[0] != "/rest/3 undo" || got[6] != "/rest/1 undo" {
		t.Errorf("plan %v", got)
	}
	run := b.rollback(ledger.RollbackRequest{})
	b.wantOrder("/rest/3", "/early/c", "/early/b", "/early/a", "/rest/2", "/early/a", "/rest/1")
	if b.restore() != nil || b.third.Get("/snapshot") != upgradedState || run.RestoreSnapshot {
		t.Error("the snapshot was restored, and nobody had asked for it")
	}
	// What is rolled back without its snapshot is not called restored.
	if _, err := b.ledger.StartRollback(t.Context(), b.window, withRestore); ledger.CodeOf(err) != ledger.CodeConflict {
		t.Errorf("asked for the restore afterwards: %v", err)
	}
}

func TestMarkedEntryHoldsTheRestore(t *testing.T) {
	b := newRestoreBench(t, openStore(t))
	list := b.weekend()
	b.third.Set("/early/a", `{"v":"somebody else's"}`)
	steps, details := b.planOrder(true)
	want := []string{
		"/early/c undo", "/early/b undo", "/early/a drifted", "/early/a blocked",
		"/snapshot blocked", "/rest/3 blocked", "/rest/2 blocked", "/rest/1 blocked",
	}
	if d := cmp.Diff(want, steps); d != "" {
		t.Errorf("the plan (-want +got):\n%s", d)
	}
	if details["/snapshot"] != "held by entry 4, which goes before the restore and stays open" ||
		details["/rest/1"] != "held by the restore of the snapshot, entry 8, which is not done" {
		t.Errorf("details %q, %q", details["/snapshot"], details["/rest/1"])
	}
	run := b.rollback(withRestore)
	b.wantOrder("/early/c", "/early/b")
	b.wantState(list[3], "stuck drifted")
	if d := b.entry(list[3].ID).Detail; !strings.HasSuffix(d, "; the restore of the snapshot waits for it") {
		t.Errorf("detail %q", d)
	}
	b.wantState(b.restore(), "applied")
	b.wantState(list[0], "applied")
	if run.Complete || b.state() != ledger.WindowStuck {
		t.Errorf("window %s", b.state())
	}
	// A person's word frees it, and the run that follows knows its order still.
	b.resolve(list[3], ledger.DecideUndo)
	b.wantOrder(weekendOrder...)
	if b.state() != ledger.WindowRolledBack {
		t.Errorf("window %s", b.state())
	}
}

// resolve says a person's word and works on what it starts.
func (b *bench) resolve(e *ledger.Entry, d ledger.DecisionKind) {
	b.Helper()
	if _, err := b.ledger.Resolve(b.Context(), e.ID, ledger.Resolution{Decision: d, Reason: "said so"}); err != nil {
		b.Fatal(err)
	}
	b.finishLast()
	b.checkJournal()
}

// refuses makes the third party refuse the restore for good.
func (b *bench) refuses() {
	b.third.OnAnswer = func(_ int, at string) (ledger.Answer, bool) {
		return ledger.Answer{Class: ledger.AnswerRefused, Detail: "no such snapshot"}, at == "/snapshot"
	}
}

func TestStuckRestoreHoldsTheRest(t *testing.T) {
	for _, c := range []struct {
		word    ledger.DecisionKind
		want    string
		order   []string
		machine string
	}{
		{ledger.DecideWaive, "waived", slices.DeleteFunc(slices.Clone(weekendOrder), func(s string) bool { return s == "/snapshot" }), upgradedState},
		{ledger.DecideDone, "undone by_hand", slices.DeleteFunc(slices.Clone(weekendOrder), func(s string) bool { return s == "/snapshot" }), upgradedState},
		{ledger.DecideRetry, "undone undone", weekendOrder, snapshotState},
		{ledger.DecideUndo, "undone undone", weekendOrder, snapshotState},
	} {
		t.Run(string(c.word), func(t *testing.T) {
			b := newRestoreBench(t, openStore(t))
			b.weekend()
			b.refuses()
			b.rollback(withRestore)
			b.wantOrder(weekendOrder[:4]...)
			r := b.restore()
			b.wantState(r, "stuck failed")
			if r.Detail != "no such snapshot; the rest of the window waits until the restore is done or waived" || b.state() != ledger.WindowStuck {
				t.Errorf("detail %q, window %s", r.Detail, b.state())
			}
			// Asked for again it tries again, and holds the rest still: also a part of it.
			b.rollback(ledger.RollbackRequest{})
			b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"1"}}})
			b.wantOrder(weekendOrder[:4]...)
			b.third.OnAnswer = nil
			b.resolve(r, c.word)
			b.wantState(r, c.want)
			b.wantOrder(c.order...)
			if b.state() != ledger.WindowRolledBack || b.third.Get("/snapshot") != c.machine {
				t.Errorf("window %s, the machine shows %s", b.state(), b.third.Get("/snapshot"))
			}
		})
	}
}

// hooked are systems whose undos call a function first.
type hooked struct {
	*ledgertest.Third
	undoFunc func(at string)
}

type hookedRemediator struct {
	ledger.Remediator
	undoFunc func(at string)
}

func (h hooked) Find(name string) (ledger.System, ledger.Remediator, error) {
	sys, rem, err := h.Third.Find(name)
	return sys, hookedRemediator{rem, h.undoFunc}, err
}

func (h hookedRemediator) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	h.undoFunc(ledgertest.Path(e.Resource))
	return h.Remediator.Undo(ctx, e, seen)
}

// Facts arrive in the middle: a marked one before the restore goes before it, any other after it.
func TestFactsBesideARestore(t *testing.T) {
	b := newRestoreBench(t, openStore(t))
	b.weekend()
	b.ledger = ledger.New(ledger.Config{Store: b.store, Clock: time.Now, Log: quiet(), Waker: b.waker, Systems: hooked{b.third, func(at string) {
		switch at {
		case "/early/c":
			b.record(marked(draft("/late/marked", `{"v":1}`, `{"v":2}`)), draft("/late/rest", `{"v":1}`, `{"v":2}`))
		case "/snapshot":
			b.record(marked(draft("/late/too late", `{"v":1}`, `{"v":2}`)))
		}
	}}})
	b.rollback(withRestore)
	b.wantOrder("/early/c", "/late/marked", "/early/b", "/early/a", "/early/a", "/snapshot", "/late/too late", "/late/rest", "/rest/3", "/rest/2", "/rest/1")
	if b.state() != ledger.WindowRolledBack {
		t.Errorf("window %s", b.state())
	}
}

// An intent that is marked is waited for before the restore; one that is not is judged after it.
func TestIntentsBesideARestore(t *testing.T) {
	b := newRestoreBench(t, openStore(t))
	intent := func(d ledger.Draft) ledger.Draft {
		d.State, d.Perform = ledger.EntryIntended, 40*time.Millisecond
		return d
	}
	b.third.Set("/marked", `{"v":2}`)
	b.third.Set("/other", `{"v":2}`)
	b.record(intent(marked(draft("/marked", `{"v":1}`, `{"v":2}`))), intent(draft("/other", `{"v":1}`, `{"v":2}`)))
	b.rollback(withRestore)
	b.wantOrder("/marked", "/snapshot", "/other")
}

// More than a page of each kind: the order holds over the pages, in the plan as in the run.
func TestRestoreOverPages(t *testing.T) {
	b := newRestoreBench(t, openStore(t))
	var list []ledger.Draft
	var early, rest []string
	for i := range 450 {
		at := fmt.Sprintf("/r/%d", i)
		d := draft(at, `{"v":1}`, `{"v":2}`)
		if i%2 == 0 {
			d.BeforeRestore = true
			early = append(early, at)
		} else {
			rest = append(rest, at)
		}
		b.third.Set(at, `{"v":2}`)
		list = append(list, d)
	}
	if _, err := b.ledger.Record(t.Context(), b.window, list); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(early)
	slices.Reverse(rest)
	want := slices.Concat(early, []string{"/snapshot"}, rest)
	steps, _ := b.planOrder(true)
	for i := range steps {
		steps[i], _, _ = strings.Cut(steps[i], " ")
	}
	if d := cmp.Diff(want, steps); d != "" {
		t.Errorf("the plan (-want +got):\n%s", d)
	}
	b.rollback(withRestore)
	b.wantOrder(want...)
}

// After a cancelled rollback the restore is still what the rest waits for, and a person's word moves it alone.
func TestCancelBeforeTheRestore(t *testing.T) {
	b := newRestoreBench(t, openStore(t))
	list := b.weekend()
	run := b.start(withRestore)
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/early/b" {
			if _, err := b.ledger.Cancel(t.Context(), run.ID); err != nil {
				t.Error(err)
			}
		}
		return false, nil
	}
	b.finish(run.ID)
	b.wantOrder("/early/c", "/early/b")
	b.third.OnUndo = nil
	b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"1"}}})
	b.wantState(list[0], "applied")
	b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{fmt.Sprint(b.restore().Seq)}}})
	b.wantState(b.restore(), "applied") // what goes before it is still open
	b.rollback(withRestore)
	b.wantOrder(weekendOrder...)
}
