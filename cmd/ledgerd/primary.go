package main

import (
	"context"
	"log/slog"
	"time"

	"sideledger/ledger"
)

// primaryEvery is how often the database server is asked who it is, and whether a standby follows it.
const primaryEvery = time.Second

// fromMemory names who knows of a record that a database server lacks which has taken over.
const fromMemory = "ledgerd that committed them"

// followPrimary asks the database server once a second until ctx ends, who it is and what its answers survive. One that
// has taken over is compared with what was answered before anything is recorded there.
func (v *vigil) followPrimary(ctx context.Context) {
	v.each(ctx, primaryEvery, func() {
		v.askPrimary(ctx)
		if n := v.store.Suspicion(); n > 0 {
			v.compareAnew(ctx, n)
		}
	})
}

// each calls fn once every d, until ctx ends or the ledger is in safe mode.
func (v *vigil) each(ctx context.Context, d time.Duration, fn func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.danger:
			return
		case <-tick.C:
		}
		fn()
	}
}

func (v *vigil) askPrimary(ctx context.Context) {
	if err := v.store.AskPrimary(ctx); err != nil && ctx.Err() == nil {
		v.log.WarnContext(ctx, "the database server does not say who it is", slog.Any("err", err))
	}
}

// compareAnew compares a database server that has taken over with every mirror and with what this process has committed. What it lacks
// puts the ledger into safe mode; while something cannot be compared nothing is recorded, and it is tried again.
func (v *vigil) compareAnew(ctx context.Context, suspicion int64) {
	began := time.Now()
	errs, err := v.compare(ctx)
	if err != nil {
		errs = append(errs, err)
	}
	var missing []ledger.Missing
	for _, h := range v.store.Committed() {
		m, err := v.look(ctx, h, fromMemory)
		switch {
		case err != nil:
			errs = append(errs, err)
		case m != nil:
			missing = append(missing, *m)
		}
	}
	if err := v.store.EnterSafe(ctx, missing...); err != nil {
		errs = append(errs, err)
	}
	if v.Safe() != nil {
		v.alarm(ctx)
		return
	}
	for _, err := range errs {
		v.log.WarnContext(ctx, "the database server that has taken over cannot be compared yet: nothing is recorded", slog.Any("err", err))
	}
	if len(errs) == 0 {
		v.store.Trust(suspicion)
		v.log.InfoContext(ctx, "the database server that has taken over has all that was answered", slog.Int64("duration_ms", time.Since(began).Milliseconds()))
	}
}
