package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// A Change is what a runner writes about one entry. Exactly one of Open and Close is set.
type Change struct {
	EntryID uuid.UUID
	// Seen is the journal number of the entry as the runner read it. What rests on that reading is not written if
	// the entry was touched since; the outcome of an attempt that this lease opened always is.
	Seen  int64
	Open  *Attempt // claims the entry with an attempt that is about to be sent
	Close *Closing
}

// A Closing is what an attempt, or a look alone, brought.
type Closing struct {
	Settlement
	Void    bool     // the effect of an intent never happened
	Attempt *Attempt // the attempt that ends; nil: nothing was sent
	Now     Image    // what the third party shows, for the person who decides
}

// Advance writes changes of entries in one transaction, guarded by the lease: it closes entry k and opens
// entry k−1. A change whose entry was touched since it was read is not made, and nothing is opened once
// something has come between: Moved says so, and the runner looks again. Advance may be called again with
// the same changes when it is not known whether they were written. ErrFenced: the lease is lost and
// nothing was written.
func (l *Ledger) Advance(ctx context.Context, lease *Lease, changes ...Change) (Advanced, error) {
	f := Foresight{}
	for _, c := range changes {
		f.Live = f.Live || c.Open != nil
		if !slices.Contains(f.Entries, c.EntryID) {
			f.Entries = append(f.Entries, c.EntryID)
		}
	}
	return l.leased(Foresee(ctx, f), "advance rollback", lease, func(u *unit, r *Rollback, n news) (Advanced, error) {
		out := Advanced{Stop: r.stops(), Moved: n.moved, Entries: make([]Entry, len(changes))}
		found, err := u.findChanged(f.Entries)
		if err != nil {
			return out, err
		}
		for i, c := range changes {
			e := found[c.EntryID]
			if e == nil {
				return out, NotFound("entry", c.EntryID.String())
			}
			mayOpen := !out.Stop && !out.Moved && !n.hold(e)
			done, err := u.change(r, e, c, mayOpen)
			if err != nil {
				return out, err
			}
			if done {
				out.Entries[i] = *e
			} else {
				out.Moved = true
			}
		}
		return out, u.SaveRollback(r, lease.Epoch)
	})
}

// findChanged reads entries together.
func (u *unit) findChanged(ids []uuid.UUID) (map[uuid.UUID]*Entry, error) {
	list, err := u.FindEntries(ids)
	if err != nil {
		return nil, err
	}
	found := make(map[uuid.UUID]*Entry, len(list))
	for i := range list {
		found[list[i].ID] = &list[i]
	}
	return found, nil
}

// change makes one change; false if it is not made.
func (u *unit) change(r *Rollback, e *Entry, c Change, mayOpen bool) (bool, error) {
	current := e.Journal.Number == c.Seen
	switch {
	case c.Open != nil && e.openedBy(r, c.Open.N):
		return true, nil // by an earlier call whose answer was lost
	case c.Open != nil:
		return u.openIf(mayOpen && current && e.mayUndo(), r, e, *c.Open)
	case c.Close.Attempt != nil && e.openedBy(r, c.Close.Attempt.N):
		return true, u.closeEntry(e, *c.Close)
	case !current:
		return false, nil
	case c.Close.Void:
		return e.State == EntryIntended, u.voidEntry(r, e, c.Close.Detail)
	default:
		return u.closeUnopened(r, e, *c.Close)
	}
}

// closeUnopened closes an entry for which nothing was sent. It is not undone by a look alone while another window has
// changed its resource since: once that is taken back, it would be there again.
func (u *unit) closeUnopened(r *Rollback, e *Entry, c Closing) (bool, error) {
	if !e.mayUndo() {
		return false, nil
	}
	if c.Outcome != "" {
		if o, err := u.contested(e); o != nil || err != nil {
			return false, err
		}
	}
	if err := u.claimEntry(r, e); err != nil {
		return false, err
	}
	return true, u.closeEntry(e, c)
}

// openedBy reports whether attempt n is the entry's last, open, and opened under this very lease.
func (e *Entry) openedBy(r *Rollback, n int) bool {
	if e.State != EntryUndoing || len(e.Attempts) != n || n == 0 {
		return false
	}
	a := e.Attempts[n-1]
	return a.Open() && a.RollbackID == r.ID && a.Epoch == r.Epoch
}

// mayUndo reports whether a runner may have the entry in its hands.
func (e *Entry) mayUndo() bool { return e.State == EntryUndoing || e.State.MayBecome(EntryUndoing) }

func (u *unit) voidEntry(r *Rollback, e *Entry, detail string) error {
	if e.State != EntryIntended {
		return nil
	}
	e.Doubted, e.Detail, e.RollbackID = true, detail, r.ID
	return u.moveEntry(e, EntryVoid, moved{note: detail})
}

// openIf opens an attempt, unless another window has changed the entry's resource since; false if it is not opened.
func (u *unit) openIf(may bool, r *Rollback, e *Entry, a Attempt) (bool, error) {
	if !may {
		return false, nil
	}
	if o, err := u.contested(e); o != nil || err != nil {
		return false, err
	}
	return true, u.openAttempt(r, e, a)
}

func (u *unit) openAttempt(r *Rollback, e *Entry, a Attempt) error {
	a.N, a.RollbackID, a.Epoch, a.StartedAt = len(e.Attempts)+1, r.ID, r.Epoch, u.now
	e.Attempts = append(e.Attempts, a)
	e.Doubted = e.Doubted || e.State == EntryIntended
	e.RollbackID, e.Reason, e.Detail, e.NotBefore = r.ID, "", "", time.Time{}
	if e.State == EntryUndoing {
		return u.touchEntry("entry.attempt", e, moved{attempt: &a})
	}
	return u.moveEntry(e, EntryUndoing, moved{attempt: &a})
}

// claimEntry moves an entry to undoing without an attempt, as nothing is sent for it.
func (u *unit) claimEntry(r *Rollback, e *Entry) error {
	if e.State == EntryUndoing {
		e.RollbackID = r.ID
		return nil
	}
	e.Doubted = e.Doubted || e.State == EntryIntended
	e.RollbackID, e.Reason = r.ID, ""
	return u.moveEntry(e, EntryUndoing, moved{})
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
