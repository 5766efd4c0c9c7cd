package remediators

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	"sideledger/ledger"
)

// patience is how long a read waits for its turn at a paced system before it says "away". A changing
// call has a look behind it and waits as long as its context allows: sent back, it would have to look
// again, use the turn up, and never get one of its own.
const patience = 10 * time.Second

// limits are how many calls a system gets, and how fast. They are counted here; where processes share them, a call that has
// a local slot takes one that all share, and its turn is one of all. The local slots keep the order of those that wait, and wake
// them; one of them at a time asks for a shared one.
type limits struct {
	every   time.Duration // between two turns; 0: unpaced
	limiter *rate.Limiter // nil: unpaced
	slots   chan struct{} // nil: no limit
	turns   ledger.Turns  // nil: this process has the limits to itself
	asking  chan struct{} // holds one while a call asks for a shared slot
}

func newLimits() limits { return limits{asking: make(chan struct{}, 1)} }

// configure takes over a configuration; turns and slots that are taken stay so.
func (l *limits) configure(c RateConfig, clock ledger.Clock) {
	switch {
	case c.PerSecond == 0:
		l.limiter, l.every = nil, 0
	case l.limiter == nil:
		l.limiter = rate.NewLimiter(rate.Limit(c.PerSecond), 1)
	default:
		l.limiter.SetLimitAt(clock.Now(), rate.Limit(c.PerSecond))
	}
	if c.PerSecond > 0 {
		l.every = time.Duration(math.Ceil(1e6/c.PerSecond)) * time.Microsecond
	}
	if c.Concurrent != cap(l.slots) {
		l.slots = nil
		if c.Concurrent > 0 {
			l.slots = make(chan struct{}, c.Concurrent)
		}
	}
}

// wait waits for a slot and a turn; free gives the slot back.
func (l *Lane) wait(ctx context.Context, lim *limits, changing bool) (free func(), err error) {
	free = func() {}
	var shared ledger.Slot
	if lim.slots != nil {
		if shared, err = l.waitSlots(ctx, lim, changing); err != nil {
			return nil, err
		}
		free = func() {
			if shared != nil {
				shared.Free()
			}
			<-lim.slots
		}
	}
	err = l.waitTurn(ctx, lim, changing)
	if err == nil && shared != nil && !shared.Stands() { // this process slept, or could not renew it while it waited for its turn
		err = away(time.Second, "the right to a call at the system was lost while it waited")
	}
	if err != nil {
		free()
		return nil, err
	}
	return free, nil
}

// waitSlots waits for a local slot, and then for a shared one; nil: this process has them to itself.
func (l *Lane) waitSlots(ctx context.Context, lim *limits, changing bool) (shared ledger.Slot, err error) {
	var giveUp <-chan time.Time
	if !changing {
		t := time.NewTimer(patience)
		defer t.Stop()
		giveUp = t.C
	}
	if err := enter(ctx, lim.slots, giveUp); err != nil || lim.turns == nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			<-lim.slots
		}
	}()
	if err := enter(ctx, lim.asking, giveUp); err != nil {
		return nil, err
	}
	defer func() { <-lim.asking }()
	for {
		shared, err := lim.turns.Slot(ctx, l.name, cap(lim.slots))
		if err := l.asked(ctx, err); err != nil || shared != nil {
			return shared, err
		}
		if err := sleep(ctx, ledger.SlotPoll/2+rand.N(ledger.SlotPoll), giveUp); err != nil { //nolint:gosec // G404: it spreads those who ask
			return nil, err
		}
	}
}

// enter takes a place in c.
func enter(ctx context.Context, c chan struct{}, giveUp <-chan time.Time) error {
	select {
	case c <- struct{}{}:
		return nil
	default:
	}
	select {
	case c <- struct{}{}:
		return nil
	case <-giveUp:
		return crowded()
	case <-ctx.Done():
		return unsent(ctx)
	}
}

// sleep sleeps for d, unless the call is given up before.
func sleep(ctx context.Context, d time.Duration, giveUp <-chan time.Time) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-giveUp:
		return crowded()
	case <-ctx.Done():
		return unsent(ctx)
	}
}

func crowded() error {
	return away(time.Second, "as many calls are under way as the system allows")
}

// waitTurn waits for a turn. One that is not used is given back.
func (l *Lane) waitTurn(ctx context.Context, lim *limits, changing bool) error {
	if lim.limiter == nil {
		return nil
	}
	delay, giveBack, err := l.reserve(ctx, lim, changing)
	if err != nil || delay == 0 {
		return err
	}
	if !changing && delay > patience {
		giveBack()
		return away(delay, "the pace of the system is used up")
	}
	if err := sleep(ctx, delay, nil); err != nil {
		giveBack()
		return err
	}
	return nil
}

// reserve reserves the next turn, which comes after delay.
func (l *Lane) reserve(ctx context.Context, lim *limits, changing bool) (delay time.Duration, giveBack func(), err error) {
	if lim.turns == nil {
		now := l.clock.Now()
		turn := lim.limiter.ReserveN(now, 1)
		return turn.DelayFrom(now), func() { turn.CancelAt(l.clock.Now()) }, nil
	}
	p := ledger.Pace{Every: lim.every}
	if !changing {
		p.AtMost = patience
	}
	turn, ok, err := lim.turns.Turn(ctx, l.name, p)
	if err := l.asked(ctx, err); err != nil {
		return 0, nil, err
	}
	giveBack = func() {
		if !ok {
			return // nothing is reserved
		}
		if err := lim.turns.ReturnTurn(ctx, l.name, turn); err != nil {
			l.log.DebugContext(ctx, "a turn passes unused", slog.String("system", l.name), slog.Any("err", err))
		}
	}
	return turn.Wait, giveBack, nil
}

// asked says what it means for a call that the limits were asked, and logs when that begins to fail and when it ends.
func (l *Lane) asked(ctx context.Context, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if failed := err != nil; failed != l.unasked {
		l.unasked = failed
		if failed {
			l.log.WarnContext(ctx, "the limits of a system cannot be asked: nothing is sent to it", slog.String("system", l.name), slog.Any("err", err))
		} else {
			l.log.InfoContext(ctx, "the limits of a system can be asked again", slog.String("system", l.name))
		}
	}
	if err != nil {
		return away(time.Second, "the limits of the system cannot be asked")
	}
	return nil
}

// unsent is for a call that was given up before anything left this machine.
func unsent(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return away(time.Second, "no turn at the system before the time was up")
	}
	return &ledger.CallError{Class: ledger.CallNotSent, Detail: "given up before it was sent", Err: ctx.Err()}
}
