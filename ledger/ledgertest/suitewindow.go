package ledgertest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

func follow(t *testing.T, prev ledger.Head, r journal.Record) ledger.Head {
	t.Helper()
	if r.Number != prev.Number+1 {
		t.Fatalf("record %d follows %d", r.Number, prev.Number)
	}
	if r.Hash != journal.Chain(prev.Hash, r.Body) {
		t.Fatalf("the hash of record %d does not follow from its bytes", r.Number)
	}
	return ledger.Head{Number: r.Number, Hash: r.Hash}
}

func testWindows(t *testing.T, s ledger.Store) {
	w := NewWindow("April release \U0001F680")
	w.Ticket, w.Owner, w.Snapshot, w.Buffer = "CHG-1", "ops", "zfs:tank@1", 15*time.Minute
	w.Labels = map[string]string{"site": "zrh", "<&>": "\u2028"}
	restore := NewEntry(w.ID, "vm").Draft
	restore.Restore, restore.After = true, ledger.Image{}
	w.Restore = &restore
	w.Head, w.LastSeq = ledger.Head{Number: 7}, 7 // a new window has none: both are ignored
	var head ledger.Head
	must(t, s.Open(t.Context(), w, func(tx ledger.Tx) (err error) {
		if got := tx.Window(); got.Head != (ledger.Head{}) || got.LastSeq != 0 || got.Name != w.Name {
			t.Errorf("the new window is %+v", got)
		}
		head, err = Append(tx, "window.opened", uuid.Nil, uuid.Nil)
		return err
	}))
	w.Head, w.LastSeq = head, 0
	same(t, window(t, s, w.ID), w)

	wantCode(t, s.Open(t.Context(), w, func(ledger.Tx) error { return nil }), ledger.CodeConflict)

	rollback := ledger.NewID()
	update(t, s, w.ID, func(tx ledger.Tx) error {
		f := tx.Window()
		f.State, f.Resume, f.RollbackID, f.LastSeq = ledger.WindowStuck, ledger.WindowOpen, rollback, 3
		f.SealedAt = start.Add(time.Hour)
		f.Head = ledger.Head{Number: 99} // moves through Append alone
		return nil
	})
	w.State, w.Resume, w.RollbackID, w.LastSeq, w.SealedAt = ledger.WindowStuck, ledger.WindowOpen, rollback, 3, start.Add(time.Hour)
	same(t, window(t, s, w.ID), w)

	_, err := s.FindWindow(t.Context(), ledger.NewID())
	wantCode(t, err, ledger.CodeNotFound)
}

func testWindowPages(t *testing.T, s ledger.Store) {
	var ids []uuid.UUID
	for i := range 7 {
		w := NewWindow("w")
		if i%2 == 1 {
			w.State = ledger.WindowSealed
		}
		must(t, s.Open(t.Context(), w, func(ledger.Tx) error { return nil }))
		ids = append([]uuid.UUID{w.ID}, ids...)
	}
	walk := func(q ledger.WindowQuery) []uuid.UUID {
		var got []uuid.UUID
		for {
			ws, err := s.ListWindows(t.Context(), q)
			must(t, err)
			if len(ws) == 0 {
				return got
			}
			if len(ws) > q.Limit {
				t.Fatalf("%d windows in a page of %d", len(ws), q.Limit)
			}
			for _, w := range ws {
				got = append(got, w.ID)
			}
			q.Before = got[len(got)-1]
		}
	}
	same(t, walk(ledger.WindowQuery{Limit: 3}), ids)
	same(t, walk(ledger.WindowQuery{Limit: 2, State: ledger.WindowSealed}), []uuid.UUID{ids[1], ids[3], ids[5]})
	same(t, walk(ledger.WindowQuery{Limit: 2, State: ledger.WindowKept}), []uuid.UUID(nil))
}

func testNoWindow(t *testing.T, s ledger.Store) {
	err := s.Update(t.Context(), ledger.NewID(), func(ledger.Tx) error {
		t.Error("the function ran")
		return nil
	})
	wantCode(t, err, ledger.CodeNotFound)
}

// What a failed function did to its window is gone, whatever it holds of it.
func testFreshTx(t *testing.T, s ledger.Store) {
	w := NewWindow("w")
	w.Labels = map[string]string{"a": "b"}
	must(t, s.Open(t.Context(), w, func(ledger.Tx) error { return nil }))
	var kept *ledger.Window
	err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
		kept = tx.Window()
		kept.State, kept.LastSeq, kept.Labels["a"] = ledger.WindowSealed, 5, "c"
		return errOnPurpose
	})
	same(t, err == errOnPurpose, true) //nolint:errorlint // the very error, not one like it
	kept.State = ledger.WindowKept
	update(t, s, w.ID, func(tx ledger.Tx) error {
		f := tx.Window()
		if f == kept || f.State != ledger.WindowOpen || f.LastSeq != 0 || f.Labels["a"] != "b" {
			t.Errorf("a second function sees what a failed one did: %+v", f)
		}
		return nil
	})
	same(t, window(t, s, w.ID), w)
}

