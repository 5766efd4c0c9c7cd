package ledgertest

import (
	"sync"
	"time"

	"sideledger/ledger"
)

// A Clock stands still until it is told to move. It is safe for concurrent use; make one with NewClock.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// start is where a new Clock stands.
var start = time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)

// NewClock returns a clock that stands at 2026-11-21 22:00 UTC, a Saturday.
func NewClock() *Clock { return &Clock{now: start} }

// Now returns where the clock stands. The method value c.Now is a [ledger.Clock].
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set puts the clock to t, which may be in the past.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Advance moves the clock by d and returns where it stands then.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// Ledger returns the clock as the ledger takes it.
func (c *Clock) Ledger() ledger.Clock { return c.Now }
