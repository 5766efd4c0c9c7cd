package runner_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// A report that comes while the runner looks is not overwritten by what the look said of the entry before.
func TestReportDuringASlowLook(t *testing.T) {
	b := newBench(t)
	d := draft("/a", `{"v":1}`, "")
	d.State, d.Perform = ledger.EntryIntended, time.Millisecond
	e := b.record(d)[0]
	b.third.Set("/a", `{"v":2}`)
	reported := false
	b.third.OnLook = func(int, string) error {
		if !reported { // without the report it is in doubt: nobody knows what the effect left behind
			reported = true
			if _, err := b.ledger.Applied(t.Context(), e.ID, ledger.Report{After: image(`{"v":2}`)}); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	run := b.rollback(ledger.RollbackRequest{})
	b.wantState(e, "undone undone")
	if !run.Complete {
		t.Errorf("run %+v", run.Counts)
	}
}

// The same for a resource that is completed while the runner looks: the undo is made from what stands by then.
func TestCompletionDuringASlowLook(t *testing.T) {
	b := newBench(t)
	d := draft("/a", `{"v":1}`, `{"v":2}`)
	e := b.record(d)[0]
	looked := 0
	b.third.OnLook = func(int, string) error {
		if looked++; looked == 1 {
			if _, err := b.ledger.Applied(t.Context(), e.ID, ledger.Report{Resource: json.RawMessage(`{"id":7}`)}); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	b.rollback(ledger.RollbackRequest{})
	b.wantState(e, "undone undone")
	if looked != 3 { // before the completion, after it, and after the undo
		t.Errorf("%d looks", looked)
	}
	if got := b.entry(e.ID); string(got.Resource) != `{"path":"/a","id":7}` {
		t.Errorf("resource %s", got.Resource)
	}
}

// A credential that was refused is tried again at once when a person says so, in the run that met the refusal.
func TestRetryUnparksItsSystem(t *testing.T) {
	b := newBench(t)
	other := b.record(draft("/other", `{"v":1}`, `{"v":2}`))[0]
	d := draft("/a", `{"v":1}`, `{"v":2}`)
	d.System = "strict"
	e := b.record(d)[0]
	refuse := true
	b.third.OnLook = func(_ int, at string) error {
		if at == "/a" && refuse {
			return &ledger.CallError{Class: ledger.CallAuth, Status: 401}
		}
		return nil
	}
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/other" && refuse { // the operator has mended the credential meanwhile
			refuse = false
			if _, err := b.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideRetry, Reason: "new token"}); err != nil {
				t.Error(err)
			}
		}
		return false, nil
	}
	run := b.rollback(ledger.RollbackRequest{})
	b.wantState(other, "undone undone")
	b.wantState(e, "undone undone")
	if !run.Complete {
		t.Errorf("run %+v", run.Counts)
	}
}

// An undo that must not be sent twice was sent and not answered, and the look afterwards was refused. One word of
// a person is enough to go on, and without one nothing is sent again, whoever starts whatever.
func TestWordOnAnUndoThatWasNotAnswered(t *testing.T) {
	b := newBench(t)
	b.third.Post = true
	e := b.record(draft("/a", `{"v":1}`, `{"v":2}`))[0]
	sent, refuse := 0, true
	b.third.OnUndo = func(int, string) (bool, error) {
		if sent++; sent == 1 {
			return false, &ledger.CallError{Class: ledger.CallAmbiguous}
		}
		return false, nil
	}
	b.third.OnLook = func(n int, _ string) error {
		if n > 1 && refuse {
			return &ledger.CallError{Class: ledger.CallAuth, Status: 401}
		}
		return nil
	}
	b.rollback(ledger.RollbackRequest{})
	b.wantState(e, "stuck blocked")
	refuse = false
	b.rollback(ledger.RollbackRequest{})
	b.wantState(e, "stuck in_doubt")
	if _, err := b.ledger.Applied(t.Context(), e.ID, ledger.Report{}); err != nil { // says nothing new
		t.Fatal(err)
	}
	b.rollback(ledger.RollbackRequest{})
	b.wantState(e, "stuck in_doubt")
	if sent != 1 {
		t.Fatalf("sent %d times without a person's word", sent)
	}
	if _, err := b.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideRetry, Reason: "asked them"}); err != nil {
		t.Fatal(err)
	}
	b.finishLast()
	b.wantState(e, "undone undone")
	if sent != 2 {
		t.Errorf("sent %d times", sent)
	}
}

// The same, decided while the attempt still stands open.
func TestOneWordSettlesAnOpenAttempt(t *testing.T) {
	b := newBench(t)
	b.third.Post = true
	e := b.record(draft("/a", `{"v":1}`, `{"v":2}`))[0]
	sent, refuse := 0, true
	b.third.OnUndo = func(int, string) (bool, error) {
		if sent++; sent == 1 {
			return false, &ledger.CallError{Class: ledger.CallAmbiguous}
		}
		return false, nil
	}
	b.third.OnLook = func(n int, _ string) error {
		if n > 1 && refuse {
			return &ledger.CallError{Class: ledger.CallAuth, Status: 401}
		}
		return nil
	}
	b.rollback(ledger.RollbackRequest{})
	b.wantState(e, "stuck blocked")
	refuse = false
	if _, err := b.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideRetry, Reason: "asked them"}); err != nil {
		t.Fatal(err)
	}
	b.finishLast()
	b.wantState(e, "undone undone")
	if sent != 2 {
		t.Errorf("sent %d times", sent)
	}
}

