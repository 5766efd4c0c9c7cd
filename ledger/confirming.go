package ledger

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// Ask says in the open that the run needs an operator's second word before it goes on at a system. A word that was
// asked for, or given, is not asked for again.
func (l *Ledger) Ask(ctx context.Context, lease *Lease, system, detail string) (Advanced, error) {
	return l.leased(ctx, "ask for a second word", lease, func(u *unit, r *Rollback, n news) (Advanced, error) {
		out := Advanced{Stop: r.stops(), Moved: n.moved}
		if r.word(system) != nil {
			return out, u.SaveRollback(r, lease.Epoch)
		}
		r.Words = append(slices.Clone(r.Words), Word{System: system, Detail: detail, AskedAt: u.now})
		return out, u.saveRollback("rollback.asked", r, lease.Epoch, system+": "+detail)
	})
}

// Confirm gives the second word that a run asked for: at one system, or at all that it asked for (empty). Given
// again it changes nothing. Codes: not_found, invalid, conflict (the run is over, or asked for no such word).
func (l *Ledger) Confirm(ctx context.Context, id uuid.UUID, system, reason string) (*RollbackView, error) {
	if err := checkText("/reason", reason, true, maxText); err != nil {
		return nil, err
	}
	return l.turnRollback(ctx, "confirm rollback", id, func(u *unit, r *Rollback) error {
		if r.State.Over() {
			return Conflict(u.op, id.String(), "the rollback is %s", r.State)
		}
		asked, given := 0, 0
		r.Words = slices.Clone(r.Words)
		for i := range r.Words {
			w := &r.Words[i]
			if system != "" && w.System != system {
				continue
			}
			if asked++; w.GivenAt.IsZero() {
				given++
				w.By, w.Reason, w.GivenAt = u.actor.TokenID, reason, u.now
			}
		}
		switch {
		case asked == 0:
			return Conflict(u.op, id.String(), "the rollback waits for no second word here")
		case given == 0:
			return nil
		}
		return u.saveRollback("rollback.confirmed", r, r.Epoch, reason)
	})
}
