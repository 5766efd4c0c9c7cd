package remediators

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sideledger/ledger"
)

// silentLimit is how often in a row a system may give no answer before its breaker opens.
const silentLimit = 5

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
	limits    limits
	unasked   bool      // the limits could not be asked the last time
	silent    int       // calls without an answer, in a row
	openUntil time.Time // zero: closed
	probing   bool      // one call is finding out whether it is back
	waiting   int       // calls that wait for their turn
}

func newLane(name string, clock ledger.Clock, log *slog.Logger, c SystemConfig) *Lane {
	l := &Lane{name: name, clock: clock, log: log, limits: newLimits()}
	l.configure(c)
	return l
}

// configure takes over the constants of a configuration; breaker and park state stay.
func (l *Lane) configure(c SystemConfig) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disabled = c.Disabled
	l.open = c.Retry.backoff().Cap
	l.limits.configure(c.Rate, l.clock)
}

// share lets the limits of the system hold over all processes.
func (l *Lane) share(turns ledger.Turns) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits.turns = turns
}

// Enter waits for a turn and asks whether the system may be called now. The caller tells leave, once,
// how the call ended. An error is a [ledger.CallError] of class CallDenied (disabled) or
// CallAway (breaker open, pace used up, limits not to be asked); nothing may be sent then, and leave is nil.
func (l *Lane) Enter(ctx context.Context, changing bool) (leave func(Result), err error) {
	l.mu.Lock()
	err = l.refuse()
	lim := l.limits
	if err == nil {
		l.waiting++
	}
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	free, err := l.wait(ctx, &lim, changing)
	probe, err := l.begin(err)
	if err != nil {
		if free != nil {
			free()
		}
		return nil, err
	}
	return func(r Result) { free(); l.leave(ctx, r, probe) }, nil
}

// begin ends the wait of a call. What keeps it from being sent may have come up meanwhile.
func (l *Lane) begin(waited error) (probe bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
	if waited != nil {
		return false, waited
	}
	if err := l.refuse(); err != nil {
		return false, err
	}
	l.probing = !l.openUntil.IsZero()
	return l.probing, nil
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
