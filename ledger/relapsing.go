package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// A Relapse is what a run's final look found of an entry that was judged by looking alone.
type Relapse struct {
	EntryID uuid.UUID
	Seen    int64 // journal number of the entry as the runner read it; touched since: nothing is done
	// Unseen says why the look could not be made; empty: the effect is there after all.
	Unseen string
}

// Relapse takes in what the final look found. An effect that turned up after it was judged is brought back: a
// void entry becomes applied, late, and the run undoes it; of one that was undone the same effect is
// recorded anew as a late fact, which the run undoes. A look that could not be made is said in the entry.
func (l *Ledger) Relapse(ctx context.Context, lease *Lease, p Relapse) (Advanced, error) {
	return l.leased(ctx, "final look", lease, func(u *unit, r *Rollback, n news) (Advanced, error) {
		out := Advanced{Stop: r.stops(), Moved: n.moved}
		e, err := u.findEntry(p.EntryID)
		switch {
		case err != nil:
			return out, err
		case e.Journal.Number != p.Seen:
			out.Moved = true
			return out, u.SaveRollback(r, lease.Epoch)
		case p.Unseen != "":
			e.Doubted = false
			e.warn("the final look could not be made, so a late effect would not have been noticed: " + p.Unseen)
			return out, u.touchEntry("entry.unseen", e, moved{note: p.Unseen})
		case e.State == EntryVoid:
			e.Late, e.AppliedAt, e.Detail = true, u.now, "the effect turned up after it was judged not to have happened"
			return out, u.moveEntry(e, EntryApplied, moved{})
		case e.State == EntryUndone:
			return out, l.recordAgain(u, r, e)
		}
		return out, fmt.Errorf("final look at entry %s: it is %s", e.ID, e.State)
	})
}

// recordAgain records the effect of an undone entry anew; a partial run takes the new entry in.
func (l *Ledger) recordAgain(u *unit, r *Rollback, e *Entry) error {
	same, err := l.underID(e.Draft, NewID())
	if err != nil {
		return err
	}
	again := &Entry{
		Draft: same, WindowID: e.WindowID, State: EntryApplied, Late: true, ResourceKey: e.ResourceKey,
		RecordedBy: u.actor.TokenID, RecordedAt: u.now, AppliedAt: u.now,
		Warnings: []string{"the effect of entry " + e.ID.String() + " turned up again after it was undone"},
	}
	again.Draft.State, again.Source = EntryApplied, "final look"
	e.Doubted = false
	if err := u.touchEntry("entry.relapsed", e, moved{}); err != nil {
		return err
	}
	if err := u.insertEntry(again); err != nil || !r.Partial() {
		return err
	}
	r.Select.Also = append(slices.Clone(r.Select.Also), again.ID)
	return u.saveRollback("rollback.widened", r, r.Epoch, "an effect turned up again after it was undone")
}

// warn adds a warning, unless it is there or there are too many.
func (e *Entry) warn(text string) {
	if len(e.Warnings) < maxWarnings && !slices.Contains(e.Warnings, text) {
		e.Warnings = append(slices.Clone(e.Warnings), text)
	}
}

// maxWarnings bounds what one entry keeps.
const maxWarnings = 20
