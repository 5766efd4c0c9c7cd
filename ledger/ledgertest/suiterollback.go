package ledgertest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

func testRollbacks(t *testing.T, s ledger.Store) {
	w, other := opened(t, s, "w"), opened(t, s, "other")
	r := NewRollback(w.ID)
	r.Select = ledger.Selection{
		Only: []ledger.Term{{ID: ledger.NewID()}, {Seq: 3}, {System: "a=b"}, {Kind: "k"}, {Tag: "system=x"}}, Exclude: []ledger.Term{{Seq: 4}}, After: 2,
		UpTo: 9, Also: []uuid.UUID{ledger.NewID()},
	}
	r.Words = []ledger.Word{
		{System: "edge", Detail: "61 deletions", AskedAt: start},
		{System: "flags", Detail: "all of it", AskedAt: start, By: "token", Reason: "ours", GivenAt: start.Add(time.Minute)},
	}
	r.Waiting = &ledger.Waiting{Why: "retry", Until: start.Add(time.Second), On: "flags"}
	r.State, r.Reason, r.OnStuck = ledger.RollbackWaiting, "because", ledger.OnStuckHalt
	r.RestoreSnapshot = true
	r.StartedAt, r.Epoch, r.Holder, r.LeaseUntil = start.Add(time.Minute), 3, "h", start.Add(time.Hour)
	update(t, s, w.ID, func(tx ledger.Tx) error { return tx.InsertRollback(&r) })
	check := func(want ledger.Rollback) {
		t.Helper()
		got, err := s.GetRollback(t.Context(), want.ID)
		must(t, err)
		same(t, *got, want)
		update(t, s, w.ID, func(tx ledger.Tx) error {
			got, err := tx.FindRollback(want.ID)
			if err == nil {
				same(t, *got, want)
			}
			return err
		})
	}
	check(r)
	_, err := s.GetRollback(t.Context(), ledger.NewID())
	wantCode(t, err, ledger.CodeNotFound)
	err = s.Update(t.Context(), other.ID, func(tx ledger.Tx) error {
		_, err := tx.FindRollback(r.ID)
		return err
	})
	wantCode(t, err, ledger.CodeNotFound)

	r2 := NewRollback(other.ID)
	r2.CreatedAt = r.CreatedAt.Add(-time.Second)
	update(t, s, other.ID, func(tx ledger.Tx) error { return tx.InsertRollback(&r2) })
	open, err := s.Unfinished(t.Context())
	must(t, err)
	same(t, open, []ledger.Rollback{r2, r})

	r.State, r.Waiting, r.Complete, r.FinishedAt, r.Holder, r.LeaseUntil = ledger.RollbackFinished, nil, true, start, "", time.Time{}
	update(t, s, w.ID, func(tx ledger.Tx) error { return tx.SaveRollback(&r, 3) })
	check(r)
	open, err = s.Unfinished(t.Context())
	must(t, err)
	same(t, open, []ledger.Rollback{r2})
}

// However many ask at once, one run that is not over stands in a window; a next one may follow it.
func testOneUnfinished(t *testing.T, s ledger.Store) {
	w, other := opened(t, s, "w"), opened(t, s, "other")
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			r := NewRollback(w.ID)
			err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
				if _, err := Append(tx, "rollback.started", uuid.Nil, r.ID); err != nil {
					return err
				}
				return tx.InsertRollback(&r)
			})
			if err == nil {
				won.Add(1)
			} else if ledger.CodeOf(err) == ledger.CodeConflict {
				lost.Add(1)
			} else {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	same(t, []int32{won.Load(), lost.Load()}, []int32{1, 15})
	same(t, checkJournal(t.Context(), t, s, w.ID), 2)
	open, err := s.Unfinished(t.Context())
	must(t, err)
	same(t, len(open), 1)

	elsewhere := NewRollback(other.ID)
	elsewhere.ID = open[0].ID // an id is taken once, in whatever window
	err = s.Update(t.Context(), other.ID, func(tx ledger.Tx) error { return tx.InsertRollback(&elsewhere) })
	wantCode(t, err, ledger.CodeConflict)

	for _, end := range []ledger.RollbackState{ledger.RollbackCancelled, ledger.RollbackFinished} {
		first, next := open[0], NewRollback(w.ID)
		update(t, s, w.ID, func(tx ledger.Tx) error {
			wantCode(t, tx.InsertRollback(&next), ledger.CodeConflict) // and the unit goes on
			first.State = end
			if err := tx.SaveRollback(&first, 0); err != nil {
				return err
			}
			return tx.InsertRollback(&next)
		})
		open = []ledger.Rollback{next}
	}
}

