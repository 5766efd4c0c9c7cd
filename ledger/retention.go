package ledger

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger/journal"
)

// removedAtOnce limits how long one removal holds up those who record.
const removedAtOnce = 500

// Expired returns up to limit finished windows that hold something which retention may remove: rolled back or kept, no entry
// is open, no run is under way, and nothing was written in them since before. The oldest come first, from behind after on.
func (l *Ledger) Expired(ctx context.Context, before time.Time, after uuid.UUID, limit int) ([]Window, error) {
	return l.store.Expired(ctx, before, after, limit)
}

// Prune says in a window's journal that everything in it is removed, so that [Ledger.RemovePruned] removes it. w is the window
// as [Ledger.Expired] has returned it. The window itself stays, and takes in late facts as before.
// Codes: not_found, conflict (it is not finished, an entry is open, or it has changed since it was read).
func (l *Ledger) Prune(ctx context.Context, w Window) (*Pruning, error) {
	return update(ctx, l, "prune window", w.ID, func(u *unit) (*Pruning, error) {
		if err := u.mayPrune(w.Head); err != nil {
			return nil, err
		}
		return u.prune()
	})
}

func (u *unit) mayPrune(read Head) error {
	w := u.Window()
	switch {
	case w.Head != read:
		return Conflict(u.op, w.ID.String(), "something was written in it since it was read")
	case w.State != WindowRolledBack && w.State != WindowKept:
		return Conflict(u.op, w.ID.String(), "it is %s: only windows that are rolled back or kept are pruned", w.State)
	}
	counts, err := u.Count(Selection{})
	if err == nil && counts.Open() > 0 {
		err = Conflict(u.op, w.ID.String(), "%d of its entries are open", counts.Open())
	}
	return err
}

// prune writes the record that the journal begins with from now on. It carries what stays: the window, and its last run.
func (u *unit) prune() (*Pruning, error) {
	w, old := u.Window(), Pruning{}
	if u.Window().Pruned != nil {
		old = *w.Pruned
	}
	counts, err := u.Count(Selection{})
	if err != nil {
		return nil, err
	}
	body := recordBody{Kind: journal.KindPruned, RollbackID: w.RollbackID, Follows: hex.EncodeToString(w.Head.Hash[:])}
	if w.RollbackID != uuid.Nil {
		last, err := u.FindRollback(w.RollbackID)
		if err != nil {
			return nil, err
		}
		if !last.State.Over() {
			return nil, Conflict(u.op, w.ID.String(), "a rollback of it is %s", last.State)
		}
		body.Rollback = rollbackToJSON(last)
	}
	w.Pruned = &Pruning{Number: w.Head.Number + 1, Follows: w.Head.Hash, LastSeq: w.LastSeq, At: u.now, Counts: counts.plus(old.Counts)}
	body.Window = windowToJSON(w)
	if _, err := u.record(body); err != nil {
		return nil, err
	}
	return w.Pruned, u.SavePruning()
}

// RemovePruned removes rows that windows say are pruned, a few at a time, until none are left or ctx ends. It may be broken
// off anywhere and called again. It returns how many rows it removed.
func (l *Ledger) RemovePruned(ctx context.Context) (int, error) {
	for all := 0; ; {
		n, err := l.store.RemovePruned(WithUse(ctx, UseUndo), removedAtOnce)
		all += n
		if err != nil || n == 0 {
			return all, err
		}
	}
}

type pruningJSON struct {
	Number  int64      `json:"number"`
	Follows string     `json:"follows"`
	LastSeq int        `json:"last_seq"`
	At      time.Time  `json:"at"`
	Counts  countsJSON `json:"counts"`
}

type countsJSON struct {
	Undone        int `json:"undone,omitempty"`
	AlreadyUndone int `json:"already_undone,omitempty"`
	Compensated   int `json:"compensated,omitempty"`
	Unverified    int `json:"unverified,omitempty"`
	ByHand        int `json:"by_hand,omitempty"`
	Waived        int `json:"waived,omitempty"`
	Retained      int `json:"retained,omitempty"`
	Void          int `json:"void,omitempty"`
	Stuck         int `json:"stuck,omitempty"`
	Remaining     int `json:"remaining,omitempty"`
}

// EncodePruning writes a Pruning in the ledger's own format; nil: none.
func EncodePruning(p *Pruning) json.RawMessage {
	if p == nil {
		return nil
	}
	raw, _ := json.Marshal(pruningJSON{ // numbers, texts and a time: it cannot fail
		Number: p.Number, Follows: hex.EncodeToString(p.Follows[:]), LastSeq: p.LastSeq, At: p.At, Counts: countsJSON(p.Counts),
	})
	return raw
}

// DecodePruning reads what EncodePruning wrote.
func DecodePruning(raw []byte) (*Pruning, error) {
	if len(raw) == 0 {
		return nil, nil //nolint:nilnil // nothing was removed
	}
	var j pruningJSON
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, fmt.Errorf("read what was pruned: %w", err)
	}
	return &Pruning{Number: j.Number, Follows: unhex(j.Follows), LastSeq: j.LastSeq, At: j.At, Counts: Counts(j.Counts)}, nil
}
