package ledger

import (
	"testing"

	"github.com/google/uuid"
)

func on(seq int, before, after string, state EntryState) Entry {
	e := Entry{Seq: seq, State: state}
	e.ID, e.Action = uuid.Must(uuid.NewV7()), ActionUpdate
	e.Before, e.After = img(before), img(after)
	e.Undo = []byte(before)
	return e
}

func TestLateFactGoesToTheBaseline(t *testing.T) {
	void := on(1, `{"v":0}`, `{"v":9}`, EntryVoid)
	first := on(2, `{"v":1}`, `{"v":2}`, EntryUndone)
	second := on(3, `{"v":2}`, `{"v":3}`, EntryUndone)
	late := on(4, `{"v":3}`, `{"v":4}`, EntryApplied)
	late.Late = true
	eff, _ := effective(&late, []Entry{void, first, second, late})
	if string(eff.Before.JSON) != `{"v":1}` || string(eff.Undo) != `{"v":1}` || string(eff.After.JSON) != `{"v":4}` || eff.ID != late.ID {
		t.Fatalf("the late fact goes to %s by %s", eff.Before.JSON, eff.Undo)
	}
	for now, want := range map[string]Verdict{`{"v":4}`: VerdictUndo, `{"v":1}`: VerdictAlreadyGone, `{"v":3}`: VerdictDrifted} {
		if j := Judge(eff, Look{Known: true, Now: img(now)}); j.Verdict != want {
			t.Errorf("now %s: %s, want %s", now, j.Verdict, want)
		}
	}
}

func TestLateFactWithoutOlderUndoGoesToItsOwnBefore(t *testing.T) {
	first := on(1, `{"v":1}`, `{"v":2}`, EntryApplied)
	late := on(2, `{"v":2}`, `{"v":3}`, EntryApplied)
	late.Late = true
	if eff, _ := effective(&late, []Entry{first, late}); string(eff.Before.JSON) != `{"v":2}` {
		t.Fatalf("goes to %s", eff.Before.JSON)
	}
}

func TestMiddleEntryIsAtHomeAtTheBaselineOnlyAfterALateUndo(t *testing.T) {
	first := on(1, `{"v":1}`, `{"v":2}`, EntryApplied)
	middle := on(2, `{"v":2}`, `{"v":3}`, EntryApplied)
	late := on(3, `{"v":3}`, `{"v":4}`, EntryUndone)
	seen := Look{Known: true, Now: img(`{"v":1}`)}
	if _, home := effective(&middle, []Entry{first, middle, late}); home(seen) {
		t.Fatal("at home although nothing late was undone")
	}
	late.Late = true
	_, home := effective(&middle, []Entry{first, middle, late})
	if !home(seen) {
		t.Fatal("not at home at the baseline")
	}
	if home(Look{Known: true, Now: img(`{"v":7}`)}) {
		t.Fatal("at home at a foreign state")
	}
}
