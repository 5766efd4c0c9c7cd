package runner_test

import (
	"strings"
	"testing"

	"sideledger/ledger"
)

// What cannot be compared is blocked, in plan and run alike, and verify does not know; a person's word sends it, and
// the outcome says that nobody saw what came of it.
func TestNothingToCompareIsBlocked(t *testing.T) {
	masked := draft("/masked", `{"s":"a"}`, "")
	masked.Masked = []string{"/s"}
	secretOnly := draft("/secret", `{"u":1,"s":"a"}`, `{"u":1,"s":"b"}`)
	secretOnly.Masked = []string{"/s"}
	for name, d := range map[string]ledger.Draft{
		"empty": draft("/empty", `{}`, ""), "masked": masked, "only what is masked changed": secretOnly,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			e := b.record(d)[0]
			at := strings.Trim(string(e.Resource[len(`{"path":`):len(e.Resource)-1]), `"`)
			b.third.Set(at, `{"u":1,"s":"***"}`)
			said := strings.Join(e.Warnings, " ")
			if name != "only what is masked changed" && !strings.Contains(said, "a rollback will be blocked") {
				t.Errorf("warned %q", said)
			}
			if steps, _ := b.planOrder(false); steps[0] != at+" blocked" {
				t.Errorf("the plan says %q", steps)
			}
			run := b.rollback(ledger.RollbackRequest{})
			b.wantState(e, "stuck blocked")
			if _, undos := b.third.Calls(); undos != 0 || run.Complete || b.state() != ledger.WindowStuck {
				t.Errorf("%d undos, run %+v, window %s", undos, run.Counts, b.state())
			}
			if name != "only what is masked changed" {
				b.wantVerified(e, ledger.CheckUnknown)
			}
			if _, err := b.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "r"}); err != nil {
				t.Fatal(err)
			}
			w, err := b.ledger.Window(t.Context(), b.window)
			if err != nil {
				t.Fatal(err)
			}
			b.finish(w.RollbackID)
			b.wantState(e, "undone unverified")
			b.checkJournal()
		})
	}
}

// An effect that turns up after it was judged is found although an older entry on its resource says nothing of it.
func TestFinalLookBesideABlindEntry(t *testing.T) {
	b := newBench(t)
	blind := b.record(draft("/flag", `{}`, ""))[0]
	b.record(draft("/older", `{"v":1}`, `{"v":2}`))
	judged := b.doubted("/flag", `{"on":false}`, `{"on":true}`)
	b.third.Set("/flag", `{"on":false}`)
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/older" {
			b.third.State["/flag"] = `{"on":true}`
		}
		return false, nil
	}
	b.rollback(ledger.RollbackRequest{})
	b.wantState(blind, "stuck blocked")
	b.wantState(judged, "undone undone")
	if got := b.third.Get("/flag"); got != `{"on":false}` {
		t.Errorf("the flag shows %s", got)
	}
}

func (b *bench) wantVerified(e *ledger.Entry, want string) {
	b.Helper()
	list, err := b.ledger.Verify(b.Context(), b.window)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range list {
		if c.EntryID == e.ID && c.Verdict != want {
			b.Errorf("verify says %s (%s), want %s", c.Verdict, c.Detail, want)
		}
	}
}
