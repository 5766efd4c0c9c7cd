package ledger

import "slices"

// A WindowState says how far a window is.
type WindowState string

const (
	// WindowOpen: takes intents and facts. An operator seals, keeps or rolls it back.
	WindowOpen WindowState = "open"
	// WindowSealed: takes facts, refuses new intents. An operator reopens, keeps or rolls it back.
	WindowSealed WindowState = "sealed"
	// WindowKept: the upgrade was accepted; effects stay. An operator may give it back (reopen, to sealed).
	WindowKept WindowState = "kept"
	// WindowRollingBack: a rollback works through it; fenced. The runner moves it on.
	WindowRollingBack WindowState = "rolling_back"
	// WindowRolledBack: every entry is closed. Final, but for a late fact.
	WindowRolledBack WindowState = "rolled_back"
	// WindowStuck: a rollback is over and some entry needs a person. Never shown as rolled back.
	WindowStuck WindowState = "stuck"
)

// An EntryState says what is known of one side effect.
type EntryState string

const (
	// EntryIntended: the effect was announced and not yet reported on. The call may or may not have
	// reached the third party; a rollback finds out by looking.
	EntryIntended EntryState = "intended"
	// EntryApplied: the effect is there, so its script says. A rollback moves it on.
	EntryApplied EntryState = "applied"
	// EntryVoid: the effect never happened. Closed; only a late fact brings it back.
	EntryVoid EntryState = "void"
	// EntryUndoing: a runner has an attempt on it. After a crash the next runner looks before it sends.
	EntryUndoing EntryState = "undoing"
	// EntryUndone: taken back; [Outcome] says how. Final.
	EntryUndone EntryState = "undone"
	// EntryStuck: cannot go on without a person; [Reason] says why.
	EntryStuck EntryState = "stuck"
	// EntryWaived: an operator left the effect in place, with a reason and a name. Final.
	EntryWaived EntryState = "waived"
)

// A RollbackState says how far one run over a window is.
type RollbackState string

const (
	// RollbackQueued: asked for; no runner has claimed it yet.
	RollbackQueued RollbackState = "queued"
	// RollbackRunning: a runner holds its lease and works.
	RollbackRunning RollbackState = "running"
	// RollbackWaiting: nothing can be done right now; [Waiting] says what it waits for and until when.
	RollbackWaiting RollbackState = "waiting"
	// RollbackPaused: an operator stopped it between two attempts; resume goes on exactly there.
	RollbackPaused RollbackState = "paused"
	// RollbackFinished: over. Complete says whether anything selected is left open.
	RollbackFinished RollbackState = "finished"
	// RollbackCancelled: over, by an operator's word.
	RollbackCancelled RollbackState = "cancelled"
)

// An Outcome says how an undone entry got there.
type Outcome string

const (
	// OutcomeUndone: the undo was sent and the third party shows the before-image again.
	OutcomeUndone Outcome = "undone"
	// OutcomeAlreadyUndone: the third party showed the before-image without a call of ours.
	OutcomeAlreadyUndone Outcome = "already_undone"
	// OutcomeCompensated: back, but with a new id or secret that somebody has to be told.
	OutcomeCompensated Outcome = "compensated"
	// OutcomeUnverified: the third party accepted the undo; it cannot be read back.
	OutcomeUnverified Outcome = "unverified"
	// OutcomeByHand: a person undid it and said so.
	OutcomeByHand Outcome = "by_hand"
)

// A Reason says why an entry is stuck.
type Reason string

const (
	// ReasonDrifted: the third party shows neither before nor after; somebody else changed it.
	ReasonDrifted Reason = "drifted"
	// ReasonBlocked: not allowed or not able to look or act: credentials, a denied address, a masked value.
	ReasonBlocked Reason = "blocked"
	// ReasonFailed: the third party refused the undo, or kept failing until the attempts were used up.
	ReasonFailed Reason = "failed"
	// ReasonInDoubt: nobody knows whether the effect, or its undo, happened, and no look can tell.
	ReasonInDoubt Reason = "in_doubt"
	// ReasonManual: a step for a person.
	ReasonManual Reason = "manual"
	// ReasonIrreversible: nothing can take it back.
	ReasonIrreversible Reason = "irreversible"
	// ReasonLate: a fact that arrived after the rollback was over; a person says whether it is undone.
	ReasonLate Reason = "late"
)

