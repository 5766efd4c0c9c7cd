package ledgertest

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// rivalIDs are the entries that rivals are, in the order of their ids.
func rivalIDs(list []ledger.Rival) []uuid.UUID {
	ids := []uuid.UUID{}
	for _, r := range list {
		ids = append(ids, r.EntryID)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
	return ids
}

// rivalsBothWays asks under the fence and without it, and ends the test where the two differ.
func rivalsBothWays(t *testing.T, s ledger.Store, windowID uuid.UUID, keys ...ledger.Key) []ledger.Rival {
	t.Helper()
	read, err := s.Rivals(t.Context(), windowID, keys)
	must(t, err)
	update(t, s, windowID, func(tx ledger.Tx) error {
		fenced, err := tx.Rivals(keys)
		must(t, err)
		same(t, rivalIDs(fenced), rivalIDs(read))
		return nil
	})
	return read
}

func testRivals(t *testing.T, s ledger.Store) {
	ours := opened(t, s, "ours")
	one, two, none := ledger.Key{1}, ledger.Key{2}, ledger.Key{}
	add := func(w ledger.Window, key ledger.Key, state ledger.EntryState, on ledger.OnRollback) uuid.UUID {
		e := NewEntry(w.ID, "a")
		e.ResourceKey, e.State, e.OnRollback = key, state, on
		recorded(t, s, w.ID, &e)
		return e.ID
	}
	add(ours, one, ledger.EntryApplied, ledger.OnRollbackUndo)
	same(t, rivalIDs(rivalsBothWays(t, s, ours.ID, one)), []uuid.UUID{})

	var want []uuid.UUID
	for _, state := range []ledger.WindowState{
		ledger.WindowOpen, ledger.WindowSealed, ledger.WindowRollingBack, ledger.WindowStuck, ledger.WindowKept, ledger.WindowRolledBack,
	} {
		w := opened(t, s, "in "+string(state))
		for _, es := range entryStates {
			id := add(w, one, es, ledger.OnRollbackUndo)
			closed := es == ledger.EntryUndone || es == ledger.EntryVoid || es == ledger.EntryWaived
			if state.Live() && !closed {
				want = append(want, id)
			}
		}
		add(w, one, ledger.EntryApplied, ledger.OnRollbackRetain)
		add(w, two, ledger.EntryApplied, ledger.OnRollbackUndo)
		add(w, none, ledger.EntryApplied, ledger.OnRollbackUndo)
		update(t, s, w.ID, func(tx ledger.Tx) error { tx.Window().State = state; return nil })
	}
	same(t, rivalIDs(rivalsBothWays(t, s, ours.ID, one)), rivalIDs(rivalsOfIDs(want)))
	same(t, len(rivalsBothWays(t, s, ours.ID, two)), 4)
	same(t, len(rivalsBothWays(t, s, ours.ID, one, two)), len(want)+4)
	same(t, len(rivalsBothWays(t, s, ours.ID)), 0)
}

func rivalsOfIDs(ids []uuid.UUID) []ledger.Rival {
	var out []ledger.Rival
	for _, id := range ids {
		out = append(out, ledger.Rival{EntryID: id})
	}
	return out
}

// What is told of a rival is as its window, its run and the entry are by now.
func testRivalFields(t *testing.T, s ledger.Store) {
	ours, theirs := opened(t, s, "ours"), opened(t, s, "theirs")
	e := NewEntry(theirs.ID, "a")
	e.State, e.AppliedAt, e.PerformBy = ledger.EntryUndoing, time.Time{}, start.Add(time.Minute)
	recorded(t, s, theirs.ID, &e)
	run := NewRollback(theirs.ID)
	run.State = ledger.RollbackPaused
	update(t, s, theirs.ID, func(tx ledger.Tx) error {
		tx.Window().State, tx.Window().Resume, tx.Window().RollbackID = ledger.WindowStuck, ledger.WindowKept, run.ID
		return tx.InsertRollback(&run)
	})
	want := []ledger.Rival{{
		WindowID: theirs.ID, Window: "theirs", State: ledger.WindowStuck, Resume: ledger.WindowKept, Run: ledger.RollbackPaused,
		EntryID: e.ID, Seq: 1, Key: e.ResourceKey, Entry: ledger.EntryUndoing, RecordedAt: start, PerformBy: start.Add(time.Minute),
	}}
	same(t, rivalsBothWays(t, s, ours.ID, e.ResourceKey), want)
	// A kept window is live for as long as its partial run.
	update(t, s, theirs.ID, func(tx ledger.Tx) error { tx.Window().State, tx.Window().Resume = ledger.WindowKept, ""; return nil })
	want[0].State, want[0].Resume = ledger.WindowKept, ""
	same(t, rivalsBothWays(t, s, ours.ID, e.ResourceKey), want)
	run.State = ledger.RollbackCancelled
	update(t, s, theirs.ID, func(tx ledger.Tx) error { return tx.SaveRollback(&run, run.Epoch) })
	same(t, len(rivalsBothWays(t, s, ours.ID, e.ResourceKey)), 0)
}

func testRenamed(t *testing.T, s ledger.Store) {
	ours := opened(t, s, "ours")
	named := func(w ledger.Window) ledger.Entry {
		e := NewEntry(w.ID, "a")
		e.Alias = &ledger.Alias{Resource: json.RawMessage(`{"id":"2"}`), At: start}
		plain := NewEntry(w.ID, "a")
		recorded(t, s, w.ID, &e, &plain)
		return e
	}
	mine := named(ours)
	ask := func() (ids []uuid.UUID) {
		list, err := s.Renamed(t.Context(), ours.ID)
		must(t, err)
		update(t, s, ours.ID, func(tx ledger.Tx) error {
			fenced, err := tx.Renamed()
			must(t, err)
			same(t, len(fenced), len(list))
			return nil
		})
		for i := range list {
			ids = append(ids, list[i].ID)
		}
		return rivalIDs(rivalsOfIDs(ids))
	}
	same(t, ask(), []uuid.UUID{}) // nobody is there who could know it by another name
	theirs, kept := opened(t, s, "theirs"), opened(t, s, "kept")
	other := named(theirs)
	named(kept)
	update(t, s, kept.ID, func(tx ledger.Tx) error { tx.Window().State = ledger.WindowKept; return nil })
	same(t, ask(), rivalIDs(rivalsOfIDs([]uuid.UUID{mine.ID, other.ID})))
}

// Of two windows that record on one resource at once, at least one is told of the other.
func testRivalsAtOnce(t *testing.T, s ledger.Store) {
	windows := []ledger.Window{opened(t, s, "a"), opened(t, s, "b"), opened(t, s, "c")}
	for i := range 40 {
		key := ledger.Key{1, byte(i)}
		seen := make([]int, len(windows))
		var wg sync.WaitGroup
		for j, w := range windows {
			wg.Go(func() {
				e := NewEntry(w.ID, "a")
				e.ResourceKey = key
				err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
					list, err := tx.Rivals([]ledger.Key{key})
					if err != nil {
						return err
					}
					seen[j] = len(list)
					mine := e
					return Insert(tx, &mine)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		slices.Sort(seen)
		same(t, seen, []int{0, 1, 2})
	}
}
