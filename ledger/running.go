package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// LeaseTime is how long a runner holds a rollback without renewing; it renews every LeaseRenew.
const (
	LeaseTime  = 6 * time.Second
	LeaseRenew = 2 * time.Second
)

// A Lease is a runner's right to work on a rollback. Every write of a runner is guarded by its epoch;
// one that finds another epoch touches nothing and returns ErrFenced. A Lease is used by one goroutine,
// but for RenewLease.
type Lease struct {
	Rollback Rollback // as of the last write
	Epoch    int64
	head     int64 // journal head after the runner's last write: anything beyond it is somebody else's
}

// Claim takes the lease of a rollback that is queued, or whose holder's lease has run out. With force the
// caller knows that no other runner lives (it holds the lock of an embedded ledger), and takes it at once.
// Codes: not_found, conflict (over, paused, or held by a living runner).
func (l *Ledger) Claim(ctx context.Context, id uuid.UUID, holder string, force bool) (*Lease, error) {
	known, err := l.store.GetRollback(ctx, id)
	if err != nil {
		return nil, err
	}
	return update(ctx, l, "claim rollback", known.WindowID, func(u *unit) (*Lease, error) {
		r, err := u.FindRollback(id)
		if err != nil {
			return nil, err
		}
		held := r.LeaseUntil.After(u.now) && r.Holder != holder && r.Holder != ""
		if r.State.Over() || r.State == RollbackPaused && !r.Cancelling || held && !force {
			return nil, Conflict(u.op, id.String(), "the rollback is %s", r.State)
		}
		old := r.Epoch
		r.Epoch, r.Holder, r.LeaseUntil = old+1, holder, u.now.Add(LeaseTime)
		r.State, r.Waiting = RollbackRunning, nil
		if r.StartedAt.IsZero() {
			r.StartedAt = u.now
		}
		if err := u.saveRollback("rollback.running", r, old, ""); err != nil {
			return nil, err
		}
		return &Lease{Rollback: *r, Epoch: r.Epoch, head: u.Window().Head.Number}, nil
	})
}

// RenewLease prolongs the lease. ErrFenced: it is lost.
func (l *Ledger) RenewLease(ctx context.Context, lease *Lease) error {
	return l.store.Update(ctx, lease.Rollback.WindowID, func(tx Tx) error {
		r, err := tx.FindRollback(lease.Rollback.ID)
		if err != nil {
			return err
		}
		if r.Epoch != lease.Epoch || r.State.Over() {
			return ErrFenced
		}
		r.LeaseUntil = l.clock.Now().Add(LeaseTime)
		return tx.SaveRollback(r, lease.Epoch)
	})
}

// A Change is what a runner writes about one entry. Exactly one of Open and Close is set.
type Change struct {
	EntryID uuid.UUID
	Open    *Attempt // claims the entry with an attempt that is about to be sent
	Close   *Closing
}

// A Closing is what an attempt, or a look alone, brought.
type Closing struct {
	Settlement
	Void    bool     // the effect of an intent never happened
	Attempt *Attempt // the attempt that ends; nil: nothing was sent
	Now     Image    // what the third party shows, for the person who decides
}

// Advanced says what a runner has to know after a write.
type Advanced struct {
	Entries []Entry // as they are now, in the order of the changes; zero value: the change was not made
	Moved   bool    // somebody else wrote into the window's journal since the runner's last write
	Stop    bool    // paused, or to be cancelled: nothing was opened and nothing may be sent
}

// Advance writes changes of entries in one transaction, guarded by the lease: it closes entry k and opens
// entry k−1. An entry that is not in a state for its change any more (a script's word came between) is
// left alone. ErrFenced: the lease is lost and nothing was written.
func (l *Ledger) Advance(ctx context.Context, lease *Lease, changes ...Change) (Advanced, error) {
	return leased(ctx, l, "advance rollback", lease, func(u *unit, r *Rollback) (Advanced, error) {
		out := Advanced{Stop: r.State == RollbackPaused || r.Cancelling, Entries: make([]Entry, len(changes))}
		stale := !r.Partial() && u.Window().Head.Number != lease.head // the look behind an opening may be out of date
		for i, c := range changes {
			if c.Open != nil && (out.Stop || stale) {
				continue
			}
			e, err := u.findEntry(c.EntryID)
			if err != nil {
				return out, err
			}
			done, err := u.change(r, e, c)
			if err != nil {
				return out, err
			}
			if done {
				out.Entries[i] = *e
			}
			stale = stale || !done
		}
		return out, u.SaveRollback(r, lease.Epoch)
	}, func(a *Advanced, moved bool) { a.Moved = moved })
}