// A table lists the legal moves of one noun: from each state, the states it may go to. Every state
// has a row; a final one has an empty row.
type table[S ~string] []row[S]

type row[S ~string] struct {
	from S
	to   []S
	by   string // who moves it, for docs/states.md
}

func (t table[S]) allows(from, to S) bool {
	return slices.ContainsFunc(t, func(r row[S]) bool { return r.from == from && slices.Contains(r.to, to) })
}

var windowMoves = table[WindowState]{
	{WindowOpen, []WindowState{WindowSealed, WindowKept, WindowRollingBack}, "an operator"},
	{WindowOpen, []WindowState{WindowStuck}, "a partial rollback that left an entry stuck"},
	{WindowSealed, []WindowState{WindowOpen, WindowKept, WindowRollingBack}, "an operator"},
	{WindowSealed, []WindowState{WindowStuck}, "a partial rollback that left an entry stuck"},
	{WindowKept, []WindowState{WindowSealed}, "an operator (reopen)"},
	{WindowKept, []WindowState{WindowStuck}, "a partial rollback that left an entry stuck"},
	{WindowRollingBack, []WindowState{WindowRolledBack, WindowStuck}, "the runner, at the end of a rollback"},
	{WindowRollingBack, []WindowState{WindowSealed}, "a cancelled rollback that left nothing stuck"},
	{WindowRolledBack, []WindowState{WindowStuck}, "a late fact"},
	{WindowStuck, []WindowState{WindowRollingBack}, "an operator (rollback, resolve)"},
	{WindowStuck, []WindowState{WindowSealed}, "a cancelled rollback that left nothing stuck"},
	{WindowStuck, []WindowState{WindowOpen, WindowSealed, WindowKept}, "a partial rollback that left nothing stuck: back to what it was"},
}

var entryMoves = table[EntryState]{
	{EntryIntended, []EntryState{EntryApplied, EntryVoid}, "the script that announced it"},
	{EntryIntended, []EntryState{EntryUndoing, EntryVoid}, "the runner, by looking, once perform_by is past"},
	{EntryApplied, []EntryState{EntryUndoing}, "the runner"},
	{EntryApplied, []EntryState{EntryStuck}, "a fact that arrives after its rollback is over (late)"},
	{EntryVoid, []EntryState{EntryApplied}, "a late fact only: reported, or seen by a run's final look"},
	{EntryUndoing, []EntryState{EntryUndone, EntryStuck}, "the runner"},
	{EntryUndone, nil, ""},
	{EntryStuck, []EntryState{EntryUndoing, EntryWaived, EntryUndone}, "a person's word (retry, undo; waive; done)"},
	{EntryWaived, nil, ""},
}

var rollbackMoves = table[RollbackState]{
	{RollbackQueued, []RollbackState{RollbackRunning, RollbackPaused, RollbackCancelled}, "the runner claims; an operator pauses or cancels"},
	{RollbackRunning, []RollbackState{RollbackWaiting, RollbackPaused, RollbackFinished, RollbackCancelled}, "the runner; an operator pauses or cancels"},
	{RollbackWaiting, []RollbackState{RollbackRunning, RollbackPaused, RollbackFinished, RollbackCancelled}, "the runner; an operator pauses or cancels"},
	{RollbackPaused, []RollbackState{RollbackQueued, RollbackCancelled}, "an operator resumes or cancels"},
	{RollbackFinished, nil, ""},
	{RollbackCancelled, nil, ""},
}

// MayBecome reports whether a window may move from s to to.
func (s WindowState) MayBecome(to WindowState) bool { return windowMoves.allows(s, to) }

// MayBecome reports whether an entry may move from s to to.
func (s EntryState) MayBecome(to EntryState) bool { return entryMoves.allows(s, to) }

// MayBecome reports whether a rollback may move from s to to.
func (s RollbackState) MayBecome(to RollbackState) bool { return rollbackMoves.allows(s, to) }

// Over reports whether a rollback in this state has ended.
func (s RollbackState) Over() bool { return s == RollbackFinished || s == RollbackCancelled }
