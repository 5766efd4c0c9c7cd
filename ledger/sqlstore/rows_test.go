package sqlstore

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// The tables written by hand have the columns of their rows, in order, and as many values.
func TestColumns(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct {
		table *table
		row   any
		args  []any
	}{
		{windowTable, windowRow{}, (&windowRow{}).args()},
		{entryTable, entryRow{}, (&entryRow{}).args()},
		{attemptTable, attemptRow{}, attemptArgs(uuid.Nil, ledger.Attempt{})},
		{rollbackTable, rollbackRow{}, (&rollbackRow{}).args()},
		{recordTable, recordRow{}, (&recordRow{}).args()},
		{replyTable, replyRow{}, (&replyRow{}).args()},
	} {
		schema := s.write.Table(reflect.TypeOf(c.row))
		var columns []string
		for i, f := range schema.Fields {
			columns = append(columns, f.Name)
			if got, want := reflect.TypeOf(c.args[i]), f.IndirectType; got != want && got != f.StructField.Type {
				t.Errorf("%s.%s: the value is %v, the column %v", schema.Name, f.Name, got, want)
			}
		}
		if d := cmp.Diff(columns, c.table.columns); d != "" || schema.Name != c.table.name || len(c.args) != len(columns) {
			t.Errorf("%s: %d values, %s", schema.Name, len(c.args), d)
		}
	}
}

