package ledger

import (
	"time"

	"github.com/google/uuid"
)

// A WindowDraft is a maintenance window as an operator posts it.
type WindowDraft struct {
	Name     string
	Ticket   string
	Owner    string
	OpensAt  time.Time     // zero: now
	EndsAt   time.Time     // zero: not planned
	Buffer   time.Duration // kept free at the end for turning back
	Snapshot string        // reference to the snapshot taken before the window
	Labels   map[string]string
	// Restore is how a rollback restores the snapshot where it is asked to, as the entry that it will be; nil: it cannot.
	// It is set when the window is opened, and never changes.
	Restore *Draft
}

// A Window is one maintenance window: the unit that an operator rolls back. Its row is the fence that
// orders everything recorded in it.
type Window struct {
	WindowDraft

	ID         uuid.UUID
	State      WindowState
	Resume     WindowState // what a window that a partial rollback left stuck goes back to; empty: fenced
	RollbackID uuid.UUID   // the running or the last rollback; zero: none yet
	LastSeq    int         // number of entries
	Head       Head        // of its journal
	CreatedAt  time.Time
	SealedAt   time.Time // zero: never sealed
	Pruned     *Pruning  // what retention removed; nil: nothing
}

// A Pruning says what retention removed of a window: the entries up to LastSeq with their attempts, the runs but the last, and
// the journal's records before Number. What the window takes in later stands behind it.
type Pruning struct {
	Number  int64    // of the record that says so, with which the journal begins
	Follows [32]byte // hash of the record before it
	LastSeq int      // of the entries that were removed, the newest; 0: none were
	At      time.Time
	Counts  Counts // of the entries that were removed
}

// TakesIntents reports whether a new intent may be recorded.
func (w *Window) TakesIntents() bool {
	return w.State == WindowOpen || w.State == WindowStuck && w.Resume == WindowOpen
}

// Fenced reports whether a full rollback has begun or is over: facts are late from here on.
func (w *Window) Fenced() bool {
	switch w.State {
	case WindowRollingBack, WindowRolledBack:
		return true
	case WindowStuck:
		return w.Resume == ""
	case WindowOpen, WindowSealed, WindowKept:
		return false
	default:
		return true
	}
}

// A Head is the newest record of a window's journal.
type Head struct {
	Number int64    // from 1, without gaps; 0: no record yet
	Hash   [32]byte // see package journal
}
