package runner_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

func TestNewestFirstDriftKeptProtectionLeft(t *testing.T) {
	b := newBench(t)
	list := b.updates(5)
	hook := b.record(draft("/hooks/9", "null", `{"url":"x"}`))[0]
	guard := draft("/cron", `{"on":true}`, `{"on":false}`)
	guard.OnRollback = ledger.OnRollbackRetain
	kept := b.record(guard)[0]
	b.third.Set("/r/3", `{"v":"somebody"}`)

	run := b.rollback(ledger.RollbackRequest{Reason: "test"})
	if want := []string{"/hooks/9", "/r/5", "/r/4", "/r/2", "/r/1"}; !slices.Equal(b.third.Order(), want) {
		t.Fatalf("order %v", b.third.Order())
	}
	if run.State != ledger.RollbackFinished || run.Complete || run.Counts.Undone != 5 || run.Counts.Stuck != 1 || run.Counts.Retained != 1 {
		t.Errorf("run %+v", run)
	}
	b.wantState(list[2], "stuck drifted")
	b.wantState(hook, "undone undone")
	b.wantState(kept, "applied")
	if b.state() != ledger.WindowStuck {
		t.Errorf("window %s", b.state())
	}

	stuck := b.entry(list[2].ID)
	if stuck.NowDigest == "" || stuck.Next() == "" {
		t.Errorf("a person is shown digest %q, next %q", stuck.NowDigest, stuck.Next())
	}
	if _, err := b.ledger.Resolve(t.Context(), stuck.ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "ours", Seen: "sha256:other"}); ledger.CodeOf(err) != ledger.CodeStale {
		t.Errorf("a state that was not seen was overridden: %v", err)
	}
	if _, err := b.ledger.Resolve(t.Context(), stuck.ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "ours", Seen: stuck.NowDigest}); err != nil {
		t.Fatal(err)
	}
	b.finishLast()
	b.wantState(list[2], "undone undone")
	if b.state() != ledger.WindowRolledBack {
		t.Errorf("window %s", b.state())
	}
	n := len(b.third.Order())
	again := b.start(ledger.RollbackRequest{})
	if again.State != ledger.RollbackFinished || !again.Complete || len(b.third.Order()) != n {
		t.Errorf("a second rollback: %+v", again)
	}
}

// finishLast works on the window's running rollback.
func (b *bench) finishLast() *ledger.RollbackView {
	b.Helper()
	w, err := b.ledger.Window(b.Context(), b.window)
	if err != nil {
		b.Fatal(err)
	}
	run := b.finish(w.RollbackID)
	b.checkJournal()
	return run
}

func TestStuckHoldsOnlyWhatItDependsOn(t *testing.T) {
	b := newBench(t)
	first := b.record(draft("/a", `{"v":1}`, `{"v":2}`))[0]
	other := b.record(draft("/b", `{"v":1}`, `{"v":2}`))[0]
	base := b.record(draft("/c", `{"v":1}`, `{"v":2}`))[0]
	d := draft("/d", `{"v":1}`, `{"v":2}`)
	d.DependsOn = []uuid.UUID{base.ID}
	dependent := b.record(d)[0]
	second := b.record(draft("/a", `{"v":2}`, `{"v":3}`))[0]
	b.third.Set("/a", `{"v":"x"}`)
	b.third.Set("/d", `{"v":"x"}`)
	run := b.rollback(ledger.RollbackRequest{})
	b.wantState(second, "stuck drifted")
	b.wantState(dependent, "stuck drifted")
	b.wantState(first, "applied")
	b.wantState(base, "applied")
	b.wantState(other, "undone undone")
	if run.Counts.Remaining != 2 || run.Counts.Stuck != 2 {
		t.Errorf("counts %+v", run.Counts)
	}
	for _, e := range []*ledger.Entry{second, dependent} {
		if _, err := b.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "r"}); err != nil {
			t.Fatal(err)
		}
	}
	b.finishLast()
	b.wantState(first, "undone undone")
	b.wantState(base, "undone undone")
	if b.state() != ledger.WindowRolledBack || b.third.Get("/a") != `{"v":1}` {
		t.Errorf("window %s, /a %s", b.state(), b.third.Get("/a"))
	}
}