// A report on an intent whose undo was sent and not answered does not stand for a person's word.
func TestLateReportSendsNothingTwice(t *testing.T) {
	b := newBench(t)
	b.third.Post = true
	older := b.record(draft("/older", `{"v":1}`, `{"v":2}`))[0]
	d := draft("/a", `{"v":1}`, `{"v":2}`)
	d.State, d.Perform = ledger.EntryIntended, time.Millisecond
	e := b.record(d)[0]
	b.third.Set("/a", `{"v":2}`)
	sent := map[string]int{}
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		sent[at]++
		if at == "/a" {
			return false, &ledger.CallError{Class: ledger.CallAmbiguous}
		}
		if _, err := b.ledger.Applied(t.Context(), e.ID, ledger.Report{}); err != nil {
			t.Error(err)
		}
		return false, nil
	}
	b.rollback(ledger.RollbackRequest{})
	b.wantState(older, "undone undone")
	b.wantState(e, "stuck in_doubt")
	if sent["/a"] != 1 {
		t.Errorf("sent %d times", sent["/a"])
	}
}

// What an earlier run saw of a resource is no proof to a later one that a 404 means gone; nor to a plan.
func TestProofByAnotherRunDoesNotCount(t *testing.T) {
	b := newBench(t)
	b.third.Unproven["/a"] = true
	e := b.record(draft("/a", "null", `{"v":1}`))[0]
	b.third.OnUndo = func(int, string) (bool, error) { return false, &ledger.CallError{Class: ledger.CallAmbiguous} }
	b.third.Post = true
	b.rollback(ledger.RollbackRequest{})
	b.wantState(e, "stuck in_doubt")
	b.third.Delete("/a") // or is it hidden from this credential?
	var verdict ledger.Verdict
	if _, err := b.ledger.Plan(t.Context(), b.window, ledger.Selection{}, func(s ledger.Step) error { verdict = s.Verdict; return nil }); err != nil {
		t.Fatal(err)
	}
	if verdict != ledger.VerdictBlocked {
		t.Errorf("the plan says %s", verdict)
	}
	b.rollback(ledger.RollbackRequest{})
	b.wantState(e, "stuck blocked")
}

// Of an entry that cannot be read only an answer counts: one that always says "later" is given up.
func TestBlindEntryAtASystemThatNeverHasTime(t *testing.T) {
	b := newBench(t)
	e := b.record(draft("/a", `{"v":1}`, `{"v":2}`))[0]
	b.third.Blind["/a"] = true
	b.third.OnAnswer = func(int, string) (ledger.Answer, bool) {
		return ledger.Answer{Class: ledger.AnswerRetry, Status: 429}, true
	}
	b.rollback(ledger.RollbackRequest{})
	b.wantState(e, "stuck failed")
	if _, undos := b.third.Calls(); undos != 4 {
		t.Errorf("%d calls, want what the system allows", undos)
	}
}

// A 500 to a blind undo says nothing of what happened: it is not sent again by the next rollback either.
func TestBlindEntryIsSentOnce(t *testing.T) {
	b := newBench(t)
	e := b.record(draft("/a", `{"v":1}`, `{"v":2}`))[0]
	b.third.Blind["/a"] = true
	b.third.OnAnswer = func(int, string) (ledger.Answer, bool) {
		return ledger.Answer{Class: ledger.AnswerFailed, Status: 500}, true
	}
	for range 2 {
		b.rollback(ledger.RollbackRequest{})
		b.wantState(e, "stuck in_doubt")
	}
	if _, undos := b.third.Calls(); undos != 1 {
		t.Errorf("%d calls", undos)
	}
}

// on_stuck is heard of entries that are stuck and held as well.
func TestOnStuckOfAHeldEntry(t *testing.T) {
	b := newBench(t)
	list := b.updates(2)
	stuck := b.record(draft("/a", `{"v":1}`, `{"v":2}`))[0]
	b.third.Set("/a", `{"v":"x"}`)
	b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{stuck.ID.String()}}})
	b.wantState(stuck, "stuck drifted")
	d := draft("/b", `{"v":1}`, `{"v":2}`)
	d.System, d.DependsOn = "other", []uuid.UUID{stuck.ID}
	b.record(d)
	b.third.Set("/b", `{"v":"x"}`)
	b.rollback(ledger.RollbackRequest{OnStuck: ledger.OnStuckSystem})
	b.wantState(stuck, "stuck drifted")
	b.wantState(list[1], "applied") // of the held stuck entry's system
}

// Attempts keep no values: a query may hold one that nobody should read.
func TestAttemptsKeepNoQuery(t *testing.T) {
	b := newBench(t)
	e := b.record(draft("/a?token=tell-nobody", `{"v":1}`, `{"v":2}`))[0]
	b.rollback(ledger.RollbackRequest{})
	if got := b.entry(e.ID).Attempts[0].Request; got != "PUT /a" {
		t.Errorf("request %q", got)
	}
}

// A reason says why an entry is stuck: one that a person has closed has none any more.
func TestAWordThatClosesLeavesNoReason(t *testing.T) {
	for _, word := range []ledger.DecisionKind{ledger.DecideWaive, ledger.DecideDone} {
		b := newBench(t)
		e := b.updates(1)[0]
		b.third.Set("/r/1", `{"v":"somebody else's"}`)
		b.rollback(ledger.RollbackRequest{})
		b.wantState(e, "stuck drifted")
		b.resolve(e, word)
		if got := b.entry(e.ID); !got.Closed() || got.Reason != "" {
			t.Errorf("%s: the entry is %s, reason %q", word, got.State, got.Reason)
		}
	}
}
