package ledger

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// restoring is what a planner knows of the restore of the window's snapshot.
type restoring struct {
	entry  *Entry // recorded, or as it would be; nil: there is none to do
	early  []int  // numbers of the entries that go before it, oldest first
	before bool   // their steps are being made
	holder int    // the newest of them that stays open; 0: none
}

// findRestore finds the restore that a plan has to show: one that is to be done, or that is asked for now.
func (p *planner) findRestore(ctx context.Context, asked bool) error {
	if asked {
		if err := p.window.mayRestore(p.sel); err != nil {
			return err
		}
	}
	e, err := p.ledger.RestoreOf(ctx, p.window.ID)
	if err == nil && e == nil && asked {
		if e, err = p.ledger.prepareRestore(ctx, p.window.ID, p.sel, true); e != nil {
			e.Seq = p.window.LastSeq + 1 // as it will be
		}
	}
	if err != nil || e == nil {
		return err
	}
	p.restore.entry = e
	p.restore.early, err = p.ledger.EarlyEntries(ctx, p.window.ID)
	return err
}

// planRestore makes the steps up to the restore and the restore's own.
func (p *planner) planRestore(ctx context.Context, yield func(Step) error) error {
	e := p.restore.entry
	if e == nil {
		return nil
	}
	p.restore.before = true
	err := p.ledger.NewestOf(ctx, p.window.ID, p.restore.early, func(page []Entry) (bool, error) { return true, p.steps(ctx, page, yield) })
	p.restore.before = false
	if err != nil {
		return err
	}
	looks, err := p.look(ctx, []Entry{*e})
	if err != nil {
		return err
	}
	if p.overlaps, err = p.ledger.Overlaps(ctx, p.window.ID, []Entry{*e}); err != nil {
		return err
	}
	step := p.step(e, looks[0])
	if p.restore.holder != 0 {
		step = Step{Entry: e, Verdict: VerdictBlocked, Detail: "held by entry " + strconv.Itoa(p.restore.holder) + ", which goes before the restore and stays open"}
	}
	switch {
	case step.Verdict != VerdictUndo && step.Verdict != VerdictAlreadyGone, !p.sel.Has(e):
		p.holds.AddAll(e)
	case e.ResourceKey != (Key{}):
		p.ahead[e.ResourceKey] = e.Before
	}
	if !p.sel.Has(e) {
		return nil
	}
	p.count(step, looks[0].took)
	return yield(step)
}

// isPlanned reports whether the step of e was made before the restore, or is the restore's.
func (p *planner) isPlanned(e *Entry) bool {
	if p.restore.entry == nil || p.restore.before {
		return false
	}
	_, early := slices.BinarySearch(p.restore.early, e.Seq)
	return early || e.ID == p.restore.entry.ID
}

// hold says that e stays open.
func (p *planner) hold(e *Entry) {
	p.holds.Add(e)
	if p.restore.before && p.restore.holder == 0 {
		p.restore.holder = e.Seq
	}
}

// heldBy says for a person what e waits for.
func (p *planner) heldBy(seq int) string {
	if r := p.restore.entry; r != nil && r.Seq == seq {
		return "held by the restore of the snapshot, entry " + strconv.Itoa(seq) + ", which is not done"
	}
	return "held by entry " + strconv.Itoa(seq) + ", which stays open"
}

// restoreMark stands in the fingerprint of a plan that was asked to restore the snapshot.
const restoreMark = "restore-"

// PlanRestore is [Ledger.Plan] of a rollback of the whole window that is asked to restore its snapshot.
// Codes: not_found, invalid (the window names no restore, or the configuration does not allow it any more).
func (l *Ledger) PlanRestore(ctx context.Context, windowID uuid.UUID, sel Selection, yield func(Step) error) (PlanSummary, error) {
	return l.plan(ctx, windowID, planOf{sel: sel, restore: true}, yield)
}

// planRestores reports whether a plan's fingerprint is of one that was asked to restore the snapshot.
func planRestores(fingerprint string) bool { return strings.Contains(fingerprint, "-"+restoreMark) }
