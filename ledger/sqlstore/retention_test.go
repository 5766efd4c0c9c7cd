package sqlstore

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
)

// A shelf is a ledger with windows that are past their time, and others.
type shelf struct {
	*testing.T
	store  *Store
	ledger *ledger.Ledger
	clock  *ledgertest.Clock
}

func newShelf(t *testing.T, s *Store) *shelf {
	clock := ledgertest.NewClock()
	return &shelf{T: t, store: s, clock: clock, ledger: ledger.New(ledger.Config{
		Store: s, Systems: ledgertest.NewThird(), Clock: clock.Now, Log: slog.New(slog.DiscardHandler), Waker: noWaker{},
	})}
}

func (h *shelf) check(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *shelf) record(id uuid.UUID, state ledger.EntryState, on ledger.OnRollback) uuid.UUID {
	h.Helper()
	image := ledger.Image{JSON: []byte(`{"v":1}`)}
	got, err := h.ledger.Record(h.Context(), id, []ledger.Draft{{
		System: "sys", Kind: "k", Action: ledger.ActionUpdate, Resource: []byte(`{"path":"/a"}`), Before: image, After: image,
		State: state, OnRollback: on,
	}})
	h.check(err)
	return got[0].Entry.ID
}

// kept returns a window that was kept, with void entries and one that is retained, which are closed, and open ones if asked for.
func (h *shelf) kept(open bool) uuid.UUID {
	h.Helper()
	w, err := h.ledger.OpenWindow(h.Context(), ledger.WindowDraft{Name: "w"})
	h.check(err)
	for range 3 {
		_, err := h.ledger.Void(h.Context(), h.record(w.ID, ledger.EntryIntended, ledger.OnRollbackUndo), "not done")
		h.check(err)
	}
	h.record(w.ID, ledger.EntryApplied, ledger.OnRollbackRetain)
	if open {
		h.record(w.ID, ledger.EntryApplied, ledger.OnRollbackUndo)
	}
	_, err = h.ledger.Keep(h.Context(), w.ID, "good")
	h.check(err)
	return w.ID
}

func (h *shelf) expired() []ledger.Window {
	h.Helper()
	list, err := h.ledger.Expired(h.Context(), h.clock.Now().Add(-24*time.Hour), uuid.Nil, 10)
	h.check(err)
	return list
}

func (h *shelf) verified(when string) {
	h.Helper()
	if bad, err := h.store.Verify(h.Context()); err != nil || len(bad) > 0 {
		h.Errorf("%s: %v, %v", when, bad, err)
	}
}

// prune prunes the one window that is past its time, and removes nothing yet.
func (h *shelf) prune() {
	h.Helper()
	list := h.expired()
	if len(list) != 1 {
		h.Fatalf("%d windows are past their time", len(list))
	}
	_, err := h.ledger.Prune(h.Context(), list[0])
	h.check(err)
}

func (h *shelf) rows(table string) (n int) {
	h.Helper()
	h.check(h.store.read.NewRaw("SELECT COUNT(*) FROM "+table).Scan(h.Context(), &n))
	return n
}

// What is past its time goes, in the open and bit by bit; everything else stays. The ledger holds together at every step.
func TestPrune(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			h := newShelf(t, open(t))
			old, withOpen := h.kept(false), h.kept(true)
			other, err := h.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "open"})
			h.check(err)
			h.record(other.ID, ledger.EntryApplied, ledger.OnRollbackRetain)
			h.clock.Advance(48 * time.Hour)
			young := h.kept(false)
			before, err := h.ledger.Window(t.Context(), old)
			h.check(err)
			list := h.expired()
			if len(list) != 1 || list[0].ID != old {
				t.Fatalf("past their time: %v; want %s, not %s (open entry), %s (open), %s (young)", list, old, withOpen, other.ID, young)
			}
			h.prune()
			h.verified("pruned and still there")
			if _, err := h.ledger.Prune(t.Context(), list[0]); ledger.CodeOf(err) != ledger.CodeConflict {
				t.Errorf("pruned by what was read before: %v", err)
			}
			for steps := 0; ; steps++ {
				h.seen(old, before)
				n, err := h.store.RemovePruned(t.Context(), 1)
				h.check(err)
				h.verified("while it is removed")
				if n == 0 {
					if steps < 8 {
						t.Errorf("all went in %d steps", steps)
					}
					break
				}
			}
			if n := len(records(t, h.store, old)); n != 1 || h.rows("entries") != 5+1+4 {
				t.Errorf("%d records, %d entries are left", n, h.rows("entries"))
			}
			if len(h.expired()) != 0 {
				t.Error("it is past its time again")
			}
			h.record(old, ledger.EntryApplied, ledger.OnRollbackRetain)
			h.verified("with a fact that came later")
			w, err := h.ledger.Window(t.Context(), old)
			if err != nil || w.LastSeq != 5 || w.Counts.Retained != before.Counts.Retained+1 {
				t.Errorf("%+v, %v", w, err)
			}
			h.clock.Advance(48 * time.Hour)
			h.twice(old)
		})
	}
}