func TestOnStuck(t *testing.T) {
	for mode, want := range map[ledger.OnStuck]int{ledger.OnStuckContinue: 3, ledger.OnStuckSystem: 1, ledger.OnStuckHalt: 0} {
		t.Run(string(mode), func(t *testing.T) {
			b := newBench(t)
			b.updates(3)
			other := draft("/o", `{"v":1}`, `{"v":2}`)
			other.System = "other"
			b.record(other, draft("/last", `{"v":1}`, `{"v":2}`))
			b.third.Set("/last", `{"v":"x"}`)
			b.third.Set("/r/2", `{"v":"x"}`)
			if mode == ledger.OnStuckContinue {
				want = 3 // /o, /r/3, /r/1
			}
			run := b.rollback(ledger.RollbackRequest{OnStuck: mode, Parallel: 1}) // beside each other: TestHaltStopsAllSystems
			if run.Counts.Undone != want {
				t.Errorf("%d undone, want %d: %+v", run.Counts.Undone, want, run.Counts)
			}
		})
	}
}

func TestInDoubtIsJudgedByLooking(t *testing.T) {
	b := newBench(t)
	intent := func(at string) ledger.Draft {
		d := draft(at, `{"v":1}`, `{"v":2}`)
		d.State, d.Perform = ledger.EntryIntended, 300*time.Millisecond
		return d
	}
	happened := b.record(intent("/happened"))[0]
	never := b.record(intent("/never"))[0]
	neither := b.record(intent("/neither"))[0]
	blind := b.record(intent("/blind"))[0]
	b.third.Set("/happened", `{"v":2}`)
	b.third.Set("/never", `{"v":1}`)
	b.third.Set("/neither", `{"v":3}`)
	b.third.Blind["/blind"] = true
	run := b.start(ledger.RollbackRequest{})
	began := time.Now()
	b.finish(run.ID)
	b.checkJournal()
	if time.Since(began) > 20*time.Second || time.Now().Before(blind.PerformBy) {
		t.Error("the run did not wait for perform_by, or far too long")
	}
	b.wantState(happened, "undone undone")
	b.wantState(never, "void")
	b.wantState(neither, "stuck in_doubt")
	b.wantState(blind, "stuck in_doubt")
}

func TestEffectAfterItWasJudgedIsFoundByTheFinalLook(t *testing.T) {
	b := newBench(t)
	older := b.record(draft("/older", `{"v":1}`, `{"v":2}`))[0]
	d := draft("/late", `{"v":1}`, `{"v":2}`)
	d.State, d.Perform = ledger.EntryIntended, time.Millisecond
	e := b.record(d)[0]
	b.third.Set("/late", `{"v":1}`)
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/older" { // the script of the intent wakes up while the run is further down
			b.third.State["/late"] = `{"v":2}`
		}
		return false, nil
	}
	run := b.rollback(ledger.RollbackRequest{})
	b.wantState(older, "undone undone")
	b.wantState(e, "undone undone")
	if !b.entry(e.ID).Late || b.third.Get("/late") != `{"v":1}` || !run.Complete {
		t.Errorf("late %v, resource %s", b.entry(e.ID).Late, b.third.Get("/late"))
	}
}

func TestPartialNeitherFencesNorMoves(t *testing.T) {
	b := newBench(t)
	list := b.updates(4)
	run := b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"2", list[3].ID.String()}}})
	if !run.Complete || run.Counts.Undone != 2 || b.state() != ledger.WindowOpen {
		t.Errorf("run %+v, window %s", run.Counts, b.state())
	}
	b.wantState(list[0], "applied")
	if _, err := b.ledger.Keep(t.Context(), b.window, ""); err != nil {
		t.Fatal(err)
	}
	b.third.Set("/r/1", `{"v":"x"}`)
	b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{ToEntry: "0"[:0], Only: []string{"1"}}})
	if b.state() != ledger.WindowStuck {
		t.Errorf("window %s", b.state())
	}
	if _, err := b.ledger.Resolve(t.Context(), list[0].ID, ledger.Resolution{Decision: ledger.DecideWaive, Reason: "fine"}); err != nil {
		t.Fatal(err)
	}
	b.finishLast()
	if b.state() != ledger.WindowKept {
		t.Errorf("after the waive the window is %s, want what it was", b.state())
	}
	if _, err := b.ledger.StartRollback(t.Context(), b.window, ledger.RollbackRequest{}); ledger.CodeOf(err) != ledger.CodeConflict {
		t.Errorf("a kept window was rolled back: %v", err)
	}
}

