package ledgertest

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
)

const (
	recorders = 64
	each      = 8
)

// Whatever records at once, in one window or in several: sequence and journal have no gap, and every record
// that was answered is there.
func testConcurrentRecorders(t *testing.T, s ledger.Store) {
	var windows []ledger.Window
	for range 3 {
		windows = append(windows, opened(t, s, "w"))
	}
	var mu sync.Mutex
	answered := map[uuid.UUID][]uuid.UUID{}
	var wg sync.WaitGroup
	for i := range recorders {
		wg.Go(func() {
			for j := range each {
				w := windows[(i+j)%len(windows)]
				e := NewEntry(w.ID, "a")
				if err := Record(t.Context(), s, w.ID, &e); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				answered[w.ID] = append(answered[w.ID], e.ID)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, w := range windows {
		es := every(t, s, w.ID)
		same(t, len(es), len(answered[w.ID]))
		for i := range es {
			if es[i].Seq != i+1 || es[i].Journal.Number != int64(i)+2 || !slices.Contains(answered[w.ID], es[i].ID) {
				t.Fatalf("entry %d has seq %d and record %d", i+1, es[i].Seq, es[i].Journal.Number)
			}
		}
		same(t, window(t, s, w.ID).LastSeq, len(es))
		same(t, checkJournal(t.Context(), t, s, w.ID), len(es)+1)
	}
}

// Updates of one window see each other's whole effect or nothing of it.
func testConcurrentUpdates(t *testing.T, s ledger.Store) {
	w := opened(t, s, "w")
	e := NewEntry(w.ID, "a")
	e.Note = "0"
	recorded(t, s, w.ID, &e)
	var wg sync.WaitGroup
	for range recorders {
		wg.Go(func() {
			err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
				got, _, err := tx.FindEntry(e.ID)
				if err != nil {
					return err
				}
				n, err := strconv.Atoi(got.Note)
				if err != nil || n != tx.Window().LastSeq-1 {
					return errors.Join(err, errors.New("the entry and its window do not agree"))
				}
				got.Note = strconv.Itoa(n + 1)
				tx.Window().LastSeq++
				return tx.SaveEntry(got, ledger.EntryApplied)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	same(t, every(t, s, w.ID)[0].Note, strconv.Itoa(recorders))
	same(t, window(t, s, w.ID).LastSeq, recorders+1)
}

// A unit that fails, in whatever way, harms none of those that share a transaction with it.
func testFailingUnits(t *testing.T, s ledger.Store) {
	w, other := opened(t, s, "w"), opened(t, s, "other")
	taken, base := NewEntry(other.ID, "taken"), NewEntry(w.ID, "base")
	recorded(t, s, other.ID, &taken)
	recorded(t, s, w.ID, &base)
	failures := []func(tx ledger.Tx, e *ledger.Entry) error{
		func(tx ledger.Tx, e *ledger.Entry) error { // after everything was kept back
			return errors.Join(Insert(tx, e), tx.SaveReply(ledger.ReplyKey{Key: e.ID.String()}, ledger.Reply{At: start}), errOnPurpose)
		},
		func(tx ledger.Tx, e *ledger.Entry) error { // after statements of its own
			moved := base
			moved.State = ledger.EntryUndoing
			return errors.Join(Insert(tx, e), tx.SaveEntry(&moved, ledger.EntryApplied), tx.SaveAttempt(e.ID, ledger.Attempt{N: 1, StartedAt: start}), errOnPurpose)
		},
		func(tx ledger.Tx, e *ledger.Entry) error { // by a statement that fails late
			e.ID = taken.ID
			return Insert(tx, e)
		},
		func(tx ledger.Tx, e *ledger.Entry) error { // by a statement that fails at once
			return errors.Join(Insert(tx, e), tx.SaveAttempt(ledger.NewID(), ledger.Attempt{N: 1, StartedAt: start}))
		},
		func(tx ledger.Tx, e *ledger.Entry) error { // by a failed statement that it says nothing about
			_ = tx.SaveAttempt(ledger.NewID(), ledger.Attempt{N: 1, StartedAt: start})
			return Insert(tx, e)
		},
		func(tx ledger.Tx, e *ledger.Entry) error {
			panic(errors.Join(errOnPurpose, Insert(tx, e)))
		},
	}
	var mu sync.Mutex
	var want []uuid.UUID
	var wg sync.WaitGroup
	for i := range recorders * 2 {
		e := NewEntry(w.ID, "a")
		wg.Go(func() {
			if i%2 == 1 {
				fail := failures[i/2%len(failures)]
				if err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error { return fail(tx, &e) }); err == nil {
					t.Errorf("failure %d did not fail", i/2%len(failures))
				}
				return
			}
			if err := Record(t.Context(), s, w.ID, &e); err != nil {
				t.Error(err)
			}
			mu.Lock()
			want = append(want, e.ID)
			mu.Unlock()
		})
	}
	wg.Wait()
	es := every(t, s, w.ID)
	same(t, es[0], base)
	same(t, len(es), len(want)+1)
	for i := range es[1:] {
		if e := es[i+1]; e.Seq != i+2 || !slices.Contains(want, e.ID) {
			t.Errorf("entry %d: %+v", i+2, e)
		}
	}
	same(t, checkJournal(t.Context(), t, s, w.ID), len(es)+1)
	same(t, every(t, s, other.ID), []ledger.Entry{taken})
}
