package ledger

import (
	"cmp"
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
	Taken    bool // it was another runner's, who had not given it back
	term     time.Duration
	head     int64 // journal head after the runner's last write: anything beyond it is somebody else's
}

// A Claimant says who wants a lease, and why it may have one that somebody holds.
type Claimant struct {
	Holder string
	Term   time.Duration // how long the lease stands without being renewed; 0: LeaseTime
	// Force: no other runner lives, as the claimant holds the lock of an embedded ledger. It takes the lease at once.
	Force bool
	// Silent is the lease as the claimant has seen it for a whole term by its own clock; nil: it has not watched it for
	// so long. Clocks are never compared: those of two replicas may differ by more than a lease.
	Silent *Tenure
}

// A Tenure is a lease as it stands between two writes of its holder: each makes another one.
type Tenure struct {
	Holder string
	Epoch  int64
	Until  int64 // microseconds; by the holder's clock, so that it says nothing to others but that it has moved
}

// Tenure returns the lease as it stands.
func (r *Rollback) Tenure() Tenure { return Tenure{r.Holder, r.Epoch, r.LeaseUntil.UnixMicro()} }

// mayTake reports whether c may have the lease as it stands.
func (c *Claimant) mayTake(r *Rollback) bool {
	return r.Holder == "" || r.Holder == c.Holder || c.Force || c.Silent != nil && *c.Silent == r.Tenure()
}

// Claim takes the lease of a rollback that nobody holds, or whose holder is dead: see [Claimant]. Codes: not_found,
// conflict (over, paused, or held by a runner that may live).
func (l *Ledger) Claim(ctx context.Context, id uuid.UUID, c Claimant) (*Lease, error) {
	known, err := l.store.GetRollback(ctx, id)
	if err != nil {
		return nil, err
	}
	c.Term = cmp.Or(c.Term, LeaseTime)
	return update(ctx, l, "claim rollback", known.WindowID, func(u *unit) (*Lease, error) {
		r, err := u.FindRollback(id)
		if err != nil {
			return nil, err
		}
		if r.State.Over() || r.State == RollbackPaused && !r.Cancelling || !c.mayTake(r) {
			return nil, Conflict(u.op, id.String(), "the rollback is %s", r.State)
		}
		old, taken := r.Epoch, r.heldByOther(c.Holder)
		r.Epoch, r.Holder, r.LeaseUntil = old+1, c.Holder, u.now.Add(c.Term)
		r.State, r.Waiting = RollbackRunning, nil
		if r.StartedAt.IsZero() {
			r.StartedAt = u.now
		}
		if err := u.saveRollback("rollback.running", r, old, ""); err != nil {
			return nil, err
		}
		return &Lease{Rollback: *r, Epoch: r.Epoch, Taken: taken, term: c.Term, head: u.Window().Head.Number}, nil
	})
}

// heldByOther reports whether somebody else has not given the lease back; it may have run out.
func (r *Rollback) heldByOther(holder string) bool { return r.Holder != holder && r.Holder != "" }

// RenewLease prolongs the lease. ErrFenced: it is lost.
func (l *Ledger) RenewLease(ctx context.Context, lease *Lease) error {
	return l.holding(ctx, "renew lease", lease, func(r *Rollback) { r.LeaseUntil = l.clock.Now().Add(lease.term) })
}

// Release gives the lease back, so that another runner goes on at once. ErrFenced: it was lost before.
func (l *Ledger) Release(ctx context.Context, lease *Lease) error {
	return l.holding(ctx, "release lease", lease, func(r *Rollback) { r.Holder, r.LeaseUntil = "", l.clock.Now() })
}

// holding changes the lease alone.
func (l *Ledger) holding(ctx context.Context, op string, lease *Lease, fn func(*Rollback)) error {
	ctx = Foresee(forOp(ctx, op), Foresight{Rollback: lease.Rollback.ID})
	return l.store.Update(ctx, lease.Rollback.WindowID, func(tx Tx) error {
		r, err := tx.FindRollback(lease.Rollback.ID)
		if err != nil {
			return err
		}
		if r.Epoch != lease.Epoch || r.State.Over() {
			return ErrFenced
		}
		fn(r)
		return tx.SaveRollback(r, lease.Epoch)
	})
}

// Behind reports whether somebody else, maybe in another process, wrote into the window since the runner's last write.
func (l *Ledger) Behind(ctx context.Context, lease *Lease) (bool, error) {
	w, err := l.store.FindWindow(ctx, lease.Rollback.WindowID)
	return err == nil && w.Head.Number != lease.head, err
}

// Advanced says what a runner has to know after a write.
type Advanced struct {
	Entries []Entry // as they are now, in the order of the changes; zero value: the change was not made
	Newer   []Entry // recorded meanwhile, beyond what a partial run selects; open ones hold what they depend on
	// Moved: since the runner's last write somebody else wrote what the run has to see, or a change was not made.
	Moved bool
	Stop  bool // paused, or to be cancelled: nothing was opened and nothing may be sent
}

