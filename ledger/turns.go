package ledger

import (
	"context"
	"time"
)

// SlotPoll is how soon whoever got no slot should ask again. A slot that becomes free is kept for it for a few times as long.
const SlotPoll = 30 * time.Millisecond

// Turns are the limits of systems that hold over all processes of a ledger. They are safe for concurrent use. An error means
// that nobody could be asked: nothing may be sent then. No call of them waits for longer than some seconds, whatever ctx says, and
// what was asked for is known at its end, also if ctx has ended meanwhile.
type Turns interface {
	// Turn reserves the next turn of a system. False: it would come later than the pace's AtMost; nothing is reserved then, and
	// Wait of the turn says how late it would be.
	Turn(ctx context.Context, system string, p Pace) (Turn, bool, error)
	// ReturnTurn gives back a turn that is not used. It is used again unless somebody has asked since; then it passes unused.
	ReturnTurn(ctx context.Context, system string, t Turn) error
	// Slot takes one of n slots of a system. nil: others have all of them, or were here first. See SlotPoll.
	Slot(ctx context.Context, system string, n int) (Slot, error)
}

// A Pace is what a turn is asked for with.
type Pace struct {
	Every  time.Duration // between two turns of the system; whole microseconds, above 0
	AtMost time.Duration // how long a turn may be waited for; 0: as long as it takes
}

// A Turn is a moment from which on one call may be sent to a system.
type Turn struct {
	Asked time.Time     // by the clock of whoever keeps the turns; whole microseconds
	Wait  time.Duration // from Asked to the turn; 0: it is now
	Every time.Duration // the pace that it was reserved at
}

// A Slot is the right to have one call under way at a system. A process that dies loses it after [LeaseTime].
type Slot interface {
	// Stands reports whether nobody else can have the slot. It asks this process's clock and nobody else.
	Stands() bool
	// Free gives the slot back. What hinders that is not reported: the slot ends by itself then, after [LeaseTime]. It is called once.
	Free()
}

// Deletions count undos that delete, over all runs of a ledger, for the guard of a system. They are safe for concurrent use.
type Deletions interface {
	// CountDeletion counts one more deletion at a system if fewer than limit (above 0) were counted there in the last minute, or if it
	// is to be counted in any case, and reports whether it did. No two calls get the last place. An error means that nobody could be asked:
	// nothing may be sent then.
	CountDeletion(ctx context.Context, system string, limit int, anyway bool) (bool, error)
}
