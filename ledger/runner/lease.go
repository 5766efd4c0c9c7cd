package runner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// watchEvery is how often leases of other runners are looked at.
const watchEvery = time.Second

// A watch knows for how long leases have stood as they are, by this process's clock.
type watch struct {
	mu   sync.Mutex
	seen map[uuid.UUID]sight
}

// A sight is a lease, and when it was first read as it is.
type sight struct {
	tenure ledger.Tenure
	since  time.Time
}

// note takes in all runs that are not over, as they were read before now.
func (w *watch) note(runs []ledger.Rollback, now time.Time) {
	next := make(map[uuid.UUID]sight, len(runs))
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range runs {
		s := sight{runs[i].Tenure(), now}
		if old, ok := w.seen[runs[i].ID]; ok && old.tenure == s.tenure {
			s = old
		}
		next[runs[i].ID] = s
	}
	w.seen = next
}

// stood returns for how long the lease of a run has stood as it is.
func (w *watch) stood(id uuid.UUID, now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.seen[id]
	if !ok {
		return 0
	}
	return now.Sub(s.since)
}

// silent returns a lease that has stood as it is for a whole term: its holder is dead, or has to believe so itself. nil: it has
// not been watched for so long.
func (w *watch) silent(id uuid.UUID, now time.Time, term time.Duration) *ledger.Tenure {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.seen[id]
	if !ok || now.Sub(s.since) < term {
		return nil
	}
	return &s.tenure
}

// A tenancy is what a runner knows of its own lease: until when nobody else can have it.
type tenancy struct {
	term  time.Duration
	clock ledger.Clock
	mu    sync.Mutex
	since time.Time // just before the last write that prolonged it
}

func (t *tenancy) prolonged(since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = since
}

// stands reports whether nobody else can have the lease. Another runner has to see it unchanged for a whole term first.
func (t *tenancy) stands() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.clock.Now().Sub(t.since) < t.term
}

func (r *Runner) claimAndWalk(ctx context.Context, id uuid.UUID, wake chan struct{}) error {
	now := r.Clock.Now()
	lease, err := r.Ledger.Claim(ctx, id, ledger.Claimant{
		Holder: r.holder, Term: r.Term, Force: r.Sole, Silent: r.watch.silent(id, now, r.Term),
	})
	if err != nil {
		return err
	}
	ctx = ledger.WithLogAttrs(ctx, slog.String("window_id", lease.Rollback.WindowID.String()), slog.String("rollback_id", id.String()))
	ctx, done := r.Observer.Claimed(ctx, lease)
	err = r.hold(ctx, lease, now, wake)
	done(err)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ledger.ErrFenced) {
		r.release(ctx, lease)
	}
	return err
}

// hold walks a run that was claimed at a time, while its lease lasts.
func (r *Runner) hold(ctx context.Context, lease *ledger.Lease, since time.Time, wake chan struct{}) error {
	r.Log.InfoContext(ctx, "rollback claimed", slog.Int64("epoch", lease.Epoch))
	held, drop := context.WithCancelCause(ctx)
	defer drop(nil)
	mine := &tenancy{term: r.Term, clock: r.Clock, since: since}
	renewed := *lease
	r.wg.Go(func() { r.keep(held, drop, &renewed, mine) })
	err := newWalk(r, lease, mine, wake).toTheEnd(held)
	if cause := context.Cause(held); err != nil && cause != nil {
		return cause
	}
	return err
}

// release lets another replica go on at once, now that this one stops.
func (r *Runner) release(ctx context.Context, lease *ledger.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Term)
	defer cancel()
	if err := r.Ledger.Release(ctx, lease); err != nil {
		r.Log.WarnContext(ctx, "the lease runs out by itself", slog.Any("err", err))
	}
}

// keep renews the lease until ctx ends; a lost lease ends the work. So does one that could not be renewed for a whole term,
// as where the database is away: another runner may have it.
func (r *Runner) keep(ctx context.Context, drop context.CancelCauseFunc, lease *ledger.Lease, mine *tenancy) {
	tick := time.NewTicker(r.Term / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := r.Clock.Now()
		try, cancel := context.WithTimeout(ctx, r.Term/3)
		err := r.Ledger.RenewLease(try, lease)
		cancel()
		switch {
		case err == nil:
			mine.prolonged(now)
		case errors.Is(err, ledger.ErrFenced), !mine.stands():
			drop(ledger.ErrFenced)
			return
		}
	}
}
