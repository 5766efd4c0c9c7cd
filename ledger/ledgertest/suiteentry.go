package ledgertest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// full returns an entry with every member set.
func full(windowID uuid.UUID) ledger.Entry {
	e := NewEntry(windowID, "flags")
	at := func(us int) time.Time { return start.Add(time.Duration(us) * time.Microsecond) }
	e.Undo, e.Read = json.RawMessage(`{"method":"DELETE","path":"/a%2Fb"}`), json.RawMessage(`{"path":"/","present":[200]}`)
	e.Guard, e.Async, e.Verify = json.RawMessage(`{"header":"If-Match"}`), json.RawMessage(`{"poll":1}`), json.RawMessage(`[]`)
	e.Capture, e.DependsOn = true, []uuid.UUID{ledger.NewID(), ledger.NewID()}
	e.Owned, e.Masked, e.Volatile, e.Unordered = []string{"/a", ""}, []string{"/~1"}, []string{"/v"}, []string{"/u"}
	e.Tag, e.Note, e.Source = "t'ag", "line\nline", "upgrade.sh:212"
	e.Draft.State = ledger.EntryIntended
	e.State, e.Reason, e.Outcome = ledger.EntryStuck, ledger.ReasonDrifted, ledger.OutcomeUndone
	e.Detail, e.PerformBy, e.Late, e.Doubted = "somebody else changed it", at(1), true, true
	e.Warnings, e.RollbackID, e.NowDigest = []string{"w1", "w<2>"}, ledger.NewID(), "sha256:00"
	e.Now = ledger.Image{JSON: json.RawMessage(`{"b":1.0,"a":"<>&"}`)}
	e.Decision = &ledger.Decision{Kind: ledger.DecideUndo, Reason: "r", Seen: "s", Evidence: "https://x/?a=1&b=2", By: "t", At: at(2)}
	e.NotBefore, e.AppliedAt, e.UndoneAt = at(3), at(4), at(5)
	e.Alias = &ledger.Alias{Resource: json.RawMessage(`{"id":"<2>"}`), At: at(6)}
	return e
}

func testEntryRoundTrip(t *testing.T, s ledger.Store) {
	w := opened(t, s, "w")
	e, bare := full(w.ID), NewEntry(w.ID, "bare")
	bare.Resource, bare.ResourceKey, bare.Before, bare.After = nil, ledger.Key{}, ledger.Image{}, ledger.Absent
	bare.State, bare.AppliedAt = ledger.EntryIntended, time.Time{}
	recorded(t, s, w.ID, &e, &bare)
	for _, want := range []ledger.Entry{e, bare} {
		got, err := s.GetEntry(t.Context(), want.ID)
		must(t, err)
		same(t, *got, want)
		update(t, s, w.ID, func(tx ledger.Tx) error {
			got, elsewhere, err := tx.FindEntry(want.ID)
			must(t, err)
			same(t, elsewhere, false)
			same(t, *got, want)
			return nil
		})
	}
	// All of it can change, but where the entry stands and who recorded it.
	changed := full(w.ID)
	changed.ID, changed.Seq, changed.Journal.Number, changed.Tag = bare.ID, bare.Seq, 9, "other"
	update(t, s, w.ID, func(tx ledger.Tx) error { return tx.SaveEntry(&changed, ledger.EntryIntended) })
	same(t, every(t, s, w.ID), []ledger.Entry{e, changed})
	_, err := s.GetEntry(t.Context(), ledger.NewID())
	wantCode(t, err, ledger.CodeNotFound)
}

// exact are documents that a careless store changes: escapes, literals, key order, duplicates of meaning.
var exact = []string{
	`{"z":1,"a":2,"m":{"y":[],"b":{}}}`,
	`{"n":[1.0E+5,1e5,100000,-0,0.10,12345678901234567890,1E400]}`,
	`{"s":"<script>&amp;'\"\\\/\b\f\u003c\u0000\ud83d\ude00"}`,
	"{\"s\":\"\u2028\u2029 \u00e9e\u0301 \U0001F600 \x7f\"}",
	`{"":"","$1":"?","?0":"%s"}`,
	`"\u0041"`, `null`, `[]`, `0`, `true`,
}

func testBytesExact(t *testing.T, s ledger.Store) {
	w := opened(t, s, "w")
	for _, doc := range exact {
		raw := json.RawMessage(doc)
		e := NewEntry(w.ID, "flags")
		e.Resource, e.Undo, e.Read, e.Guard, e.Async, e.Verify = raw, raw, raw, raw, raw, raw
		e.Before, e.After, e.Now = ledger.Image{JSON: raw}, ledger.Image{JSON: raw}, ledger.Image{JSON: raw}
		recorded(t, s, w.ID, &e)
		got, err := s.GetEntry(t.Context(), e.ID)
		must(t, err)
		for name, b := range map[string][]byte{
			"resource": got.Resource, "undo": got.Undo, "read": got.Read, "guard": got.Guard, "async": got.Async,
			"verify": got.Verify, "before": got.Before.JSON, "after": got.After.JSON, "now": got.Now.JSON,
		} {
			if string(b) != doc {
				t.Errorf("%s: %q came back as %q", name, doc, b)
			}
		}
		key := ledger.ReplyKey{TokenID: "t", Method: "POST", Path: "/v1", Key: e.ID.String()}
		want := ledger.Reply{Status: 201, Body: []byte(doc), At: start}
		update(t, s, w.ID, func(tx ledger.Tx) error { return tx.SaveReply(key, want) })
		update(t, s, w.ID, func(tx ledger.Tx) error {
			r, err := tx.FindReply(key)
			must(t, err)
			same(t, *r, want)
			return nil
		})
	}
}

