package runner

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

const (
	slice       = 8 * time.Second // how long a job stays with its run at a time; a queue may give up one that takes 10
	insertLimit = 5 * time.Second
)

// Jobs bring wake-ups to the runner of some replica, and run the chores. They are no truth: one that is lost, doubled or late
// changes nothing but how soon a run goes on. Implementations are safe for concurrent use.
type Jobs interface {
	// Start begins to hand jobs of all replicas to these functions. workFunc may be called for one run at several replicas at
	// once. An error says that no job comes here; those that are inserted come to other replicas.
	Start(ctx context.Context, workFunc WorkFunc) error
	// Insert makes a job for a run, unless one is there that has not ended.
	Insert(ctx context.Context, rollbackID uuid.UUID) error
	// Stop ends the calls of workFunc and waits for them. It is called once after Start.
	Stop(ctx context.Context) error
}

// A WorkFunc works on a run for at most a slice of 10 s. over: there is no more to do; else the job comes again after a while.
type WorkFunc func(ctx context.Context, rollbackID uuid.UUID) (again time.Duration, over bool, err error)

// startJobs lets jobs come to this runner, until the function that it returns is called.
func (r *Runner) startJobs(ctx context.Context) (stop func()) {
	err := r.Jobs.Start(ctx, func(job context.Context, id uuid.UUID) (time.Duration, bool, error) { return r.attend(ctx, job, id) })
	if err != nil {
		r.Log.ErrorContext(ctx, "no job comes to this replica; it finds rollbacks by its own sweep", slog.Any("err", err))
		return func() {}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), insertLimit)
		defer cancel()
		if err := r.Jobs.Stop(ctx); err != nil {
			r.Log.WarnContext(ctx, "jobs did not end in time", slog.Any("err", err))
		}
	}
}

// insert makes a job for a run. What it cannot make is found by the sweep.
func (r *Runner) insert(ctx context.Context, id uuid.UUID) {
	ctx, cancel := context.WithTimeout(ctx, insertLimit)
	defer cancel()
	if err := r.Jobs.Insert(ctx, id); err != nil && ctx.Err() == nil {
		r.Log.WarnContext(ctx, "a wake-up was lost; the sweep finds its rollback", slog.String("rollback_id", id.String()), slog.Any("err", err))
	}
}

// attend brings a run to work here, unless another replica has it, and stays with it for a slice. The work itself goes on
// under its lease, whatever becomes of the job.
func (r *Runner) attend(ctx, job context.Context, id uuid.UUID) (again time.Duration, over bool, err error) {
	run, err := r.Ledger.Run(job, id)
	if err != nil {
		return 0, false, err
	}
	done := r.poke(ctx, *run)
	if done == nil {
		return 0, true, nil
	}
	t := time.NewTimer(slice)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		return 0, false, nil
	case <-job.Done():
		return 0, false, job.Err()
	}
	if run, err = r.Ledger.Run(job, id); err != nil {
		return 0, false, err
	}
	return r.Term / 3, idle(run), nil // another replica has it, or it was interrupted
}
