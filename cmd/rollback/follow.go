package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
)

var (
	errTimeout = errors.New("timed out")
	errOver    = errors.New("the rollback is over")
)

// A follower shows one run as its journal tells it.
type follower struct {
	app    *app
	client *client.Client
	id     string
	window string
	after  int64 // records up to this number were shown, or were there before

	bar   *progress
	quiet *quiet
	told  bool // how to stop was said
	lost  bool
	state string // of the run, as last shown
}

// follow shows a run until it is over and returns it as it is then. A connection that is lost is made
// again for as long as it takes: the run does not depend on it. An error is the context's cause, or an
// answer that another try would not change.
func (a *app) follow(ctx context.Context, c *client.Client, rb *wire.Rollback) (*wire.Rollback, error) {
	streaming, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &follower{app: a, client: c, id: rb.ID, window: rb.WindowID, bar: newProgress(a, rb), state: rb.State, quiet: &quiet{nowFunc: a.now, said: a.now()}}
	defer f.bar.end()
	go f.beat(streaming, cancel)
	for {
		err := c.RollbackEvents(streaming, rb.ID, client.Watch{After: f.after, LostFunc: f.onLost, OpenFunc: f.onOpen}, f.event)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err == nil, errors.Is(err, errOver), streaming.Err() != nil, client.Unreachable(err):
		default:
			return nil, err
		}
		now, err := f.read(ctx)
		if err != nil {
			return nil, err
		}
		if now.Over() {
			return now, nil
		}
		if err := a.pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// read reads the run, again and again while nobody answers.
func (f *follower) read(ctx context.Context) (*wire.Rollback, error) {
	for {
		rb, err := f.client.Rollback(ctx, f.id)
		switch {
		case err == nil:
			return rb, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !client.Unreachable(err):
			return nil, err
		}
		f.onLost(err)
		if err := f.app.pause(ctx, 500*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// beat says at growing intervals that the run still runs, and notices its end where the stream does not.
func (f *follower) beat(ctx context.Context, end context.CancelCauseFunc) {
	for f.app.pause(ctx, f.app.heartbeat) == nil {
		rb, err := f.client.Rollback(ctx, f.id)
		switch {
		case err != nil:
		case rb.Over():
			end(errOver)
			return
		case f.quiet.due():
			f.bar.line("still %s: %s", rb.State, waitingText(rb))
		}
	}
}

func waitingText(rb *wire.Rollback) string {
	text := fmt.Sprintf("%d remaining", rb.Counts.Remaining)
	if rb.Waiting != nil {
		text += ", " + waits(rb.Waiting)
	}
	return text
}

func (f *follower) onLost(err error) {
	if f.lost {
		return
	}
	f.lost = true
	f.bar.line("connection lost: %v", err)
	f.bar.line("the rollback goes on by itself; trying to reach the server again")
}

func (f *follower) onOpen() {
	if f.lost {
		f.lost = false
		f.bar.line("connected again")
	}
}

// event shows one record.
func (f *follower) event(e wire.Event) error {
	f.after = e.ID
	if f.app.output == formatLines {
		if err := f.app.showLine(e); err != nil {
			return err
		}
	}
	var r wire.Record
	if err := json.Unmarshal(e.Data, &r); err != nil {
		return fmt.Errorf("read record %d: %w", e.ID, err)
	}
	if r.Entry != nil && f.bar.entry(&r) {
		f.quiet.moved()
	}
	if r.Rollback == nil || r.RollbackID != "" && r.RollbackID != f.id {
		return nil
	}
	f.run(r.Rollback)
	if r.Rollback.State == "finished" || r.Rollback.State == stateCancelled {
		return errOver
	}
	return nil
}

// waits says what the run waits for, if that is news, and the first time how to stop.
func (f *follower) waits(w *wire.Waiting) {
	if !f.quiet.news(w.Why, w.On) {
		return
	}
	f.bar.line("waiting: %s", waits(w))
	alone := "it goes on by itself. "
	if next := wayOn(f.window, w); next != "" {
		f.bar.line("next: %s", next)
		alone = ""
	}
	if !f.told {
		f.told = true
		f.bar.line("%sCtrl-C stops watching it, and not the rollback; %s", alone, stopCommand(f.window))
	}
}

func (f *follower) run(r *wire.RecordRollback) {
	switch {
	case r.State == "waiting" && r.Waiting != nil:
		f.waits(r.Waiting)
	case r.State == f.state:
	case r.State == "paused":
		f.bar.line("paused: an operator stopped it; it goes on with `rollback resume --window %s`", f.window)
	}
	f.state = r.State
}