// leased runs fn under the fence with the rollback of the lease, and tells whether others have written.
func leased[T any](ctx context.Context, l *Ledger, op string, lease *Lease, fn func(*unit, *Rollback) (T, error), movedFunc func(*T, bool)) (T, error) {
	var head int64
	var run Rollback
	out, err := update(ctx, l, op, lease.Rollback.WindowID, func(u *unit) (T, error) {
		var none T
		moved := u.Window().Head.Number != lease.head
		r, err := u.FindRollback(lease.Rollback.ID)
		if err != nil {
			return none, err
		}
		if r.Epoch != lease.Epoch || r.State.Over() {
			return none, ErrFenced
		}
		r.LeaseUntil = u.now.Add(LeaseTime)
		out, err := fn(u, r)
		movedFunc(&out, moved)
		head, run = u.Window().Head.Number, *r
		return out, err
	})
	if err == nil {
		lease.head, lease.Rollback = head, run
	}
	return out, err
}

// change makes one change; false if the entry is not in a state for it any more.
func (u *unit) change(r *Rollback, e *Entry, c Change) (bool, error) {
	if c.Open != nil {
		return u.openAttempt(r, e, *c.Open)
	}
	if c.Close.Void {
		if e.State != EntryIntended {
			return false, nil
		}
		e.Doubted, e.Detail, e.RollbackID = true, c.Close.Detail, r.ID
		return true, u.moveEntry(e, EntryVoid, moved{note: c.Close.Detail})
	}
	if ok, err := u.claimEntry(r, e); !ok || err != nil {
		return false, err
	}
	return true, u.closeEntry(e, *c.Close)
}

func (u *unit) openAttempt(r *Rollback, e *Entry, a Attempt) (bool, error) {
	if e.State != EntryUndoing && !e.State.MayBecome(EntryUndoing) {
		return false, nil
	}
	a.N, a.RollbackID, a.Epoch, a.StartedAt = len(e.Attempts)+1, r.ID, r.Epoch, u.now
	e.Attempts = append(e.Attempts, a)
	e.Doubted = e.Doubted || e.State == EntryIntended
	e.RollbackID, e.Reason, e.Detail, e.NotBefore = r.ID, "", "", time.Time{}
	if e.State == EntryUndoing {
		return true, u.touchEntry("entry.attempt", e, moved{attempt: &a})
	}
	return true, u.moveEntry(e, EntryUndoing, moved{attempt: &a})
}

// claimEntry moves an entry to undoing without an attempt, as nothing is sent for it.
func (u *unit) claimEntry(r *Rollback, e *Entry) (bool, error) {
	if e.State == EntryUndoing {
		e.RollbackID = r.ID
		return true, nil
	}
	if !e.State.MayBecome(EntryUndoing) {
		return false, nil
	}
	e.Doubted = e.Doubted || e.State == EntryIntended
	e.RollbackID, e.Reason = r.ID, ""
	return true, u.moveEntry(e, EntryUndoing, moved{})
}

func (u *unit) closeEntry(e *Entry, c Closing) error {
	m := moved{}
	if c.Attempt != nil {
		a := *c.Attempt
		a.Result, a.Status, a.Burnt, a.Detail = c.Result, c.Status, c.Burnt, c.Detail
		if !c.Open {
			a.EndedAt = u.now
		}
		e.Attempts = putAttempt(e.Attempts, a)
		m.attempt = &a
	}
	e.Detail, e.NotBefore = c.Detail, time.Time{}
	e.takeAlias(c.Alias, u.now)
	switch {
	case c.Again:
		e.NotBefore = u.now.Add(c.After)
		return u.touchEntry("entry.retry", e, m)
	case c.Outcome != "":
		e.Outcome, e.UndoneAt, e.Reason, e.Decision = c.Outcome, u.now, "", nil
		e.Now, e.NowDigest = Image{}, ""
		return u.moveEntry(e, EntryUndone, m)
	default:
		e.Reason, e.Decision, e.Now, e.NowDigest = c.Reason, nil, c.Now, c.Digest
		return u.moveEntry(e, EntryStuck, m)
	}
}

// Wait says in the open why the run does nothing right now (w set), or that it goes on (nil).
func (l *Ledger) Wait(ctx context.Context, lease *Lease, w *Waiting) (Advanced, error) {
	return leased(ctx, l, "wait", lease, func(u *unit, r *Rollback) (Advanced, error) {
		out := Advanced{Stop: r.State == RollbackPaused || r.Cancelling}
		to := RollbackRunning
		if w != nil {
			to = RollbackWaiting
		}
		switch {
		case out.Stop, r.State == to && (w == nil || r.Waiting != nil && *r.Waiting == *w):
			return out, u.SaveRollback(r, lease.Epoch)
		case r.State == to:
			r.Waiting = w
			return out, u.saveRollback("rollback."+string(to), r, lease.Epoch, "")
		}
		r.Waiting = w
		return out, u.moveRollback(r, to, "")
	}, func(a *Advanced, moved bool) { a.Moved = moved })
}

