package runner

import (
	"cmp"
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

// Config is what a Runner needs. Every field but Grace, Sole, Observer, Term, Jobs, Deletions and Paused is required.
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
	// Term is how long a lease stands without being renewed; 0: [ledger.LeaseTime]. A third of it passes between renewals.
	Term time.Duration
	// Jobs bring wake-ups to some replica's runner, maybe this one; nil: they stay in this process.
	Jobs Jobs
	// Deletions count what is deleted, over all processes of the ledger; nil: this process counts its own.
	Deletions ledger.Deletions
	// Paused pauses, at the start, every run that is not over: an operator resumes each.
	Paused bool
}

// A Runner works on all rollbacks that are due, each in a goroutine of its own.
type Runner struct {
	Config
	holder string
	watch  watch
	wg     sync.WaitGroup
	mu     sync.Mutex
	active map[uuid.UUID]*task
}

// A task is a run that is being worked on.
type task struct {
	wake chan struct{} // a value in it wakes the run
	done chan struct{} // closed when the work has ended, for now or for good
}

// New returns a Runner; it does nothing before Run or RunOne.
func New(c Config) *Runner {
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	if c.Deletions == nil {
		c.Deletions = &deletions{clock: c.Clock, times: map[string][]time.Time{}}
	}
	c.Term = cmp.Or(c.Term, ledger.LeaseTime)
	return &Runner{
		Config: c, holder: ledger.NewID().String(), active: map[uuid.UUID]*task{},
		watch: watch{seen: map[uuid.UUID]sight{}},
	}
}

// Run works until ctx ends, then waits for the calls in flight (at most their grace).
func (r *Runner) Run(ctx context.Context) {
	defer r.wg.Wait()
	if r.Paused && !r.pauseAll(ctx) {
		return
	}
	if r.Jobs != nil {
		stop := r.startJobs(ctx)
		defer stop()
	}
	sweep := time.NewTicker(r.sweepTime())
	defer sweep.Stop()
	r.sweep(ctx, true)
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.Waker.bell:
			for _, run := range r.Waker.take() {
				r.told(ctx, run)
			}
		case <-sweep.C:
			r.sweep(ctx, false)
		}
	}
}

// told begins to work on a run, wakes it, or lets a job bring it to some replica.
func (r *Runner) told(ctx context.Context, run ledger.Rollback) {
	if r.Jobs == nil || r.isActive(run.ID) {
		r.poke(ctx, run)
		return
	}
	if idle(&run) {
		return
	}
	r.wg.Go(func() { r.insert(ctx, run.ID) })
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

// sweepTime is how often the runs that are not over are read: where others may hold them, often enough to see soon
// that a lease is not renewed any more.
func (r *Runner) sweepTime() time.Duration {
	if r.Sole {
		return sweepEvery
	}
	return min(watchEvery, r.Term/6)
}

// sweep finds every run that is not over and nobody works on: whose wake-up was lost, or whose runner is dead. At the
// start it takes up at once what nobody holds.
func (r *Runner) sweep(ctx context.Context, start bool) {
	runs, err := r.Ledger.Unfinished(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.Log.ErrorContext(ctx, "unfinished rollbacks cannot be read", slog.Any("err", err))
		}
		return
	}
	now := r.Clock.Now() // after the reading: what stood then may be older, never younger
	r.watch.note(runs, now)
	for i := range runs {
		run := &runs[i]
		due := r.Sole || start && run.Holder == "" || r.watch.stood(run.ID, now) >= r.patience(run)
		if due && !r.isActive(run.ID) {
			r.poke(ctx, *run)
		}
	}
}

// patience is how long the lease of a run has to stand as it is before this runner takes the run up unasked.
func (r *Runner) patience(run *ledger.Rollback) time.Duration {
	if run.Holder == "" {
		return sweepEvery // its wake-up is on its way, if it was not lost
	}
	return r.Term
}

func (r *Runner) isActive(id uuid.UUID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active[id] != nil
}

// idle reports whether there is nothing to do about a run.
func idle(run *ledger.Rollback) bool {
	return run.State.Over() || run.State == ledger.RollbackPaused && !run.Cancelling
}

// poke wakes the run, or begins to work on it, and returns what is closed when that work ends; nil: there is nothing to do.
func (r *Runner) poke(ctx context.Context, run ledger.Rollback) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.active[run.ID]; t != nil {
		select {
		case t.wake <- struct{}{}:
		default:
		}
		return t.done
	}
	if idle(&run) {
		return nil
	}
	t := &task{wake: make(chan struct{}, 1), done: make(chan struct{})}
	r.active[run.ID] = t
	r.wg.Go(func() {
		defer close(t.done)
		r.work(ctx, run.ID, t.wake)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.active, run.ID)
		select {
		case <-t.wake: // told while it was ending: look again
			r.Waker.Wake(run)
		default:
		}
	})
	return t.done
}

// RunOne works on one rollback until it is over, paused, or ctx ends. While another process works on it, it watches, and
// goes on when that one is dead.
func (r *Runner) RunOne(ctx context.Context, id uuid.UUID) {
	for {
		r.work(ctx, id, make(chan struct{}, 1))
		run, err := r.Ledger.Run(ctx, id)
		if r.Sole || ctx.Err() != nil || err == nil && idle(run) || ledger.CodeOf(err) == ledger.CodeNotFound {
			return
		}
		if err == nil {
			r.watch.note([]ledger.Rollback{*run}, r.Clock.Now())
		}
		nap(ctx, nil, r.sweepTime())
	}
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

// nap sleeps for d, or until it is woken (true) or ctx ends.
func nap(ctx context.Context, wake <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
		return true
	case <-ctx.Done():
	}
	return false
}
