package ledgertest

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// byID sorts what is read in no order.
func byID(list []ledger.Entry) []ledger.Entry {
	slices.SortFunc(list, func(a, b ledger.Entry) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return list
}

// A unit sees the same whatever was foreseen of it: nothing, all that it reads, or something else.
func testForesight(t *testing.T, s ledger.Store) {
	w, other := opened(t, s, "w"), opened(t, s, "other")
	a, b, c := NewEntry(w.ID, "a"), NewEntry(w.ID, "b"), NewEntry(other.ID, "c")
	recorded(t, s, w.ID, &a, &b)
	recorded(t, s, other.ID, &c)
	a.Attempts = []ledger.Attempt{{N: 1, RollbackID: ledger.NewID(), StartedAt: start}}
	update(t, s, w.ID, func(tx ledger.Tx) error { return tx.SaveAttempt(a.ID, a.Attempts[0]) })
	own, foreign := NewRollback(w.ID), NewRollback(other.ID)
	update(t, s, w.ID, func(tx ledger.Tx) error { return tx.InsertRollback(&own) })
	update(t, s, other.ID, func(tx ledger.Tx) error { return tx.InsertRollback(&foreign) })
	all := []uuid.UUID{b.ID, c.ID, ledger.NewID(), a.ID}
	for i, f := range []ledger.Foresight{
		{}, {Rollback: own.ID}, {Rollback: own.ID, Entries: all, Live: true}, {Rollback: foreign.ID, Entries: []uuid.UUID{b.ID}}, {Entries: []uuid.UUID{c.ID}, Live: true},
	} {
		err := s.Update(ledger.Foresee(t.Context(), f), w.ID, func(tx ledger.Tx) error {
			seen, err := tx.FindRollback(own.ID)
			must(t, err)
			same(t, *seen, own)
			_, err = tx.FindRollback(foreign.ID)
			wantCode(t, err, ledger.CodeNotFound)
			list, err := tx.FindEntries(all)
			must(t, err)
			same(t, byID(list), byID([]ledger.Entry{a, b}))
			renamed, err := tx.Renamed()
			must(t, err)
			same(t, len(renamed), 0)
			// What the unit itself writes it sees, foreseen or not.
			own.Reason, a.Detail = "foreseen "+string(rune('a'+i)), own.Reason
			must(t, tx.SaveRollback(&own, own.Epoch))
			must(t, tx.SaveEntry(&a, a.State))
			seen, err = tx.FindRollback(own.ID)
			must(t, err)
			same(t, *seen, own)
			list, err = tx.FindEntries([]uuid.UUID{a.ID})
			must(t, err)
			same(t, list, []ledger.Entry{a})
			return nil
		})
		must(t, err)
	}
	same(t, byID(every(t, s, w.ID)), byID([]ledger.Entry{a, b}))
}