// Finish ends the run if nothing has come between: it is finished, and its window is rolled back, stuck,
// or what it was. Moved means that somebody wrote meanwhile and the run has to walk once more; Stop, that
// it was paused or is to be cancelled.
func (l *Ledger) Finish(ctx context.Context, lease *Lease) (Advanced, error) {
	undoing, err := l.undoing(ctx, lease.Rollback.WindowID)
	if err != nil {
		return Advanced{}, err
	}
	return leased(ctx, l, "finish rollback", lease, func(u *unit, r *Rollback) (Advanced, error) {
		moved := u.Window().Head.Number != lease.head
		switch {
		case r.Cancelling:
			return Advanced{Stop: true}, u.cancelRollback(r, undoing)
		case r.State == RollbackPaused:
			r.Holder, r.LeaseUntil = "", u.now
			return Advanced{Stop: true}, u.SaveRollback(r, lease.Epoch)
		case moved && !r.Partial():
			return Advanced{}, u.SaveRollback(r, lease.Epoch)
		}
		return Advanced{}, u.finishRollback(r)
	}, func(a *Advanced, moved bool) { a.Moved = moved })
}

func (u *unit) finishRollback(r *Rollback) error {
	c, err := u.Count(r.Select)
	if err != nil {
		return err
	}
	r.Complete, r.FinishedAt, r.Holder, r.LeaseUntil = c.Open() == 0, u.now, "", u.now
	if err := u.moveRollback(r, RollbackFinished, ""); err != nil {
		return err
	}
	switch {
	case r.Partial():
		return u.endPartial()
	case c.Open() == 0:
		return u.moveWindow(WindowRolledBack, "")
	default:
		return u.moveWindow(WindowStuck, "")
	}
}

// Relapse brings back an entry whose effect turned up after it was judged: a void one becomes applied,
// late, and the run undoes it; of one that was undone the same effect is recorded anew as a late fact.
func (l *Ledger) Relapse(ctx context.Context, lease *Lease, id uuid.UUID) (Advanced, error) {
	return leased(ctx, l, "final look", lease, func(u *unit, _ *Rollback) (Advanced, error) {
		e, err := u.findEntry(id)
		if err != nil {
			return Advanced{}, err
		}
		if e.State == EntryVoid {
			e.Late, e.AppliedAt, e.Detail = true, u.now, "the effect turned up after it was judged not to have happened"
			return Advanced{}, u.moveEntry(e, EntryApplied, moved{})
		}
		again := &Entry{
			Draft: e.Draft, WindowID: e.WindowID, State: EntryApplied, Late: true, ResourceKey: e.ResourceKey,
			RecordedBy: u.actor.TokenID, RecordedAt: u.now, AppliedAt: u.now,
			Warnings: []string{"the effect of entry " + e.ID.String() + " turned up again after it was undone"},
		}
		again.ID, again.Draft.State, again.Source = NewID(), EntryApplied, "final look"
		e.Doubted = false
		if err := u.touchEntry("entry.relapsed", e, moved{}); err != nil {
			return Advanced{}, err
		}
		return Advanced{}, u.insertEntry(again)
	}, func(a *Advanced, moved bool) { a.Moved = moved })
}

// KeepEvidence stores what a runner knew when its lease was lost: accepted from anyone, moving nothing.
func (l *Ledger) KeepEvidence(ctx context.Context, lease *Lease, id uuid.UUID, a Attempt) error {
	_, err := update(ctx, l, "keep evidence", lease.Rollback.WindowID, func(u *unit) (Head, error) {
		return u.record(recordBody{
			Kind: "evidence", EntryID: id, RollbackID: lease.Rollback.ID, Evidence: attemptToJSON(&a),
			Note: "from a runner whose lease was lost",
		})
	})
	return err
}

// Unfinished returns the rollbacks that are not over, oldest first.
func (l *Ledger) Unfinished(ctx context.Context) ([]Rollback, error) { return l.store.Unfinished(ctx) }

// System returns a configured third party with its remediator; CodeNotFound if there is none.
func (l *Ledger) System(name string) (System, Remediator, error) { return l.systems.Find(name) }

// Park notes that a system refused our credential, until the next rollback.
func (l *Ledger) Park(name string) { l.systems.Park(name, true) }