func testAllOrNone(t *testing.T, s ledger.Store) {
	w := opened(t, s, "w")
	e := NewEntry(w.ID, "a")
	recorded(t, s, w.ID, &e)
	before, key := window(t, s, w.ID), ledger.ReplyKey{TokenID: "t", Method: "POST", Path: "/", Key: "k"}
	run := NewRollback(w.ID)
	everything := func(tx ledger.Tx) error {
		tx.Window().State = ledger.WindowRollingBack
		added, moved := NewEntry(w.ID, "b"), e
		moved.State = ledger.EntryUndoing
		for _, err := range []error{
			Insert(tx, &added), tx.SaveEntry(&moved, ledger.EntryApplied), tx.SaveAttempt(e.ID, ledger.Attempt{N: 1, StartedAt: start}),
			tx.InsertRollback(&run), tx.SaveReply(key, ledger.Reply{Status: 201, At: start}),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		return errOnPurpose
	}
	if err := s.Update(t.Context(), w.ID, everything); err != errOnPurpose { //nolint:errorlint // the very error
		t.Fatal(err)
	}
	unopened := NewWindow("never")
	err := s.Open(t.Context(), unopened, func(tx ledger.Tx) error {
		added := NewEntry(unopened.ID, "c")
		if err := Insert(tx, &added); err != nil {
			t.Error(err)
		}
		if n, err := tx.Count(ledger.Selection{}); err != nil || n.Remaining != 1 {
			t.Errorf("count: %+v, %v", n, err)
		}
		return errOnPurpose
	})
	same(t, err == errOnPurpose, true) //nolint:errorlint // the very error
	_, err = s.FindWindow(t.Context(), unopened.ID)
	wantCode(t, err, ledger.CodeNotFound)

	same(t, window(t, s, w.ID), before)
	same(t, every(t, s, w.ID), []ledger.Entry{e})
	same(t, checkJournal(t.Context(), t, s, w.ID), 2)
	_, err = s.GetRollback(t.Context(), run.ID)
	wantCode(t, err, ledger.CodeNotFound)
	update(t, s, w.ID, func(tx ledger.Tx) error {
		if r, err := tx.FindReply(key); r != nil || err != nil {
			t.Errorf("the reply is there: %+v, %v", r, err)
		}
		return nil
	})
}

// A unit sees what it wrote, in whatever order it wrote and looks.
func testOwnWrites(t *testing.T, s ledger.Store) {
	w := opened(t, s, "w")
	a, b, c := NewEntry(w.ID, "a"), NewEntry(w.ID, "b"), NewEntry(w.ID, "c")
	b.ResourceKey = a.ResourceKey
	update(t, s, w.ID, func(tx ledger.Tx) error {
		must(t, Insert(tx, &a))
		got, elsewhere, err := tx.FindEntry(a.ID)
		must(t, err)
		same(t, elsewhere, false)
		same(t, *got, a)
		a.State = ledger.EntryUndoing
		must(t, tx.SaveEntry(&a, ledger.EntryApplied))
		must(t, tx.SaveAttempt(a.ID, ledger.Attempt{N: 1, StartedAt: start}))
		a.Attempts = []ledger.Attempt{{N: 1, StartedAt: start}}
		must(t, Insert(tx, &b))
		n, err := tx.Count(ledger.Selection{})
		must(t, err)
		same(t, n, ledger.Counts{Remaining: 2})
		must(t, Insert(tx, &c))
		es, err := tx.SameResource(a.ResourceKey)
		must(t, err)
		bare := a
		bare.Attempts = nil
		same(t, es, []ledger.Entry{bare, b})
		got, _, err = tx.FindEntry(a.ID)
		must(t, err)
		same(t, *got, a)
		wantCode(t, tx.InsertEntry(&c), ledger.CodeConflict)
		return nil
	})
	same(t, every(t, s, w.ID), []ledger.Entry{a, b, c})
	same(t, window(t, s, w.ID).LastSeq, 3)
}

// A caller that has gone before its update began has recorded nothing.
func testGoneCaller(t *testing.T, s ledger.Store) {
	w := opened(t, s, "w")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := NewEntry(w.ID, "a")
	wantCode(t, Record(ctx, s, w.ID, &e), ledger.CodeUnavailable)
	same(t, len(every(t, s, w.ID)), 0)
}

// What the journal's newer records are about, those of the unit itself and of others in its transaction
// included.
func testTouched(t *testing.T, s ledger.Store) {
	w, other := opened(t, s, "w"), opened(t, s, "other")
	const opening = int64(1) // the record of the window itself
	a, b, c, x := NewEntry(w.ID, "a"), NewEntry(w.ID, "b"), NewEntry(w.ID, "c"), NewEntry(other.ID, "x")
	recorded(t, s, w.ID, &a, &b)
	recorded(t, s, other.ID, &x)
	update(t, s, w.ID, func(tx ledger.Tx) error {
		_, err := Append(tx, "window.noted", uuid.Nil, uuid.Nil) // about no entry
		must(t, err)
		_, err = Append(tx, "entry.confirmed", a.ID, uuid.Nil)
		must(t, err)
		must(t, Insert(tx, &c))
		for _, q := range []struct {
			after int64
			limit int
			want  []uuid.UUID
			more  bool
		}{
			{0, 10, []uuid.UUID{a.ID, b.ID, c.ID}, false},
			{opening + 1, 10, []uuid.UUID{b.ID, a.ID, c.ID}, false},
			{opening + 4, 10, []uuid.UUID{c.ID}, false},
			{opening + 5, 10, nil, false},
			{opening, 5, []uuid.UUID{a.ID, b.ID, c.ID}, false},
			{opening, 2, []uuid.UUID{a.ID, b.ID}, true},
			{opening + 1, 2, []uuid.UUID{b.ID}, true},
		} {
			ids, more, err := tx.Touched(q.after, q.limit)
			must(t, err)
			same(t, ids, q.want)
			same(t, more, q.more)
		}
		return nil
	})
}
