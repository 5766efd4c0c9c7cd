package runner_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
)

// renamer is a bench whose third party gives what an undo brings back a new name, with the three entries of
// one resource: created as /s, updated and since then /t, deleted.
func renamer(t *testing.T) (b *bench, created, updated, deleted *ledger.Entry) {
	b = newBench(t)
	b.third.Rename = true
	created = b.record(draft("/s", "null", `{"v":1}`))[0]
	up := draft("/s", `{"v":1}`, "")
	up.State = ledger.EntryIntended
	updated = b.record(up)[0]
	b.third.Drop("/s")
	b.third.Set("/t", `{"v":2}`)
	if _, err := b.ledger.Applied(t.Context(), updated.ID, ledger.Report{After: image(`{"v":2}`), Resource: json.RawMessage(`{"path":"/t"}`)}); err != nil {
		t.Fatal(err)
	}
	gone := draft("/t", `{"v":2}`, "null")
	gone.Action = ledger.ActionDelete
	b.third.Drop("/t")
	deleted = b.record(gone)[0]
	return b, created, updated, deleted
}

func TestAliasChain(t *testing.T) {
	b, created, updated, deleted := renamer(t)
	if b.entry(deleted.ID).ResourceKey != created.ResourceKey || b.entry(updated.ID).ResourceKey != created.ResourceKey {
		t.Error("the names of one resource are taken for several resources")
	}
	if got := string(b.entry(updated.ID).Resource); got != `{"path":"/s"}` {
		t.Errorf("the report took the name that older entries know: %s", got)
	}
	b.wantVerdicts("undo undo undo")
	run := b.rollback(ledger.RollbackRequest{})
	b.wantState(deleted, "undone compensated")
	b.wantState(updated, "undone compensated")
	b.wantState(created, "undone undone")
	if !run.Complete || run.Counts.Compensated != 2 || len(b.third.State) != 0 {
		t.Errorf("counts %+v, left: %v", run.Counts, b.third.State)
	}
	if e := b.entry(deleted.ID); !strings.Contains(e.Detail, "/t.1") {
		t.Errorf("nobody is told of the new name: %q", e.Detail)
	}
	n := len(b.third.Order())
	if again := b.rollback(ledger.RollbackRequest{}); !again.Complete || len(b.third.Order()) != n {
		t.Error("a second rollback changed something")
	}
	b.wantChecks("same same same")
}

// Wherever the process dies, the walk that goes on finds the resource under its last name, or a person is
// asked: nothing is called rolled back while it stands under a name that nobody looked at.
func TestAliasSurvivesCrashes(t *testing.T) {
	whole, runs := 0, 0
	for n := 0; n < 14; n += step(t) {
		for _, after := range []bool{false, true} {
			runs++
			b, _, _, _ := renamer(t)
			b.third.Post = true // sent twice it would come back twice
			run := b.start(ledger.RollbackRequest{})
			d := &deathly{Store: b.store}
			d.live(n, after)
			dying := *b
			dying.ledger = ledger.New(ledger.Config{Store: d, Systems: b.third, Clock: time.Now, Log: quiet(), Waker: b.waker})
			dying.runUntilDeath(d, run.ID)
			b.finish(run.ID)
			b.checkJournal()
			if left := len(b.third.State); b.state() == ledger.WindowRolledBack && left > 0 {
				t.Errorf("write %d (%v): rolled back, and left: %v", n, after, b.third.State)
			}
			if b.state() == ledger.WindowRolledBack {
				whole++
			}
		}
	}
	if 3*whole < runs {
		t.Errorf("only %d of %d runs went through", whole, runs)
	}
}

func TestResidueIsCompensated(t *testing.T) {
	b := newBench(t)
	b.third.Residue = []string{"a new secret: tell whoever signs", "and the auditors"}
	e := b.updates(1)[0]
	run := b.rollback(ledger.RollbackRequest{})
	b.wantState(e, "undone compensated")
	if got := b.entry(e.ID).Detail; got != "a new secret: tell whoever signs; and the auditors" || run.Counts.Compensated != 1 {
		t.Errorf("detail %q, counts %+v", got, run.Counts)
	}
}

// wantVerdicts compares the plan's verdicts, newest first.
func (b *bench) wantVerdicts(want string) {
	b.Helper()
	var got []string
	_, err := b.ledger.Plan(b.Context(), b.window, ledger.Selection{}, func(s ledger.Step) error {
		got = append(got, string(s.Verdict))
		return nil
	})
	if err != nil || strings.Join(got, " ") != want {
		b.Errorf("plan: %v, %v, want %s", got, err, want)
	}
}

// wantChecks compares what verify says, newest first.
func (b *bench) wantChecks(want string) {
	b.Helper()
	list, err := b.ledger.Verify(b.Context(), b.window)
	var got []string
	for _, c := range list {
		got = append(got, c.Verdict)
	}
	if err != nil || strings.Join(got, " ") != want {
		b.Errorf("verify: %v, %v, want %s", got, err, want)
	}
}

// TestNewNameOutlivesAFailedLook: the undo was answered with a new name, and the look afterwards broke off. The name
// is kept with the open attempt, and the next look goes there.
func TestNewNameOutlivesAFailedLook(t *testing.T) {
	for want, told := range map[string][]string{
		"it has a new secret": {"it has a new secret"},
		`it came back as {"path":"/s.1"}: whoever knows it by its old name has to be told`: nil,
	} {
		b := newBench(t)
		b.third.Rename, b.third.Post, b.third.Residue = true, true, told
		gone := draft("/s", `{"v":1}`, "null")
		gone.Action = ledger.ActionDelete
		e := b.record(gone)[0]
		b.third.OnLook = func(n int, _ string) error {
			if n == 2 {
				return &ledger.CallError{Class: ledger.CallAmbiguous}
			}
			return nil
		}
		b.rollback(ledger.RollbackRequest{})
		b.wantState(e, "undone compensated")
		if got := b.entry(e.ID); got.Detail != want || string(got.Where()) != `{"path":"/s.1"}` {
			t.Errorf("detail %q, under %s", got.Detail, got.Where())
		}
	}
}
