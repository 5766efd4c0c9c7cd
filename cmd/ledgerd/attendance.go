package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger/sqlstore"
)

// What the lock of a file is for an embedded ledger, rows are on PostgreSQL: each server says that it serves, and who must be the only one
// (recover, rebuild) waits for those that have died and is refused beside the others.

const (
	dutyServing = "serving/" // and the server
	dutySole    = "sole"     // of who must be the only one

	presentTime  = 10 * time.Second // how long one that is not heard of any more counts as running
	presentEvery = 2 * time.Second
	presentAsked = 250 * time.Millisecond // how often one that must be the only one looks whether the others are heard of

	presentKept = 30 * 24 * time.Hour // how long the row of a dead server is kept
)

// errOutdated ends a server that was taken for dead: what it keeps in memory is of a time before the recovery.
var errOutdated = errors.New("this server was not heard of for a while, and `ledgerd recover` or `ledgerd rebuild` was run meanwhile: start it anew")

// errNotSole ends what is not the only one any more.
var errNotSole = errors.New("this was not heard of for a while, and somebody else has begun meanwhile: run it again")

// attending runs fn as one of the servers of a replicated ledger. Its context ends when others have taken this server for dead.
func (p *parts) attending(ctx context.Context, fn func(context.Context) error) error {
	if !p.config.replicated() {
		return fn(ctx)
	}
	host, _ := os.Hostname()
	holder := fmt.Sprintf("%s, process %d (%s)", host, os.Getpid(), uuid.NewString())
	return p.onDuty(ctx, dutyServing+holder, holder, errOutdated, func(ctx context.Context) error {
		// Whoever must be the only one has written its row before it looks at ours, as we have.
		taken, err := p.store.DutyTaken(ctx, dutySole)
		if err == nil && taken {
			err = errors.New("`ledgerd recover` or `ledgerd rebuild` is under way on this ledger: start the server when it has ended")
		}
		if err != nil {
			return err
		}
		return fn(ctx)
	})
}

// solely runs fn while no server runs on the ledger. One that has died is waited for, as long as it counts as running.
func (p *parts) solely(ctx context.Context, e *env, fn func(context.Context) error) error {
	if !p.config.replicated() {
		return fn(ctx) // the lock of the file
	}
	return p.onDuty(ctx, dutySole, uuid.NewString(), errNotSole, func(ctx context.Context) error {
		if err := p.outlive(ctx, e); err != nil {
			return err
		}
		if err := p.store.EndDuties(ctx, dutyServing); err != nil {
			return err
		}
		return fn(ctx)
	})
}

// outlive waits until no server counts as running. It is refused as soon as one of them is heard of.
func (p *parts) outlive(ctx context.Context, e *env) error {
	tick := time.NewTicker(presentAsked)
	defer tick.Stop()
	heard := map[string]time.Time{}
	for waiting := false; ; waiting = true {
		list, err := p.store.Duties(ctx, dutyServing)
		if err != nil || len(list) == 0 {
			return err
		}
		var alive []string
		for _, d := range list {
			if until, ok := heard[d.Name]; ok && !until.Equal(d.Until) {
				alive = append(alive, who(d))
			}
			heard[d.Name] = d.Until
		}
		if len(alive) > 0 {
			return fmt.Errorf("a server runs on this ledger: %s. Nothing was changed. Stop all of them, also those on other hosts, and run this again", strings.Join(alive, "; "))
		}
		if !waiting {
			_, _ = fmt.Fprintf(e.stderr, "%d servers were heard of in the last %v: are they alive?\n", len(list), presentTime)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// who names a server for a person.
func who(d sqlstore.Duty) string {
	name, _, _ := strings.Cut(d.Holder, " (")
	return name
}

// onDuty runs fn while a duty is held and renewed. Its context ends when the duty is somebody else's, and lost is returned.
func (p *parts) onDuty(ctx context.Context, name, holder string, lost error, fn func(context.Context) error) error {
	mine, err := p.store.TakeDuty(ctx, name, holder, presentTime)
	if err != nil {
		return err
	}
	if !mine {
		return fmt.Errorf("somebody else is at it: `ledgerd recover` or `ledgerd rebuild` is under way on this ledger, or ended without a word in the last %v", presentTime)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		p.renew(ctx, name, holder, func() { cancel(lost) })
	}()
	err = fn(ctx)
	if errors.Is(context.Cause(ctx), lost) {
		err = lost
	}
	cancel(nil)
	<-renewed
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), presentEvery)
	defer done()
	if err := p.store.DropDuty(ctx, name, holder); err != nil {
		p.log.DebugContext(ctx, "a row that says who runs ends by itself", slog.Any("err", err))
	}
	return err
}

// renew keeps a duty until ctx ends or it is lost. While the database cannot be asked nothing is known.
func (p *parts) renew(ctx context.Context, name, holder string, lostFunc func()) {
	tick := time.NewTicker(presentEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch mine, err := p.store.TakeDuty(ctx, name, holder, presentTime); {
		case err == nil && !mine:
			lostFunc()
			return
		case err != nil && ctx.Err() == nil:
			p.log.WarnContext(ctx, "that this process runs cannot be said", slog.Any("err", err))
		}
	}
}
