package ledger

import (
	"log/slog"
)

// A Ledger is the domain's service: every change to a window goes through one of its methods.
// It is safe for concurrent use. Make one with New.
type Ledger struct {
	store       Store
	systems     Systems
	clock       Clock
	log         *slog.Logger
	waker       Waker
	feed        *feed
	mortal      bool
	replicated  bool
	credentials *credentials
	cipher      Cipher // nil: entries with secret fields are refused
}

// Config is what a Ledger needs. Every field but Cipher and the switches is required.
type Config struct {
	Store   Store
	Systems Systems
	Clock   Clock
	Log     *slog.Logger
	Waker   Waker
	// RefuseSnapshot refuses windows that name a snapshot: nothing says that it is not restored over this ledger too.
	RefuseSnapshot bool
	Cipher         Cipher // for secret fields; nil: entries that have some are refused
	Replicated     bool   // other processes may serve the same store at the same time
}

// A Waker tells a runner that a rollback is due. Losing a wake-up is harmless: a start and a slow sweep
// find every unfinished run.
type Waker interface {
	// Wake says that something happened to this rollback. It never blocks.
	Wake(r Rollback)
}

// New returns a Ledger over its parts.
func New(c Config) *Ledger {
	return &Ledger{
		store: c.Store, systems: vaulted{c.Systems, c.Cipher}, clock: c.Clock, log: c.Log, waker: c.Waker, feed: newFeed(), cipher: c.Cipher, replicated: c.Replicated,
		mortal: c.RefuseSnapshot, credentials: newCredentials(c.Clock),
	}
}