// twice prunes a window again, for what came later, beside the young one, which is old now.
func (h *shelf) twice(id uuid.UUID) {
	h.Helper()
	list := h.expired()
	if len(list) != 2 || list[0].ID != id {
		h.Fatalf("past their time: %v", list)
	}
	p, err := h.ledger.Prune(h.Context(), list[0])
	if err != nil || p.LastSeq != 5 || p.Counts.Void != 3 || p.Counts.Retained != 2 {
		h.Errorf("%+v, %v", p, err)
	}
	_, err = h.ledger.RemovePruned(h.Context())
	h.check(err)
	h.verified("pruned twice")
}

// seen asks what readers are shown of a pruned window: nothing of its entries, all of its counts.
func (h *shelf) seen(id uuid.UUID, before *ledger.WindowView) {
	h.Helper()
	w, err := h.ledger.Window(h.Context(), id)
	h.check(err)
	list, err := h.store.ListEntries(h.Context(), ledger.EntryQuery{WindowID: id, Limit: 10})
	h.check(err)
	all := records(h.T, h.store, id)
	if w.Counts != before.Counts || w.State != before.State || w.Pruned == nil || len(list) != 0 || len(all) != 1 || all[0].Kind != journal.KindPruned {
		h.Errorf("%+v, %d entries, %d records", w, len(list), len(all))
	}
}

// A pruned window whose rows were changed is found.
func TestPrunedIsVerified(t *testing.T) {
	for _, edit := range []string{
		"UPDATE windows SET pruned_number = pruned_number - 1", "UPDATE windows SET pruned_number = 0", "UPDATE windows SET pruned = NULL",
		"UPDATE windows SET pruned_seq = 9", "DELETE FROM journal", "UPDATE journal SET kind = 'window.kept'",
		"UPDATE windows SET last_seq = 3", "UPDATE journal SET hash = body",
	} {
		t.Run(edit, func(t *testing.T) {
			h := newShelf(t, newStore(t))
			id := h.kept(false)
			h.clock.Advance(48 * time.Hour)
			h.prune()
			_, err := h.ledger.RemovePruned(t.Context())
			h.check(err)
			h.check(h.store.change(t.Context(), "test", func(ctx context.Context, db bun.IDB) error {
				_, err := db.NewRaw(edit).Exec(ctx)
				return err
			}))
			bad, err := h.store.Verify(t.Context())
			if err != nil || len(bad) != 1 || bad[0].WindowID != id.String() {
				t.Errorf("%v, %v", bad, err)
			}
		})
	}
}

// A window that was pruned is made anew from what is left of its journal, also over a ledger that is older than the pruning.
func TestAbsorbPruned(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			h := newShelf(t, open(t))
			id := h.kept(false)
			all := records(t, h.store, id)
			h.clock.Advance(48 * time.Hour)
			h.prune()
			rest := records(t, h.store, id)
			for name, parts := range map[string][][]journal.Record{
				"what is left": {rest}, "with a gap": {all[:3], rest}, "whole": {all, rest},
			} {
				s := open(t)
				for _, part := range parts {
					h.check(absorb(t, s, id, part))
				}
				if d := cmp.Diff(find(t, h.store, id), find(t, s, id)); d != "" {
					t.Errorf("%s: %s", name, d)
				}
				other := newShelf(t, s)
				other.verified(name)
				_, err := other.ledger.RemovePruned(t.Context())
				h.check(err)
				other.verified(name + ", removed")
			}
		})
	}
}

// A mirror that comes after a pruning gets the journal from where it begins.
func TestNewMirrorOfPruned(t *testing.T) {
	h := newShelf(t, newStore(t))
	id := h.kept(false)
	h.clock.Advance(48 * time.Hour)
	h.prune()
	_, err := h.ledger.RemovePruned(t.Context())
	h.check(err)
	k := newKept()
	mirrored(t, h.store, k)
	h.record(id, ledger.EntryApplied, ledger.OnRollbackRetain)
	if w := find(t, h.store, id); k.has(id) != w.Head.Number {
		t.Errorf("the mirror is at record %d of %d", k.has(id), w.Head.Number)
	}
}
