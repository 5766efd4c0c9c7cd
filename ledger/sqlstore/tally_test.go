package sqlstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// What is shown of a window's entries is what they add up to, however they moved, and whoever was taken back in between.
func TestTally(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			h := newShelf(t, open(t))
			rnd := rand.New(rand.NewPCG(5, 28))
			w, err := h.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "w"})
			h.check(err)
			h.wantTally(w.ID, true)
			var ids []uuid.UUID
			for range 12 {
				ids = append(ids, h.record(w.ID, ledger.EntryApplied, []ledger.OnRollback{ledger.OnRollbackUndo, ledger.OnRollbackRetain}[rnd.IntN(2)]))
				h.wantTally(w.ID, true)
			}
			for range 60 {
				h.moveAnyhow(w.ID, ids, rnd)
				h.wantTally(w.ID, true)
			}
		})
	}
}

// moveAnyhow moves some entries in one unit, to any state, or takes it all back.
func (h *shelf) moveAnyhow(window uuid.UUID, ids []uuid.UUID, rnd *rand.Rand) {
	h.Helper()
	states := []ledger.EntryState{ledger.EntryIntended, ledger.EntryApplied, ledger.EntryUndoing, ledger.EntryUndone, ledger.EntryStuck, ledger.EntryWaived, ledger.EntryVoid}
	outcomes := []ledger.Outcome{ledger.OutcomeUndone, ledger.OutcomeAlreadyUndone, ledger.OutcomeCompensated, ledger.OutcomeUnverified, ledger.OutcomeByHand}
	regret := errors.New("regret")
	err := h.store.Update(h.Context(), window, func(tx ledger.Tx) error {
		for range 1 + rnd.IntN(3) {
			e, _, err := tx.FindEntry(ids[rnd.IntN(len(ids))])
			if err != nil {
				return err
			}
			from := e.State
			e.State, e.Outcome = states[rnd.IntN(len(states))], ""
			if e.State == ledger.EntryUndone {
				e.Outcome = outcomes[rnd.IntN(len(outcomes))]
			}
			if err := tx.SaveEntry(e, from); err != nil {
				return err
			}
		}
		if rnd.IntN(4) == 0 {
			return regret
		}
		return nil
	})
	if err != nil && !errors.Is(err, regret) {
		h.Fatal(err)
	}
}

// wantTally compares what is shown with the entries. whole: it is read from the tally.
func (h *shelf) wantTally(window uuid.UUID, whole bool) {
	h.Helper()
	shown, err := h.store.CountEntries(h.Context(), window, ledger.Selection{})
	h.check(err)
	want, err := countEntries(h.Context(), h.store.read, window, ledger.Selection{})
	h.check(err)
	if shown != want {
		h.Fatalf("shown are %+v, and the entries are %+v", shown, want)
	}
	if _, got, err := sum(h.Context(), counted(h.store.read, window)); got != whole || err != nil {
		h.Fatalf("the tally is whole: %v, %v", got, err)
	}
}

// A window that was opened before there were tallies is counted; a tally that somebody changed is found.
func TestTallyOfOldAndForged(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			h := newShelf(t, open(t))
			w := h.kept(true)
			h.wantTally(w, true)
			h.verified("before")
			h.exec("UPDATE tallies SET total = total + 1 WHERE state = 'void'")
			bad, err := h.store.Verify(t.Context())
			h.check(err)
			if !slices.ContainsFunc(bad, func(d journal.Damage) bool { return d.WindowID == w.String() && strings.Contains(d.Problem, "tally") }) {
				t.Errorf("a forged tally: %v", bad)
			}
			h.exec("DELETE FROM tallies WHERE state = ''")
			h.wantTally(w, false)
			h.verified("an old window")
		})
	}
}

func (h *shelf) exec(query string) {
	h.Helper()
	h.check(h.store.change(h.Context(), "test", func(ctx context.Context, db bun.IDB) error {
		_, err := db.NewRaw(query).Exec(ctx)
		return err
	}))
}