func testFenced(t *testing.T, s ledger.Store) {
	w := opened(t, s, "w")
	r := NewRollback(w.ID)
	update(t, s, w.ID, func(tx ledger.Tx) error { return tx.InsertRollback(&r) })
	claim := func(holder string, epoch int64) error {
		claimed := r
		claimed.State, claimed.Holder, claimed.Epoch = ledger.RollbackRunning, holder, epoch+1
		return s.Update(t.Context(), w.ID, func(tx ledger.Tx) error { return tx.SaveRollback(&claimed, epoch) })
	}
	must(t, claim("a", 0))
	must(t, claim("b", 1))
	for _, epoch := range []int64{0, 1, 3} {
		if err := claim("stale", epoch); !errors.Is(err, ledger.ErrFenced) {
			t.Fatalf("a stale runner with epoch %d wrote: %v", epoch, err)
		}
	}
	got, err := s.GetRollback(t.Context(), r.ID)
	must(t, err)
	same(t, got.Holder, "b")
	// What the stale runner did beside its save is gone too, whatever it makes of the answer.
	stale := r
	err = s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
		_ = tx.SaveRollback(&stale, 1)
		_, _ = Append(tx, "rollback.fenced", uuid.Nil, r.ID)
		return nil
	})
	if !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("a stale runner wrote: %v", err)
	}
	same(t, checkJournal(t.Context(), t, s, w.ID), 1)
}

func testJournal(t *testing.T, s ledger.Store) {
	w, other := opened(t, s, "w"), opened(t, s, "other")
	run, entry := ledger.NewID(), ledger.NewID()
	body := []byte("{\"number\":2,\"kind\":\"k\",\"s\":\"<&>\u2028\",\"n\":1.0E+5}")
	update(t, s, w.ID, func(tx ledger.Tx) error {
		for _, wrong := range []journal.Record{
			{Number: 1, Body: []byte(`{"number":1}`)}, {Number: 3, Body: []byte(`{"number":3}`)}, {Number: 2, Body: []byte(`{"number":1}`)},
		} {
			if _, err := tx.Append(wrong); err == nil {
				t.Errorf("record %d was appended with %s", wrong.Number, wrong.Body)
			}
		}
		head, err := tx.Append(journal.Record{
			Number: 2, Kind: "k", EntryID: entry.String(), RollbackID: run.String(), At: start, Body: body, Hash: [32]byte{1},
		})
		must(t, err)
		same(t, tx.Window().Head, head)
		_, err = Append(tx, "next", uuid.Nil, uuid.Nil)
		return err
	})
	rs, err := s.ListRecords(t.Context(), ledger.RecordQuery{WindowID: w.ID, Limit: 10})
	must(t, err)
	same(t, len(rs), 3)
	same(t, rs[1], journal.Record{
		Number: 2, Kind: "k", EntryID: entry.String(), RollbackID: run.String(), At: start, Body: body, Hash: journal.Chain(rs[0].Hash, body),
	})
	same(t, checkJournal(t.Context(), t, s, w.ID), 3)
	same(t, checkJournal(t.Context(), t, s, other.ID), 1)

	rs, err = s.ListRecords(t.Context(), ledger.RecordQuery{WindowID: w.ID, RollbackID: run, Limit: 10})
	must(t, err)
	same(t, len(rs), 1)
	rs, err = s.ListRecords(t.Context(), ledger.RecordQuery{WindowID: w.ID, RollbackID: run, After: 2, Limit: 10})
	must(t, err)
	same(t, len(rs), 0)
	rs, err = s.ListRecords(t.Context(), ledger.RecordQuery{WindowID: ledger.NewID(), Limit: 10})
	must(t, err)
	same(t, len(rs), 0)
}