func testEntryIDs(t *testing.T, s ledger.Store) {
	w, other := opened(t, s, "w"), opened(t, s, "other")
	e := NewEntry(w.ID, "a")
	update(t, s, w.ID, func(tx ledger.Tx) error {
		got, elsewhere, err := tx.FindEntry(e.ID)
		if got != nil || elsewhere || err != nil {
			t.Errorf("an entry that nobody recorded: %v, %v, %v", got, elsewhere, err)
		}
		return Insert(tx, &e)
	})
	update(t, s, other.ID, func(tx ledger.Tx) error {
		if got, elsewhere, err := tx.FindEntry(e.ID); got != nil || !elsewhere || err != nil {
			t.Errorf("an entry of another window: %v, %v, %v", got, elsewhere, err)
		}
		return nil
	})
	stolen, doubled, sameSeq := e, e, NewEntry(w.ID, "b")
	stolen.WindowID, sameSeq.Seq = other.ID, e.Seq
	wantCode(t, Record(t.Context(), s, other.ID, &stolen), ledger.CodeConflict)
	wantCode(t, Record(t.Context(), s, w.ID, &doubled), ledger.CodeConflict)
	err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error { return tx.InsertEntry(&sameSeq) })
	wantCode(t, err, ledger.CodeConflict)
	same(t, every(t, s, w.ID), []ledger.Entry{e})
	same(t, len(every(t, s, other.ID)), 0)
	same(t, window(t, s, other.ID).LastSeq, 0)
}

func testSaveEntry(t *testing.T, s ledger.Store) {
	w, other := opened(t, s, "w"), opened(t, s, "other")
	e := NewEntry(w.ID, "a")
	recorded(t, s, w.ID, &e)
	moved := e
	moved.State, moved.RollbackID = ledger.EntryUndoing, ledger.NewID()
	for _, from := range []ledger.EntryState{ledger.EntryIntended, ledger.EntryUndoing, ""} {
		err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error { return tx.SaveEntry(&moved, from) })
		wantCode(t, err, ledger.CodeConflict)
	}
	err := s.Update(t.Context(), other.ID, func(tx ledger.Tx) error { return tx.SaveEntry(&moved, ledger.EntryApplied) })
	wantCode(t, err, ledger.CodeConflict)
	same(t, every(t, s, w.ID), []ledger.Entry{e})
	// It takes the whole unit along, whatever its function makes of it, and whether that reads in between or not.
	for _, reads := range []bool{false, true} {
		err = s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
			_ = tx.SaveEntry(&moved, ledger.EntryIntended)
			if reads {
				_, _, _ = tx.FindEntry(e.ID)
			}
			_, _ = Append(tx, "entry.undoing", e.ID, uuid.Nil)
			return nil
		})
		wantCode(t, err, ledger.CodeConflict)
	}
	same(t, checkJournal(t.Context(), t, s, w.ID), 2)
	same(t, every(t, s, w.ID), []ledger.Entry{e})
	update(t, s, w.ID, func(tx ledger.Tx) error { return tx.SaveEntry(&moved, ledger.EntryApplied) })
	same(t, every(t, s, w.ID), []ledger.Entry{moved})
}

func testAttempts(t *testing.T, s ledger.Store) {
	w := opened(t, s, "w")
	a, b := NewEntry(w.ID, "a"), NewEntry(w.ID, "b")
	recorded(t, s, w.ID, &a, &b)
	first := ledger.Attempt{N: 1, RollbackID: ledger.NewID(), Epoch: 3, Seen: "absent", Request: "PUT /x", StartedAt: start}
	second := ledger.Attempt{N: 2, RollbackID: first.RollbackID, Epoch: 4, StartedAt: start.Add(time.Second)}
	update(t, s, w.ID, func(tx ledger.Tx) error { return tx.SaveAttempt(a.ID, first) })
	first.EndedAt, first.Result, first.Status, first.Burnt, first.Detail = start.Add(time.Second), "retry", 503, true, "d"
	update(t, s, w.ID, func(tx ledger.Tx) error {
		must(t, tx.SaveAttempt(a.ID, second))
		must(t, tx.SaveAttempt(b.ID, second))
		return tx.SaveAttempt(a.ID, first)
	})
	a.Attempts, b.Attempts = []ledger.Attempt{first, second}, []ledger.Attempt{second}
	same(t, every(t, s, w.ID), []ledger.Entry{a, b})
	// Saving the entry leaves them alone, even by somebody who has not read them.
	bare := a
	bare.Attempts, bare.State = nil, ledger.EntryUndoing
	update(t, s, w.ID, func(tx ledger.Tx) error { return tx.SaveEntry(&bare, ledger.EntryApplied) })
	got, err := s.GetEntry(t.Context(), a.ID)
	must(t, err)
	same(t, got.Attempts, a.Attempts)
}

func testSameResource(t *testing.T, s ledger.Store) {
	w, other := opened(t, s, "w"), opened(t, s, "other")
	a, b, c, d := NewEntry(w.ID, "a"), NewEntry(w.ID, "a"), NewEntry(w.ID, "a"), NewEntry(other.ID, "a")
	c.ResourceKey, d.ResourceKey = a.ResourceKey, a.ResourceKey
	c.State = ledger.EntryVoid // closed ones count too
	none := NewEntry(w.ID, "a")
	none.ResourceKey = ledger.Key{}
	recorded(t, s, w.ID, &a, &b, &c, &none)
	recorded(t, s, other.ID, &d)
	update(t, s, w.ID, func(tx ledger.Tx) error {
		es, err := tx.SameResource(a.ResourceKey)
		must(t, err)
		same(t, es, []ledger.Entry{a, c})
		es, err = tx.SameResource(ledger.Key{})
		must(t, err)
		same(t, len(es), 0)
		return nil
	})
}
