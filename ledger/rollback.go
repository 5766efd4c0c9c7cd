package ledger

import (
	"time"

	"github.com/google/uuid"
)

// OnStuck says what a stuck entry holds up.
type OnStuck string

// The three choices.
const (
	OnStuckContinue OnStuck = "continue" // only what it depends on
	OnStuckSystem   OnStuck = "system"   // the rest of its system
	OnStuckHalt     OnStuck = "halt"     // everything
)

// MaxParallel bounds [Rollback.Parallel].
const MaxParallel = 64

// A Rollback is one run over a window, last entry first.
type Rollback struct {
	ID          uuid.UUID
	WindowID    uuid.UUID
	State       RollbackState
	Waiting     *Waiting // while waiting; nil otherwise
	Select      Selection
	OnStuck     OnStuck
	Parallel    int // at how many systems at once it may undo; each one newest first. 1: strictly newest first over all
	RequestedBy string
	Reason      string
	Again       bool // entries that an earlier run left stuck are looked at again
	Cancelling  bool // cancel was asked for; the runner ends it after what is in flight
	Complete    bool // when it finished, nothing that was selected was left open; [RollbackView] says what holds now
	CreatedAt   time.Time
	StartedAt   time.Time // zero: no runner has claimed it yet
	FinishedAt  time.Time // zero: not over
	Words       []Word    // second words that it asked for, at most one a system

	RestoreSnapshot bool // it was asked to restore the window's snapshot; see [Window]

	Trace Trace // of the call that started it

	Epoch      int64     // of the lease; grows with every claim
	Holder     string    // the runner that holds the lease
	LeaseUntil time.Time // zero: nobody holds it
}

// Partial reports whether the run covers a part of its window only: it does not fence.
func (r *Rollback) Partial() bool { return !r.Select.All() }

// A Word is an operator's second word, which a run asks for before it goes on at a system: it would delete more,
// or more of what the system holds, than the system's [Guard] allows.
type Word struct {
	System  string
	Detail  string // what was about to happen
	AskedAt time.Time
	By      string // token id of who gave it; empty: it was not given yet
	Reason  string
	GivenAt time.Time // zero: not given yet
}

// word returns the word that the run asked for at a system; nil: none.
func (r *Rollback) word(system string) *Word {
	for i := range r.Words {
		if r.Words[i].System == system {
			return &r.Words[i]
		}
	}
	return nil
}

// Waits reports whether the run waits for a second word before it goes on at a system.
func (r *Rollback) Waits(system string) bool {
	w := r.word(system)
	return w != nil && w.GivenAt.IsZero()
}

// Confirmed reports whether a second word was given at a system: nothing is guarded there any more.
func (r *Rollback) Confirmed(system string) bool {
	w := r.word(system)
	return w != nil && !w.GivenAt.IsZero()
}

// Waiting says why a run does nothing right now.
type Waiting struct {
	Why   string    // "perform_by", "second_word", "answer", "other_window", "system_away", "retry"
	Until time.Time // when it looks again; zero: when told
	On    string    // entry id, system name, or id of the other window
}

// Counts are the entries of a run by what became of them.
type Counts struct {
	Undone        int
	AlreadyUndone int
	Compensated   int
	Unverified    int
	ByHand        int
	Waived        int
	Retained      int
	Void          int
	Stuck         int
	Remaining     int // not closed and not stuck
}

// Open returns how many entries are not closed.
func (c Counts) Open() int { return c.Stuck + c.Remaining }

// plus adds two counts up.
func (c Counts) plus(o Counts) Counts {
	return Counts{
		Undone: c.Undone + o.Undone, AlreadyUndone: c.AlreadyUndone + o.AlreadyUndone, Compensated: c.Compensated + o.Compensated,
		Unverified: c.Unverified + o.Unverified, ByHand: c.ByHand + o.ByHand, Waived: c.Waived + o.Waived,
		Retained: c.Retained + o.Retained, Void: c.Void + o.Void, Stuck: c.Stuck + o.Stuck, Remaining: c.Remaining + o.Remaining,
	}
}