func testReplies(t *testing.T, s ledger.Store) {
	w, other := opened(t, s, "w"), opened(t, s, "other")
	key := ledger.ReplyKey{TokenID: "t", Method: "POST", Path: "/v1/windows", Key: "k"}
	r := ledger.Reply{
		RequestHash: [32]byte{1, 2}, Status: 201, Header: map[string]string{"Location": "/v1/x?a=1&b=<>"}, Body: []byte("{}\x00\xff"), At: start,
	}
	update(t, s, w.ID, func(tx ledger.Tx) error {
		found, err := tx.FindReply(key)
		must(t, err)
		if found != nil {
			t.Errorf("a reply that nobody saved: %+v", found)
		}
		must(t, tx.SaveReply(key, r))
		found, err = tx.FindReply(key)
		must(t, err)
		same(t, *found, r)
		wantCode(t, tx.SaveReply(key, r), ledger.CodeConflict)
		return nil
	})
	update(t, s, other.ID, func(tx ledger.Tx) error { // a key belongs to its token, not to a window
		found, err := tx.FindReply(key)
		must(t, err)
		same(t, *found, r)
		for _, k := range []ledger.ReplyKey{
			{TokenID: "u", Method: "POST", Path: "/v1/windows", Key: "k"},
			{TokenID: "t", Method: "PUT", Path: "/v1/windows", Key: "k"},
			{TokenID: "t", Method: "POST", Path: "/v1/", Key: "k"},
			{TokenID: "t", Method: "POST", Path: "/v1/windows", Key: "K"},
		} {
			if found, err := tx.FindReply(k); found != nil || err != nil {
				t.Errorf("%+v: %+v, %v", k, found, err)
			}
		}
		return nil
	})
	err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error { return tx.SaveReply(key, r) })
	wantCode(t, err, ledger.CodeConflict)
}

func testTokens(t *testing.T, s ledger.Store) {
	a := ledger.Token{ID: "a", Role: ledger.RoleAdmin, Hash: [32]byte{1}, CreatedAt: start.Add(time.Second)}
	b := ledger.Token{
		ID: "b", Role: ledger.RoleRecorder, WindowID: ledger.NewID(), Hash: [32]byte{2}, CreatedAt: start, ExpiresAt: start.Add(time.Hour),
	}
	must(t, s.InsertToken(t.Context(), a))
	must(t, s.InsertToken(t.Context(), b))
	wantCode(t, s.InsertToken(t.Context(), ledger.Token{ID: "c", Hash: a.Hash, CreatedAt: start}), ledger.CodeConflict)
	wantCode(t, s.InsertToken(t.Context(), ledger.Token{ID: "a", Hash: [32]byte{3}, CreatedAt: start}), ledger.CodeConflict)
	for _, want := range []ledger.Token{a, b} {
		got, err := s.FindToken(t.Context(), want.Hash)
		must(t, err)
		same(t, *got, want)
	}
	got, err := s.FindToken(t.Context(), [32]byte{9})
	if got != nil || err != nil {
		t.Fatalf("an unknown token: %v, %v", got, err)
	}
	must(t, s.RevokeToken(t.Context(), "a", start.Add(time.Minute)))
	must(t, s.RevokeToken(t.Context(), "a", start.Add(time.Hour))) // it stays as it was
	a.RevokedAt = start.Add(time.Minute)
	got, err = s.FindToken(t.Context(), a.Hash)
	must(t, err)
	same(t, *got, a)
	wantCode(t, s.RevokeToken(t.Context(), "none", start), ledger.CodeNotFound)
	all, err := s.ListTokens(t.Context())
	must(t, err)
	same(t, all, []ledger.Token{b, a})
}
