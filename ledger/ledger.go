package ledger

import (
	"log/slog"
)

// A Ledger is the domain's service: every change to a window goes through one of its methods.
// It is safe for concurrent use. Make one with New.
type Ledger struct {
	store   Store
	systems Systems
	clock   Clock
	log     *slog.Logger
	waker   Waker
	feed    *feed
	mortal  bool
}

// Config is what a Ledger needs. Every field is required, but for RefuseSnapshot.
type Config struct {
	Store   Store
	Systems Systems
	Clock   Clock
	Log     *slog.Logger
	Waker   Waker
	// RefuseSnapshot refuses windows that name a snapshot: nothing says that it is not restored over this ledger too.
	RefuseSnapshot bool
}

// A Waker tells a runner that a rollback is due. Losing a wake-up is harmless: a start and a slow sweep
// find every unfinished run.
type Waker interface {
	// Wake says that something happened to this rollback. It never blocks.
	Wake(r Rollback)
}

// New returns a Ledger over its parts.
func New(c Config) *Ledger {
	return &Ledger{store: c.Store, systems: c.Systems, clock: c.Clock, log: c.Log, waker: c.Waker, feed: newFeed(), mortal: c.RefuseSnapshot}
}