func TestNumbered(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "a", "?": "$1", "a = ? AND b IN (?,?)": "a = $1 AND b IN ($2,$3)"} {
		if got := numbered(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A stored hash of another length is a damaged row, and said.
func TestDamagedRows(t *testing.T) {
	s := sqliteStore(t)
	w := open(t, s)
	e := ledgertest.NewEntry(w.ID, "a")
	if err := ledgertest.Record(t.Context(), s, w.ID, &e); err != nil {
		t.Fatal(err)
	}
	for _, damage := range []string{
		"UPDATE entries SET journal_hash = X'00'", "UPDATE entries SET journal_hash = zeroblob(32), body = X'7b'",
		"UPDATE entries SET body = CAST('{}' AS BLOB), warnings = X'7b'", "UPDATE entries SET warnings = NULL, resource_key = X'01'",
	} {
		err := s.Update(t.Context(), w.ID, func(ledger.Tx) error {
			_, err := s.group.conn.raw.ExecContext(t.Context(), damage)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.GetEntry(t.Context(), e.ID); err == nil || ledger.CodeOf(err) != ledger.CodeInternal {
			t.Errorf("%s: %v, %v", damage, got, err)
		}
	}
}

// A resource is found wherever in a large window its entries stand.
func TestResourceBuckets(t *testing.T) {
	s := newStore(t)
	w, other := open(t, s), open(t, s)
	key := ledger.Key{1, 2, 3, 4}
	var want []int
	es := make([]*ledger.Entry, 2*inBucket+10)
	for i := range es {
		e := ledgertest.NewEntry(w.ID, "a")
		switch i + 1 {
		case 1, inBucket - 1, inBucket, inBucket + 1, 2 * inBucket, len(es):
			e.ResourceKey = key
			want = append(want, i+1)
		case 7: // the same ref, another key
			e.ResourceKey = key
			e.ResourceKey[31] = 1
		}
		es[i] = &e
	}
	foreign := ledgertest.NewEntry(other.ID, "a")
	foreign.ResourceKey = key
	if err := ledgertest.Record(t.Context(), s, other.ID, &foreign); err != nil {
		t.Fatal(err)
	}
	check := func(tx ledger.Tx) error {
		found, err := tx.SameResource(key)
		var got []int
		for _, e := range found {
			got = append(got, e.Seq)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		return err
	}
	err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
		for _, e := range es {
			if err := ledgertest.Insert(tx, e); err != nil {
				return err
			}
		}
		tx.Window().LastSeq = 0 // the index does not depend on the caller's arithmetic within one unit
		err := check(tx)
		tx.Window().LastSeq = len(es)
		return err
	})
	if err == nil {
		err = s.Update(t.Context(), w.ID, check)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Ids are looked for in the table unless they are newer than all in it; either way the answer is the same.
func TestFindEntryAmongManyIDs(t *testing.T) {
	for name, openDB := range both {
		t.Run(name, func(t *testing.T) {
			s := openDB(t)
			w, other := open(t, s), open(t, s)
			ids := make([]uuid.UUID, 12)
			for i := range ids {
				ids[i] = ledger.NewID()
			}
			add := func(windowID uuid.UUID, id uuid.UUID) {
				e := ledgertest.NewEntry(windowID, "a")
				e.ID = id
				if err := ledgertest.Record(t.Context(), s, windowID, &e); err != nil {
					t.Fatal(err)
				}
			}
			add(w.ID, ids[2])
			add(other.ID, ids[7])
			err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
				late := ledgertest.NewEntry(w.ID, "a")
				late.ID = ids[9]
				for pass := range 2 {
					for i, id := range ids {
						e, elsewhere, err := tx.FindEntry(id)
						if err != nil {
							return err
						}
						if want := i == 2 || pass == 1 && i == 9; (e != nil) != want || elsewhere != (i == 7) {
							t.Errorf("pass %d, id %d: %v, elsewhere %v", pass, i, e, elsewhere)
						}
					}
					if pass == 0 {
						if err := ledgertest.Insert(tx, &late); err != nil {
							return err
						}
						if _, err := tx.Count(ledger.Selection{}); err != nil { // which writes it
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestPruneReplies(t *testing.T) {
	for name, url := range empties(t) {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Config{URL: url})
			clock := ledgertest.NewClock()
			s.cfg.Clock = clock.Now
			w := open(t, s)
			const many = prunedAtOnce + 5
			key := func(i int) ledger.ReplyKey {
				return ledger.ReplyKey{TokenID: "t", Method: "POST", Path: "/", Key: fmt.Sprint(i)}
			}
			err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
				for i := range many {
					if err := tx.SaveReply(key(i), ledger.Reply{Status: 201, At: clock.Now()}); err != nil {
						return err
					}
				}
				return tx.SaveReply(key(many), ledger.Reply{Status: 201, At: clock.Now().Add(time.Second)})
			})
			if err != nil {
				t.Fatal(err)
			}
			prune := func(want int64) {
				t.Helper()
				if n, err := s.PruneReplies(t.Context()); n != want || err != nil {
					t.Fatalf("forgot %d, %v; want %d", n, err, want)
				}
			}
			clock.Advance(repliesKept)
			prune(0)
			clock.Advance(time.Microsecond)
			prune(many)
			prune(0)
			err = s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
				if r, err := tx.FindReply(key(many)); r == nil || err != nil {
					t.Errorf("the one that is young enough: %v, %v", r, err)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A connection that breaks under an update is an answer that nobody knows, and the next one gets another.
func TestPostgresConnectionLost(t *testing.T) {
	s := postgresStore(t)
	w := open(t, s)
	e := ledgertest.NewEntry(w.ID, "a")
	err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
		if err := ledgertest.Insert(tx, &e); err != nil {
			return err
		}
		_, err := s.write.DB.ExecContext(t.Context(),
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		return err
	})
	if ledger.CodeOf(err) != ledger.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	again := ledgertest.NewEntry(w.ID, "b")
	if err := ledgertest.Record(t.Context(), s, w.ID, &again); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]ledger.Entry{again}, list(t, s, w.ID)); d != "" {
		t.Error(d)
	}
}

// A caller that goes away in the middle of a PostgreSQL update leaves nothing behind.
func TestPostgresCallerGone(t *testing.T) {
	s := postgresStore(t)
	w := open(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	e := ledgertest.NewEntry(w.ID, "a")
	err := s.Update(ctx, w.ID, func(tx ledger.Tx) error {
		cancel()
		return ledgertest.Insert(tx, &e)
	})
	if ledger.CodeOf(err) != ledger.CodeUnavailable || len(list(t, s, w.ID)) != 0 {
		t.Errorf("got %v and %d entries", err, len(list(t, s, w.ID)))
	}
}

// A session that answers before the disk has it is refused.
func TestPostgresMustBeDurable(t *testing.T) {
	cfg := Config{URL: postgres.Database(t) + "&synchronous_commit=off", Clock: ledgertest.NewClock().Now, Log: sqliteStore(t).cfg.Log}
	if s, err := Open(t.Context(), cfg); err == nil {
		_ = s.Close()
		t.Error("it was opened")
	}
}