func TestBackToAnEntryOrTag(t *testing.T) {
	for name, r := range map[string]ledger.SelectRequest{"entry": {ToEntry: "2"}, "tag": {ToTag: "half"}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			list := []ledger.Draft{draft("/1", `{"v":1}`, `{"v":2}`), draft("/2", `{"v":1}`, `{"v":2}`), draft("/3", `{"v":1}`, `{"v":2}`)}
			list[1].Tag = "half"
			entries := b.record(list...)
			b.rollback(ledger.RollbackRequest{SelectRequest: r})
			b.wantState(entries[2], "undone undone")
			b.wantState(entries[1], "applied")
		})
	}
	b := newBench(t)
	b.updates(1)
	for field, r := range map[string]ledger.SelectRequest{"/only/0": {Only: []string{"7"}}, "/to_tag": {ToTag: "x"}, "/exclude/0": {Exclude: []string{"tag=mistyped"}}} {
		if _, err := b.ledger.StartRollback(t.Context(), b.window, ledger.RollbackRequest{SelectRequest: r}); ledger.CodeOf(err) != ledger.CodeInvalid {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestEmptySelection: terms that together pick no entry are a mistake, for a plan and a rollback alike. That nothing was
// recorded since an entry or a tag is none: there is nothing to do.
func TestEmptySelection(t *testing.T) {
	b := newBench(t)
	b.updates(2)
	for field, r := range map[string]ledger.SelectRequest{
		"/only":    {Only: []string{"1"}, ToEntry: "1"},
		"/exclude": {Exclude: []string{"system=sys"}},
	} {
		_, err := b.ledger.StartRollback(t.Context(), b.window, ledger.RollbackRequest{SelectRequest: r})
		var bad *ledger.Error
		if !errors.As(err, &bad) || bad.Code != ledger.CodeInvalid || bad.Field != field {
			t.Errorf("%+v: %v", r, err)
		}
	}
	run := b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{ToEntry: "2"}})
	if !run.Complete || run.Counts != (ledger.Counts{}) || len(b.third.Order()) != 0 {
		t.Errorf("back to the newest entry: %+v", run)
	}
}

func TestUnselectedNewerEntryHolds(t *testing.T) {
	b := newBench(t)
	first := b.record(draft("/a", `{"v":1}`, `{"v":2}`))[0]
	b.record(draft("/a", `{"v":2}`, `{"v":3}`))
	run := b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"1"}}})
	b.wantState(first, "applied")
	if run.Complete || run.Counts.Remaining != 1 || len(b.third.Order()) != 0 {
		t.Errorf("run %+v", run)
	}
}

func TestRefusedCredentialParksTheSystem(t *testing.T) {
	b := newBench(t)
	list := b.updates(3)
	other := draft("/o", `{"v":1}`, `{"v":2}`)
	other.System = "other"
	o := b.record(other)[0]
	b.third.OnLook = func(_ int, at string) error {
		if at != "/o" {
			return &ledger.CallError{Class: ledger.CallAuth, Status: 401}
		}
		return nil
	}
	b.rollback(ledger.RollbackRequest{})
	for _, e := range list {
		b.wantState(e, "stuck blocked")
	}
	b.wantState(o, "undone undone")
	if looks, _ := b.third.Calls(); looks != 3 { // /o twice, /r/3 once: the parked system is not called again
		t.Errorf("%d looks", looks)
	}
	b.third.OnLook = nil
	if run := b.rollback(ledger.RollbackRequest{}); !run.Complete {
		t.Errorf("the next rollback did not try again: %+v", run.Counts)
	}
}

