package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// This file alone knows River, the job queue on PostgreSQL. Its jobs are wake-ups and no truth: what is due stands in the
// ledger's own rows.

const (
	riverQueue   = "ledger"
	riverWorkers = 200              // jobs that stay with their runs at a replica; each only waits
	riverConns   = 6                // of the pool; one listens
	riverRetry   = time.Second      // before a job that failed comes again
	riverTries   = 1000             // of a job that fails
	riverKept    = time.Hour        // how long a job that has ended can be looked at
	riverTimeout = 10 * time.Second // more than a slice
	choreTimeout = 10 * time.Minute
	riverFetch   = 5 * time.Millisecond
	riverPoll    = time.Second // how long a notification that was lost stays unnoticed, and without any how long each takes
)

// RiverConfig says where River keeps its jobs. URL and Log are required.
type RiverConfig struct {
	URL string // of PostgreSQL
	// Pooled: a pooler stands between, which hands each transaction to another connection. There is no LISTEN then: jobs are
	// polled for.
	Pooled bool
	// ConnFunc says how connections are made; nil: as the address says.
	ConnFunc func(*pgx.ConnConfig)
	Log      *slog.Logger
	Chores   []Chore
}

// A Chore is work that one replica does now and then.
type Chore struct {
	Name   string // for good: jobs name it
	Every  time.Duration
	DoFunc func(ctx context.Context) error
}

// River is [Jobs] on River. Make one with OpenRiver.
type River struct {
	RiverConfig
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	work   WorkFunc
}

// OpenRiver connects to River's tables. Close it when done.
func OpenRiver(ctx context.Context, c RiverConfig) (*River, error) {
	pool, err := openPool(ctx, c)
	if err != nil {
		return nil, err
	}
	v := &River{RiverConfig: c, pool: pool}
	workers := river.NewWorkers()
	river.AddWorker(workers, &rollbackWorker{river: v})
	river.AddWorker(workers, &choreWorker{river: v})
	v.client, err = river.NewClient(riverpgxv5.New(pool), &river.Config{
		Workers: workers, Queues: map[string]river.QueueConfig{riverQueue: {MaxWorkers: riverWorkers}},
		FetchCooldown: riverFetch, FetchPollInterval: riverPoll, PollOnly: c.Pooled, FetchOnlyKnownKinds: true,
		JobTimeout: riverTimeout, RescueStuckJobsAfter: riverTimeout + time.Second, MaxAttempts: riverTries, RetryPolicy: soon{},
		CompletedJobRetentionPeriod: riverKept, PeriodicJobs: v.periodic(),
		Logger: slog.New(faults{c.Log.Handler()}),
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open River: %w", err)
	}
	return v, nil
}

// MigrateRiver brings River's tables up to date, by River's own migrations. No two processes may do it at once.
func MigrateRiver(ctx context.Context, c RiverConfig) error {
	pool, err := openPool(ctx, c)
	if err != nil {
		return err
	}
	defer pool.Close()
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(faults{c.Log.Handler()})})
	if err == nil {
		_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	if err != nil {
		return fmt.Errorf("migrate River's tables: %w", err)
	}
	return nil
}

func openPool(ctx context.Context, c RiverConfig) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, errors.New("the PostgreSQL address cannot be read") // err may hold a part of the password
	}
	cfg.MaxConns = riverConns
	if c.ConnFunc != nil {
		c.ConnFunc(cfg.ConnConfig)
	}
	if c.Pooled {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return pool, nil
}

// Close ends the connections. Nothing of it is used afterwards.
func (v *River) Close() { v.pool.Close() }

// Start implements [Jobs].
func (v *River) Start(ctx context.Context, work WorkFunc) error {
	v.work = work
	return v.client.Start(context.WithoutCancel(ctx)) // until Stop
}

// Stop implements [Jobs].
func (v *River) Stop(ctx context.Context) error { return v.client.StopAndCancel(ctx) }

// Insert implements [Jobs].
func (v *River) Insert(ctx context.Context, id uuid.UUID) error {
	_, err := v.client.Insert(ctx, rollbackArgs{RollbackID: id}, &river.InsertOpts{Queue: riverQueue, UniqueOpts: once})
	return err
}

// once lets one job with the same arguments be there that has not ended.
var once = river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
}}

// rollbackArgs name the run that a job brings to a runner.
type rollbackArgs struct {
	RollbackID uuid.UUID `json:"rollback_id"`
}

// Kind implements [river.JobArgs].
func (rollbackArgs) Kind() string { return "rollback" }

type rollbackWorker struct {
	river.WorkerDefaults[rollbackArgs]
	river *River
}

// Work implements [river.Worker].
func (w *rollbackWorker) Work(ctx context.Context, job *river.Job[rollbackArgs]) error {
	again, over, err := w.river.work(ctx, job.Args.RollbackID)
	switch {
	case ctx.Err() != nil: // this replica stops: another one goes on
		return river.JobSnooze(0)
	case err != nil || over:
		return err
	}
	return river.JobSnooze(again)
}

// choreArgs name a chore.
type choreArgs struct {
	Name string `json:"name"`
}

// Kind implements [river.JobArgs].
func (choreArgs) Kind() string { return "chore" }

type choreWorker struct {
	river.WorkerDefaults[choreArgs]
	river *River
}

// Work implements [river.Worker]. A chore of another version is left out: it comes again.
func (w *choreWorker) Work(ctx context.Context, job *river.Job[choreArgs]) error {
	for _, c := range w.river.Chores {
		if c.Name == job.Args.Name {
			return c.DoFunc(ctx)
		}
	}
	return nil
}

// Timeout implements [river.Worker]. What a chore has not done by then it does the next time.
func (w *choreWorker) Timeout(*river.Job[choreArgs]) time.Duration { return choreTimeout }

// periodic are the jobs that the one replica inserts which River's election has chosen.
func (v *River) periodic() []*river.PeriodicJob {
	var list []*river.PeriodicJob
	for _, c := range v.Chores {
		list = append(list, river.NewPeriodicJob(river.PeriodicInterval(c.Every), func() (river.JobArgs, *river.InsertOpts) {
			return choreArgs{c.Name}, &river.InsertOpts{Queue: riverQueue, MaxAttempts: 1, UniqueOpts: once}
		}, &river.PeriodicJobOpts{ID: c.Name, RunOnStart: true}))
	}
	return list
}

// soon lets a job that failed come again after a moment: River's own policy waits longer each time.
type soon struct{}

// NextRetry implements [river.ClientRetryPolicy].
func (soon) NextRetry(*rivertype.JobRow) time.Time { return time.Now().Add(riverRetry) }

// faults passes on what an operator has to know of River, and none of its talk.
type faults struct{ slog.Handler }

// WithAttrs implements [slog.Handler].
func (f faults) WithAttrs(a []slog.Attr) slog.Handler { return faults{f.Handler.WithAttrs(a)} }

// WithGroup implements [slog.Handler].
func (f faults) WithGroup(name string) slog.Handler { return faults{f.Handler.WithGroup(name)} }

// Enabled implements [slog.Handler].
func (f faults) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && f.Handler.Enabled(ctx, l)
}
