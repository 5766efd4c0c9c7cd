package remediators

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sideledger/ledger"
)

// silentLimit is how often in a row a system may give no answer before its breaker opens.
const silentLimit = 5

// patience is how long a read waits for its turn at a paced system before it says "away". A changing
// call has a look behind it and waits as long as its context allows: sent back, it would have to look
// again, use the turn up, and never get one of its own.
const patience = 10 * time.Second

// A Result says how a call through a lane ended.
type Result string

const (
	// ResultAnswered: the third party said something, whatever it was. Closes the breaker.
	ResultAnswered Result = "answered"
	// ResultSilent: no answer. Five in a row open the breaker.
	ResultSilent Result = "silent"
	// ResultNothing: it was our own doing (a refused address, a cancelled call); says nothing about the system.
	ResultNothing Result = "nothing"
)

// A Lane is the condition of one system: its pace, its breaker, and whether it may be called at all.
// It is safe for concurrent use.
type Lane struct {
	name  string
	clock ledger.Clock
	log   *slog.Logger

	mu        sync.Mutex
	disabled  bool
	parked    bool
	open      time.Duration // how long the breaker stays open
	limiter   *rate.Limiter // nil: unpaced
	slots     chan struct{} // nil: no limit
	silent    int           // calls without an answer, in a row
	openUntil time.Time     // zero: closed
	probing   bool          // one call is finding out whether it is back
	waiting   int           // calls that wait for their turn
}

func newLane(name string, clock ledger.Clock, log *slog.Logger, c SystemConfig) *Lane {
	l := &Lane{name: name, clock: clock, log: log}
	l.configure(c)
	return l
}

// configure takes over the constants of a configuration; breaker and park state stay.
func (l *Lane) configure(c SystemConfig) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disabled = c.Disabled
	l.open = c.Retry.backoff().Cap
	switch {
	case c.Rate.PerSecond == 0:
		l.limiter = nil
	case l.limiter == nil:
		l.limiter = rate.NewLimiter(rate.Limit(c.Rate.PerSecond), 1)
	default:
		l.limiter.SetLimitAt(l.clock.Now(), rate.Limit(c.Rate.PerSecond))
	}
	if c.Rate.Concurrent != cap(l.slots) {
		l.slots = nil
		if c.Rate.Concurrent > 0 {
			l.slots = make(chan struct{}, c.Rate.Concurrent)
		}
	}
}

// Enter waits for a turn and asks whether the system may be called now. The caller tells leave, once,
// how the call ended. An error is a [ledger.CallError] of class CallDenied (disabled) or
// CallAway (breaker open, pace used up); nothing may be sent then, and leave is nil.
func (l *Lane) Enter(ctx context.Context, changing bool) (leave func(Result), err error) {
	l.mu.Lock()
	err = l.refuse()
	slots, limiter := l.slots, l.limiter
	if err == nil {
		l.waiting++
	}
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	free, err := l.wait(ctx, slots, limiter, changing)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
	if err != nil {
		return nil, err
	}
	if err := l.refuse(); err != nil { // it may have changed while we waited
		free()
		return nil, err
	}
	probe := !l.openUntil.IsZero()
	l.probing = probe
	return func(r Result) { free(); l.leave(ctx, r, probe) }, nil
}

// wait waits for a slot and a turn; free gives the slot back.
func (l *Lane) wait(ctx context.Context, slots chan struct{}, limiter *rate.Limiter, changing bool) (free func(), err error) {
	if err := waitSlot(ctx, slots, changing); err != nil {
		return nil, err
	}
	free = func() {
		if slots != nil {
			<-slots
		}
	}
	if err := l.waitTurn(ctx, limiter, changing); err != nil {
		free()
		return nil, err
	}
	return free, nil
}

// refuse says why the system may not be called now; nil: it may. Called under mu.
func (l *Lane) refuse() error {
	switch now := l.clock.Now(); {
	case l.disabled:
		return &ledger.CallError{Class: ledger.CallDenied, Detail: "the system is disabled in the configuration"}
	case l.openUntil.After(now):
		return away(l.openUntil.Sub(now), "the system gave no answer five times in a row")
	case l.probing:
		return away(time.Second, "one call is finding out whether the system is back")
	}
	return nil
}

func away(after time.Duration, why string) error {
	return &ledger.CallError{Class: ledger.CallAway, RetryAfter: after, Detail: why}
}

func waitSlot(ctx context.Context, slots chan struct{}, changing bool) error {
	if slots == nil {
		return nil
	}
	select {
	case slots <- struct{}{}:
		return nil
	default:
	}
	var giveUp <-chan time.Time
	if !changing {
		t := time.NewTimer(patience)
		defer t.Stop()
		giveUp = t.C
	}
	select {
	case slots <- struct{}{}:
		return nil
	case <-giveUp:
		return away(time.Second, "as many calls are under way as the system allows")
	case <-ctx.Done():
		return unsent(ctx)
	}
}

func (l *Lane) waitTurn(ctx context.Context, limiter *rate.Limiter, changing bool) error {
	if limiter == nil {
		return nil
	}
	now := l.clock.Now()
	turn := limiter.ReserveN(now, 1)
	delay := turn.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	if !changing && delay > patience {
		turn.CancelAt(now)
		return away(delay, "the pace of the system is used up")
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		turn.CancelAt(l.clock.Now())
		return unsent(ctx)
	}
}

// unsent is for a call that was given up before anything left this machine.
func unsent(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return away(time.Second, "no turn at the system before the time was up")
	}
	return &ledger.CallError{Class: ledger.CallNotSent, Detail: "given up before it was sent", Err: ctx.Err()}
}

func (l *Lane) leave(ctx context.Context, r Result, probe bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if probe {
		l.probing = false
	}
	switch r {
	case ResultAnswered:
		if !l.openUntil.IsZero() {
			l.log.InfoContext(ctx, "system answers again", "system", l.name)
		}
		l.silent, l.openUntil = 0, time.Time{}
	case ResultSilent:
		l.silent++
		if l.silent >= silentLimit && (probe || l.openUntil.IsZero()) {
			l.openUntil = l.clock.Now().Add(l.open)
			l.log.WarnContext(ctx, "system gives no answer, breaker open", "system", l.name, "duration_ms", l.open.Milliseconds())
		}
	case ResultNothing:
	}
}

func (l *Lane) park(parked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parked = parked
}

// status adds the lane's condition to a system.
func (l *Lane) status(sys ledger.System) ledger.SystemStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := ledger.SystemStatus{System: sys, Breaker: "closed", OpenUntil: l.openUntil, Parked: l.parked, Waiting: l.waiting}
	if !l.openUntil.IsZero() {
		st.Breaker = "open"
	}
	return st
}