// news is what others wrote into the window's journal since the runner's last write.
type news struct {
	moved bool    // it may change what the run has to do
	newer []Entry // see [Advanced]
}

// mostNews is how many records a partial run reads to find out what is new; of more it walks anew.
const mostNews = 1000

// newsSince finds what others wrote. A full run has fenced its window, and whatever is new concerns it. Beside
// a partial one scripts go on recording: only what touches its own entries, or closes a newer one, does.
func (u *unit) newsSince(r *Rollback, head int64) (news, error) {
	switch {
	case u.Window().Head.Number == head:
		return news{}, nil
	case !r.Partial():
		return news{moved: true}, nil
	}
	ids, more, err := u.Touched(head, mostNews)
	if err != nil || more {
		return news{moved: true}, err
	}
	var n news
	for _, id := range ids {
		e, err := u.findEntry(id)
		if err != nil {
			return n, err
		}
		if e.Seq <= r.Select.UpTo || r.Select.Has(e) || e.Closed() && e.OnRollback != OnRollbackRetain {
			n.moved = true
		} else {
			n.newer = append(n.newer, *e)
		}
	}
	return n, nil
}

// hold reports whether an entry that was recorded meanwhile has to be undone before e.
func (n news) hold(e *Entry) bool {
	var h Holds
	for i := range n.newer {
		if !n.newer[i].Closed() {
			h.Add(&n.newer[i])
			if e.Restore && n.newer[i].BeforeRestore {
				return true
			}
		}
	}
	return h.By(e) != 0
}

// leased runs fn under the fence with the rollback of the lease and with what others have written.
func (l *Ledger) leased(ctx context.Context, op string, lease *Lease, fn func(*unit, *Rollback, news) (Advanced, error)) (Advanced, error) {
	var head int64
	var run Rollback
	f := ForesightOf(ctx)
	f.Rollback = lease.Rollback.ID
	ctx = Foresee(ctx, f)
	out, err := update(ctx, l, op, lease.Rollback.WindowID, func(u *unit) (Advanced, error) {
		r, err := u.FindRollback(lease.Rollback.ID)
		if err != nil {
			return Advanced{}, err
		}
		if r.Epoch != lease.Epoch || r.State.Over() {
			return Advanced{}, ErrFenced
		}
		n, err := u.newsSince(r, lease.head)
		if err != nil {
			return Advanced{}, err
		}
		r.LeaseUntil = u.now.Add(lease.term)
		if r.State == RollbackQueued { // paused and resumed while its runner was still at work
			if err := u.moveRollback(r, RollbackRunning, ""); err != nil {
				return Advanced{}, err
			}
		}
		out, err := fn(u, r, n)
		out.Newer = n.newer
		head, run = u.Window().Head.Number, *r
		return out, err
	})
	if err == nil {
		lease.head, lease.Rollback = head, run
	}
	return out, err
}

// stops reports whether the run opens nothing any more.
func (r *Rollback) stops() bool { return r.State == RollbackPaused || r.Cancelling }

// Wait says in the open why the run does nothing right now (w set), or that it goes on (nil).
func (l *Ledger) Wait(ctx context.Context, lease *Lease, w *Waiting) (Advanced, error) {
	return l.leased(ctx, "wait", lease, func(u *unit, r *Rollback, n news) (Advanced, error) {
		out := Advanced{Stop: r.stops(), Moved: n.moved}
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
	})
}

// Finish ends the run if nothing has come between: it is finished, and its window is rolled back, stuck,
// or what it was. Moved means that somebody wrote meanwhile and the run has to walk once more; Stop, that
// it was paused or is to be cancelled.
func (l *Ledger) Finish(ctx context.Context, lease *Lease) (Advanced, error) {
	undoing, err := l.undoing(ctx, lease.Rollback.WindowID)
	if err != nil {
		return Advanced{}, err
	}
	return l.leased(ctx, "finish rollback", lease, func(u *unit, r *Rollback, n news) (Advanced, error) {
		switch {
		case r.Cancelling:
			return Advanced{Stop: true}, u.cancelRollback(r, undoing)
		case r.State == RollbackPaused:
			r.Holder, r.LeaseUntil = "", u.now
			return Advanced{Stop: true}, u.SaveRollback(r, lease.Epoch)
		case n.moved:
			return Advanced{Moved: true}, u.SaveRollback(r, lease.Epoch)
		}
		return Advanced{}, u.finishRollback(r)
	})
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

// Run returns a rollback as it is stored; CodeNotFound if there is none.
func (l *Ledger) Run(ctx context.Context, id uuid.UUID) (*Rollback, error) {
	return l.store.GetRollback(ctx, id)
}

// System returns a configured third party with its remediator; CodeNotFound if there is none.
func (l *Ledger) System(name string) (System, Remediator, error) { return l.systems.Find(name) }

// Park notes that a system refused our credential, until the next rollback.
func (l *Ledger) Park(name string) { l.systems.Park(name, true) }
