package runner_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
)

// doubted records an intent that nobody reports on.
func (b *bench) doubted(at, before, after string) *ledger.Entry {
	b.Helper()
	d := draft(at, before, after)
	d.State, d.Perform = ledger.EntryIntended, time.Millisecond
	return b.record(d)[0]
}

// A toggle goes back and forth between two values: that it shows the one of a judged entry is no effect of that
// entry when it is the baseline, or when another entry left it so.
func TestFinalLookInventsNoEffect(t *testing.T) {
	t.Run("at its baseline", func(t *testing.T) {
		b := newBench(t)
		on := b.record(draft("/flag", `{"on":false}`, `{"on":true}`))[0]
		off := b.doubted("/flag", `{"on":true}`, `{"on":false}`) // never happened
		run := b.rollback(ledger.RollbackRequest{})
		b.wantState(on, "undone undone")
		b.wantState(off, "void")
		if b.third.Get("/flag") != `{"on":false}` || !run.Complete || len(b.third.Order()) != 1 {
			t.Errorf("flag %s, undos %v, run %+v", b.third.Get("/flag"), b.third.Order(), run.Counts)
		}
	})
	t.Run("left so by another", func(t *testing.T) {
		b := newBench(t)
		keep := draft("/flag", `{"on":false}`, `{"on":true}`)
		keep.OnRollback = ledger.OnRollbackRetain
		b.record(keep)
		judged := b.doubted("/flag", `{"on":false}`, `{"on":true}`)
		b.third.Set("/flag", `{"on":false}`)
		older := b.record(draft("/older", `{"v":1}`, `{"v":2}`))[0]
		_ = older
		b.third.OnUndo = func(_ int, at string) (bool, error) {
			if at == "/older" {
				b.third.State["/flag"] = `{"on":true}`
			}
			return false, nil
		}
		b.rollback(ledger.RollbackRequest{})
		if got := b.entry(judged.ID); got.State == ledger.EntryApplied || got.Late {
			t.Errorf("judged entry is %s, late %v", got.State, got.Late)
		}
	})
}

// While a system is away the final look waits for it.
func TestFinalLookWaitsForASystemThatIsAway(t *testing.T) {
	b := newBench(t)
	b.record(draft("/older", `{"v":1}`, `{"v":2}`))
	e := b.doubted("/late", `{"v":1}`, `{"v":2}`)
	b.third.Set("/late", `{"v":1}`)
	away := 0
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/older" {
			away, b.third.State["/late"] = 3, `{"v":2}`
		}
		return false, nil
	}
	b.third.OnLook = func(_ int, at string) error {
		if at == "/late" && away > 0 {
			away--
			return &ledger.CallError{Class: ledger.CallNotSent}
		}
		return nil
	}
	run := b.rollback(ledger.RollbackRequest{})
	b.wantState(e, "undone undone")
	if !run.Complete || b.third.Get("/late") != `{"v":1}` {
		t.Errorf("run %+v, resource %s", run.Counts, b.third.Get("/late"))
	}
}

// A final look that cannot be made for good is said in the entry.
func TestFinalLookThatCannotBeMadeIsSaid(t *testing.T) {
	for name, fault := range map[string]*ledger.CallError{
		"refused": {Class: ledger.CallAuth}, "denied": {Class: ledger.CallDenied, Detail: "no"}, "useless": {Class: ledger.CallAnswered, Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			e := b.doubted("/late", `{"v":1}`, `{"v":2}`)
			b.third.Set("/late", `{"v":1}`)
			looks := 0
			b.third.OnLook = func(int, string) error {
				if looks++; looks > 1 {
					return fault
				}
				return nil
			}
			run := b.rollback(ledger.RollbackRequest{})
			b.wantState(e, "void")
			said := slices.ContainsFunc(b.entry(e.ID).Warnings, func(w string) bool { return strings.Contains(w, "final look") })
			if !said || !run.Complete {
				t.Errorf("warnings %q, run %+v", b.entry(e.ID).Warnings, run.Counts)
			}
		})
	}
}

// A report that comes between the final look and what is written of it is not doubled.
func TestFinalLookBesideAReport(t *testing.T) {
	b := newBench(t)
	e := b.doubted("/late", `{"v":1}`, `{"v":2}`)
	b.third.Set("/late", `{"v":1}`)
	looks := 0
	b.third.OnLook = func(int, string) error {
		if looks++; looks == 2 { // the final look: the script wakes up, acts and reports
			b.third.State["/late"] = `{"v":2}`
			if _, err := b.ledger.Applied(t.Context(), e.ID, ledger.Report{}); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	run := b.rollback(ledger.RollbackRequest{})
	list, err := b.ledger.Entries(t.Context(), ledger.EntryQuery{WindowID: b.window, Limit: 10})
	if err != nil || len(list) != 1 || !run.Complete {
		t.Errorf("%d entries, run %+v, %v", len(list), run.Counts, err)
	}
	b.wantState(e, "undone undone")
}

// An effect that turns up again in a partial run is undone by that run.
func TestFinalLookOfAPartialRun(t *testing.T) {
	b := newBench(t)
	b.record(draft("/older", `{"v":1}`, `{"v":2}`))
	e := b.doubted("/late", `{"v":1}`, `{"v":2}`)
	b.third.Set("/late", `{"v":2}`) // it happened; undone; and then its script's retry arrives
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/older" {
			b.third.State["/late"] = `{"v":2}`
		}
		return false, nil
	}
	run := b.rollback(ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"1", e.ID.String()}}})
	if !run.Complete || run.Counts.Undone != 3 || b.third.Get("/late") != `{"v":1}` || b.state() != ledger.WindowOpen {
		t.Errorf("run %+v, resource %s, window %s", run.Counts, b.third.Get("/late"), b.state())
	}
}
