package ledger

import (
	"context"

	"github.com/google/uuid"
)

// A Held is an entry that a run which is over left open, as a newer one has to be undone before it and is open too.
type Held struct {
	EntryID  uuid.UUID
	Seq      int
	By       int  // Seq of the newer one
	Selected bool // the run selected that too
}

// mostHeld limits what is shown.
const mostHeld = 100

// held says what a finished run was held up by, newest first, at most [mostHeld] entries. It looks at no third party.
// Around the restore of a snapshot the order is another one: there the plan says it.
func (l *Ledger) held(ctx context.Context, v *RollbackView) ([]Held, error) {
	if v.State != RollbackFinished || v.Counts.Remaining == 0 || v.RestoreSnapshot {
		return nil, nil
	}
	h := holding{run: &v.Rollback, selected: map[int]bool{}}
	for from := 0; ; {
		page, err := l.store.ListEntries(ctx, EntryQuery{WindowID: v.WindowID, OpenOnly: true, Desc: true, From: from, Limit: planPage})
		if err != nil {
			return nil, err
		}
		for i := range page {
			h.pass(&page[i])
		}
		if len(page) < planPage || len(h.list) >= mostHeld {
			return h.list[:min(len(h.list), mostHeld)], nil
		}
		from = page[len(page)-1].Seq
	}
}

// holding walks through what is open as the run did.
type holding struct {
	run      *Rollback
	holds    Holds
	selected map[int]bool // open entries that the run selected, by Seq
	list     []Held
}

func (h *holding) pass(e *Entry) {
	if !h.run.Select.Has(e) {
		h.holds.Add(e)
		return
	}
	h.selected[e.Seq] = true
	if e.State != EntryStuck {
		if by := h.holds.By(e); by != 0 {
			h.list = append(h.list, Held{EntryID: e.ID, Seq: e.Seq, By: by, Selected: h.selected[by]})
		}
		h.holds.Add(e)
		return
	}
	switch h.run.OnStuck {
	case OnStuckSystem:
		h.holds.AddSystem(e)
	case OnStuckHalt:
		h.holds.AddAll(e)
	case OnStuckContinue:
		h.holds.Add(e)
	}
}
