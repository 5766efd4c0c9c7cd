package sqlstore

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
)

// many returns a window of more entries than are made at a time, each with an attempt.
func many(t *testing.T, s *Store) (id uuid.UUID, entries int) {
	t.Helper()
	l := ledger.New(ledger.Config{
		Store: s, Systems: ledgertest.NewThird(), Clock: ledgertest.NewClock().Now, Log: slog.New(slog.DiscardHandler), Waker: noWaker{},
	})
	w, err := l.OpenWindow(t.Context(), ledger.WindowDraft{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	image := ledger.Image{JSON: []byte(`{"v":1}`)}
	for entries = 0; entries < replayEntries+100; {
		var list []ledger.Draft
		for range 100 {
			entries++
			list = append(list, ledger.Draft{
				System: "sys", Kind: "k", Action: ledger.ActionUpdate, Resource: fmt.Appendf(nil, `{"path":"/%d"}`, entries),
				Before: image, After: image, State: ledger.EntryApplied,
			})
		}
		if _, err := l.Record(t.Context(), w.ID, list); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := l.Recover(t.Context(), w.ID, ""); err != nil || n != entries {
		t.Fatalf("%d entries have an attempt, %v", n, err)
	}
	return w.ID, entries
}

// allRecords returns every record of a window.
func allRecords(t *testing.T, s *Store, id uuid.UUID) []journal.Record {
	t.Helper()
	var out []journal.Record
	for {
		q := ledger.RecordQuery{WindowID: id, After: int64(len(out)), Limit: mirrorPage}
		page, err := s.ListRecords(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return out
		}
		out = append(out, page...)
	}
}

// A window of many entries is verified and made anew some entries at a time: each is compared, those where one lot ends and the next
// begins too, and what stands beside them is found.
func TestManyEntries(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			old, s := open(t), open(t)
			id, n := many(t, old)
			if err := absorb(t, s, id, allRecords(t, old, id)); err != nil {
				t.Fatal(err)
			}
			for _, seq := range []int{1, replayEntries, replayEntries + 1, n} {
				if d := cmp.Diff(entryOf(t, old, id, seq), entryOf(t, s, id, seq)); d != "" {
					t.Errorf("entry %d: old (-), made anew (+):\n%s", seq, d)
				}
			}
			for _, s := range []*Store{old, s} {
				if bad, err := s.Verify(t.Context()); err != nil || len(bad) > 0 {
					t.Fatalf("%v, %v", bad, err)
				}
			}
			head := find(t, s, id).Head.Number
			for _, seq := range []int{replayEntries + 1, n} {
				at := entryOf(t, s, id, seq).Journal.Number
				for edit, want := range map[string]string{
					"UPDATE entries SET detail = 'x' WHERE seq = %d":                                            "entries.detail of entry %d is not",
					"UPDATE entries SET seq = seq + 5000 WHERE seq = %d":                                        "entries.seq of entry %d is not",
					"UPDATE entries SET seq = -seq WHERE seq = %d":                                              "entries.seq of entry %d is not",
					"UPDATE attempts SET detail = 'x' WHERE entry_id = (SELECT id FROM entries WHERE seq = %d)": "attempts.detail of entry %d is not",
					"DELETE FROM attempts WHERE entry_id = (SELECT id FROM entries WHERE seq = %d)":             "entry %d has 0 attempts",
				} {
					s.edited(t, fmt.Sprintf(edit, seq), journal.Damage{Number: at, Problem: fmt.Sprintf(want, seq)})
				}
				s.edited(t, fmt.Sprintf("UPDATE entries SET journal_number = 9999999 WHERE seq = %d", seq),
					journal.Damage{Number: head + 1, Problem: "the tail is cut off"})
			}
		})
	}
}

func entryOf(t *testing.T, s *Store, id uuid.UUID, seq int) *ledger.Entry {
	t.Helper()
	list, err := s.ListEntries(t.Context(), ledger.EntryQuery{WindowID: id, From: seq - 1, Limit: 1})
	if err != nil || len(list) != 1 || list[0].Seq != seq {
		t.Fatalf("entry %d: %v, %v", seq, list, err)
	}
	e, err := s.GetEntry(t.Context(), list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// edited looks what verification finds after an edit, which is then taken back.
func (s *Store) edited(t *testing.T, edit string, want journal.Damage) {
	t.Helper()
	undo := fmt.Errorf("undo %s", edit)
	err := s.change(t.Context(), "test", func(ctx context.Context, db bun.IDB) error {
		if _, err := db.NewRaw(edit).Exec(ctx); err != nil {
			return err
		}
		ids, err := windowIDs(ctx, db)
		if err != nil {
			return err
		}
		v := &verification{replay: replay{db: db, id: ids[0]}}
		if err := v.run(ctx); err != nil {
			return err
		}
		if v.bad == nil || v.bad.Number != want.Number || !strings.Contains(v.bad.Problem, want.Problem) {
			t.Errorf("%s: want record %d, %s; got %v", edit, want.Number, want.Problem, v.bad)
		}
		return undo
	})
	if err == nil || !strings.Contains(err.Error(), undo.Error()) {
		t.Errorf("%s: %v", edit, err)
	}
}