func TestSystemAwayWaitsAndOthersGoOn(t *testing.T) {
	b := newBench(t)
	list := b.updates(2)
	other := draft("/o", `{"v":1}`, `{"v":2}`)
	other.System = "other"
	b.record(other)
	b.updatesOf("later", 1)
	away := 20
	b.third.OnLook = func(_ int, at string) error {
		if at == "/later/1" || at == "/o" {
			return nil
		}
		if away--; away > 0 {
			return &ledger.CallError{Class: ledger.CallNotSent}
		}
		return nil
	}
	run := b.rollback(ledger.RollbackRequest{})
	if !run.Complete || b.third.Order()[0] != "/later/1" || b.third.Order()[1] != "/o" {
		t.Errorf("complete %v, order %v", run.Complete, b.third.Order())
	}
	for _, e := range list {
		for _, a := range b.entry(e.ID).Attempts {
			if a.N > 1 {
				t.Errorf("an attempt was made while the system was away: %+v", a)
			}
		}
	}
}

// updatesOf records n entries of a system that changed /NAME/1 … /NAME/n.
func (b *bench) updatesOf(name string, n int) []*ledger.Entry {
	b.Helper()
	var list []ledger.Draft
	for i := 1; i <= n; i++ {
		d := draft(fmt.Sprintf("/%s/%d", name, i), `{"v":1}`, `{"v":2}`)
		d.System = name
		list = append(list, d)
	}
	return b.record(list...)
}

func TestPauseResumeCancel(t *testing.T) {
	b := newBench(t)
	list := b.updates(4)
	run := b.start(ledger.RollbackRequest{})
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/r/3" { // the operator pauses while the second undo is under way
			if _, err := b.ledger.Pause(t.Context(), run.ID); err != nil {
				t.Error(err)
			}
		}
		return false, nil
	}
	if got := b.finish(run.ID); got.State != ledger.RollbackPaused {
		t.Fatalf("the run is %s", got.State)
	}
	b.wantState(list[2], "undone undone")
	b.wantState(list[1], "applied")
	b.third.OnUndo = nil
	if _, err := b.ledger.Resume(t.Context(), run.ID); err != nil {
		t.Fatal(err)
	}
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/r/2" {
			if _, err := b.ledger.Cancel(t.Context(), run.ID); err != nil {
				t.Error(err)
			}
		}
		return false, nil
	}
	if got := b.finish(run.ID); got.State != ledger.RollbackCancelled {
		t.Fatalf("the run is %s", got.State)
	}
	b.checkJournal()
	b.wantState(list[1], "undone undone")
	b.wantState(list[0], "applied")
	if b.state() != ledger.WindowSealed {
		t.Errorf("window %s", b.state())
	}
	b.third.OnUndo = nil
	if got := b.rollback(ledger.RollbackRequest{}); !got.Complete {
		t.Errorf("a new rollback after the cancelled one: %+v", got.Counts)
	}
}

// Cancelled while a pause waits for the undo that is under way: nothing is opened or sent any more.
func TestCancelOfAPausedRunThatIsStillBusy(t *testing.T) {
	b := newBench(t)
	list := b.updates(4)
	run := b.start(ledger.RollbackRequest{})
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/r/4" {
			if _, err := b.ledger.Pause(t.Context(), run.ID); err != nil {
				t.Error(err)
			}
			if _, err := b.ledger.Cancel(t.Context(), run.ID); err != nil {
				t.Error(err)
			}
		}
		return false, nil
	}
	got := b.finish(run.ID)
	if got.State != ledger.RollbackCancelled || b.state() != ledger.WindowSealed || len(b.third.Order()) != 1 {
		t.Errorf("the run is %s, the window %s, %d undos", got.State, b.state(), len(b.third.Order()))
	}
	b.wantState(list[3], "undone undone")
	b.wantState(list[2], "applied")
	b.checkJournal()
}
