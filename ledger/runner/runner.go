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

const (
	sweepEvery = 5 * time.Second        // how long a lost wake-up stays unnoticed
	longestNap = 30 * time.Second       // a waiting run looks at the store again after this, told or not
	breather   = time.Second            // after an error of the store
	rewrite    = 200 * time.Millisecond // between two tries of a write whose outcome is not known
)

// Config is what a Runner needs. Every field but Grace, Sole, Observer and Paused is required.
type Config struct {
	Ledger *ledger.Ledger
	Waker  *Waker
	Clock  ledger.Clock
	Log    *slog.Logger
	// JitterFunc picks a duration between 0 and d for a retry.
	JitterFunc func(d time.Duration) time.Duration
	// Grace is how long a call in flight may go on after the runner was told to stop; 0: it ends at once.
	Grace time.Duration
	// Sole says that no other process runs on this ledger: leases of dead ones are taken over at once.
	Sole bool
	// Observer is told of what is done, for metrics and traces; nil: nobody is.
	Observer Observer
	// Paused pauses, at the start, every run that is not over: an operator resumes each.
	Paused bool
}

// A Runner works on all rollbacks that are due, each in a goroutine of its own.
type Runner struct {
	Config
	holder    string
	deletions deletions
	wg        sync.WaitGroup
	mu        sync.Mutex
	active    map[uuid.UUID]chan struct{} // what wakes a run that is being worked on
}

// New returns a Runner; it does nothing before Run or RunOne.
func New(c Config) *Runner {
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	return &Runner{
		Config: c, holder: ledger.NewID().String(), active: map[uuid.UUID]chan struct{}{}, deletions: deletions{sent: map[string][]time.Time{}},
	}
}

// Run works until ctx ends, then waits for the calls in flight (at most their grace).
func (r *Runner) Run(ctx context.Context) {
	defer r.wg.Wait()
	if r.Paused && !r.pauseAll(ctx) {
		return
	}
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	r.sweep(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.Waker.bell:
			for _, run := range r.Waker.take() {
				r.poke(ctx, run)
			}
		case <-sweep.C:
			r.sweep(ctx)
		}
	}
}

// pauseAll pauses every run that is not over. Nothing goes on until that is written: it tries until it
// succeeds, or ctx ends (false).
func (r *Runner) pauseAll(ctx context.Context) bool {
	for {
		err := r.tryPauseAll(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		r.Log.ErrorContext(ctx, "unfinished rollbacks cannot be paused; none goes on until they are", slog.Any("err", err))
		nap(ctx, nil, breather)
	}
}

func (r *Runner) tryPauseAll(ctx context.Context) error {
	runs, err := r.Ledger.Unfinished(ctx)
	if err != nil {
		return err
	}
	var bad []error
	for _, run := range runs {
		if _, err := r.Ledger.Pause(ctx, run.ID); err != nil && ledger.CodeOf(err) != ledger.CodeConflict { // over meanwhile
			bad = append(bad, err)
		}
	}
	return errors.Join(bad...)
}

// sweep finds every run that is not over and nobody works on.
func (r *Runner) sweep(ctx context.Context) {
	runs, err := r.Ledger.Unfinished(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.Log.ErrorContext(ctx, "unfinished rollbacks cannot be read", slog.Any("err", err))
		}
		return
	}
	for _, run := range runs {
		if !r.isActive(run.ID) {
			r.poke(ctx, run)
		}
	}
}

func (r *Runner) isActive(id uuid.UUID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active[id] != nil
}

// poke wakes the run, or begins to work on it.
func (r *Runner) poke(ctx context.Context, run ledger.Rollback) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wake := r.active[run.ID]; wake != nil {
		select {
		case wake <- struct{}{}:
		default:
		}
		return
	}
	if run.State.Over() || run.State == ledger.RollbackPaused && !run.Cancelling {
		return
	}
	wake := make(chan struct{}, 1)
	r.active[run.ID] = wake
	r.wg.Go(func() {
		r.work(ctx, run.ID, wake)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.active, run.ID)
		select {
		case <-wake: // told while it was ending: look again
			r.Waker.Wake(run)
		default:
		}
	})
}

// RunOne works on one rollback until it is over, paused, or ctx ends.
func (r *Runner) RunOne(ctx context.Context, id uuid.UUID) {
	r.work(ctx, id, make(chan struct{}, 1))
}

// work claims the run and walks it to its end. After an error of the store it claims again.
func (r *Runner) work(ctx context.Context, id uuid.UUID, wake chan struct{}) {
	for ctx.Err() == nil {
		err := r.claimAndWalk(ctx, id, wake)
		if err == nil || ledger.CodeOf(err) == ledger.CodeConflict || ctx.Err() != nil {
			return // over, paused, or somebody else's
		}
		r.Log.WarnContext(ctx, "rollback interrupted", slog.String("rollback_id", id.String()), slog.Any("err", err))
		if errors.Is(err, ledger.ErrFenced) {
			return // the sweep claims it again, if nobody else does
		}
		nap(ctx, wake, breather)
	}
}

func (r *Runner) claimAndWalk(ctx context.Context, id uuid.UUID, wake chan struct{}) error {
	lease, err := r.Ledger.Claim(ctx, id, r.holder, r.Sole)
	if err != nil {
		return err
	}
	ctx = ledger.WithLogAttrs(ctx, slog.String("window_id", lease.Rollback.WindowID.String()), slog.String("rollback_id", id.String()))
	ctx, done := r.Observer.Claimed(ctx, lease)
	err = r.hold(ctx, lease, wake)
	done(err)
	return err
}

// hold walks a run that was claimed, while its lease lasts.
func (r *Runner) hold(ctx context.Context, lease *ledger.Lease, wake chan struct{}) error {
	r.Log.InfoContext(ctx, "rollback claimed", slog.Int64("epoch", lease.Epoch))
	held, drop := context.WithCancelCause(ctx)
	defer drop(nil)
	renewed := *lease
	r.wg.Go(func() { r.keep(held, drop, &renewed) })
	w := newWalk(r, lease, wake)
	if err := w.toTheEnd(held); err != nil {
		if cause := context.Cause(held); cause != nil {
			return cause
		}
		return err
	}
	return nil
}

// keep renews the lease until ctx ends; a lost lease ends the work.
func (r *Runner) keep(ctx context.Context, drop context.CancelCauseFunc, lease *ledger.Lease) {
	tick := time.NewTicker(ledger.LeaseRenew)
	defer tick.Stop()
	last := r.Clock.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := r.Ledger.RenewLease(ctx, lease)
		switch {
		case err == nil:
			last = r.Clock.Now()
		case errors.Is(err, ledger.ErrFenced), r.Clock.Now().Sub(last) > ledger.LeaseTime:
			drop(ledger.ErrFenced)
			return
		}
	}
}

// nap sleeps for d, or until it is woken or ctx ends.
func nap(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}
