package runner

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"sideledger/ledger"
)

const (
	flushAfter = 100 * time.Millisecond // closings are written alone if the next call takes longer
	flyAfter   = 4 * time.Second        // the walk does not wait longer for one call: it goes on with the other systems
)

// A flight is a call that did not come back in time, or that the walk makes beside others. Its system's entries wait for
// it, the others go on; there is one at a system at most.
type flight struct {
	done   chan struct{}      // closed when the call is back
	cancel context.CancelFunc // ends a look; nil: an undo, which was sent and is let be answered
	land   func()             // takes the result in, on the walk's goroutine; see bring
	early  bool               // it is of what goes before the restore of the snapshot
	entry  *ledger.Entry
	began  time.Time
	near   bool        // the pass still waits for it; see lanes
	left   atomic.Bool // the walk has gone on without it
}

// A sighting is what a look that flew brought.
type sighting struct {
	seen    ledger.Look
	err     error
	version int64      // journal number of the entry that it was made for
	key     ledger.Key // of its resource
	at      time.Time  // when it landed
}

// fly makes a call and waits for it, but not for long: flown says that it is still under way and lands later.
// Closings that wait for company are written meanwhile.
// Where the run undoes at several systems it does not wait at all.
func (w *walk) fly(ctx context.Context, c *work, f *flight, callFunc func()) (flown bool, err error) {
	f.done, f.early, f.entry, f.began = make(chan struct{}), w.early, c.entry, w.runner.Clock.Now()
	go func() {
		callFunc()
		close(f.done)
		signal(w.landed)
		if f.left.Load() {
			signal(w.wake)
		}
	}()
	if w.parallel() {
		f.near = true
		w.flights[c.sys.Name] = f
		return true, nil
	}
	if w.waitFor(f.done, flushAfter) {
		w.bring(f)
		return false, nil
	}
	err = w.flush(ctx)
	if err == nil && w.waitFor(f.done, flyAfter-flushAfter) {
		w.bring(f)
		return false, nil
	}
	w.flights[c.sys.Name] = f
	w.leave(f)
	return true, err
}

// leave goes on without a call: when it is back, it ends the walk's nap.
func (w *walk) leave(f *flight) {
	f.near = false
	f.left.Store(true)
	select {
	case <-f.done: // just now, and it may not have seen that nobody waits
		signal(w.wake)
	default:
	}
}

// signal says something to who listens to c, once until it is heard.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (w *walk) waitFor(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// bring takes in what a call has brought, as the pass that made it would have.
func (w *walk) bring(f *flight) {
	defer func(early bool) { w.early = early }(w.early)
	w.early = f.early
	f.land()
	if f.cancel == nil && w.parallel() {
		w.lanes.deal(f.entry)
	}
}

// landBack takes in the calls that are back. near: of those alone that the pass waits for.
func (w *walk) landBack(near bool) {
	for system, f := range w.flights {
		if near && !f.near {
			continue
		}
		select {
		case <-f.done:
			delete(w.flights, system)
			w.bring(f)
		default:
		}
	}
}

// landAll writes what is not written yet, ends looks that are under way, waits for the undos, and writes what each
// brought. The walk is at its end, maybe by an error.
func (w *walk) landAll(ctx context.Context) error {
	err := w.flush(ctx)
	for system, f := range w.flights {
		if f.cancel != nil {
			f.cancel()
		}
		<-f.done
		delete(w.flights, system)
		w.bring(f)
		err = errors.Join(err, w.flush(ctx))
	}
	return err
}

// awaitFlight lets an entry wait for the call that is under way at its system, unless the pass does.
func (w *walk) awaitFlight(e *ledger.Entry) {
	if w.isFlying(e.System) {
		return
	}
	w.staysOpen(e)
	w.wait(ledger.Waiting{Why: whyAnswer, On: e.System})
}

// sighted returns what a look for e that flew has brought, unless it is out of date.
func (w *walk) sighted(e *ledger.Entry) (sighting, bool) {
	s, ok := w.sightings[e.ID]
	delete(w.sightings, e.ID)
	return s, ok && s.version == e.Journal.Number && w.runner.Clock.Now().Sub(s.at) < flyAfter
}

// forget drops what looks brought of a resource that is about to change.
func (w *walk) forget(key ledger.Key) {
	for id, s := range w.sightings {
		if s.key == key {
			delete(w.sightings, id)
		}
	}
}

// look reads the resource of an entry. flown: it takes long, and what it brings is there in a later pass.
func (w *walk) look(ctx context.Context, c *work) (seen ledger.Look, flown bool, err error) {
	if s, ok := w.sighted(c.entry); ok {
		return s.seen, false, s.err
	}
	call, cancel := context.WithCancel(ctx)
	call, done := w.runner.Observer.Called(call, c.entry, CallLook)
	s := sighting{version: c.entry.Journal.Number, key: c.entry.ResourceKey}
	f := &flight{cancel: cancel, land: func() {
		cancel()
		s.at = w.runner.Clock.Now()
		w.sightings[c.entry.ID] = s
	}}
	flown, err = w.fly(ctx, c, f, func() {
		s.seen, s.err = c.rem.Look(call, c.eff)
		done(lookResult(s.err))
	})
	if flown || err != nil {
		return ledger.Look{}, flown, err
	}
	delete(w.sightings, c.entry.ID)
	return s.seen, false, s.err
}
