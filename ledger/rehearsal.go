package ledger

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// A Rehearser is a [Remediator] that knows a harmless resource of its kinds: a rehearsal makes it, changes it and has it
// taken back.
type Rehearser interface {
	// Rehearse says how a canary of the kind is made under a name of its own. place has the members of a resource that
	// say where; empty: nobody said. It makes no call.
	Rehearse(kind, name string, place json.RawMessage) Canary
}

// A Canary is a resource that a rehearsal makes.
type Canary struct {
	Why      string          // why there is none; empty: there is one
	Resource json.RawMessage // what names it before it is made; the third party may choose the rest
	Chosen   []string        // members of the resource that the third party chooses, besides id
	// MadeAs is what its create makes, where that is more than the resource: a feature flag, of which the canary is the
	// switch in one environment. nil: the resource itself.
	MadeAs *CanaryMade
	// Before is what its update finds, where a read shows masks; not known: it is read.
	Before Image
	// CallFunc says how it is made (create) or changed (update), once it has the name that resource says.
	CallFunc func(a Action, resource json.RawMessage) (EffectCall, error)
}

// A CanaryMade is what the create of a canary makes.
type CanaryMade struct {
	Kind     string
	Resource json.RawMessage
}

// A RehearsalRequest asks for a rehearsal at one system.
type RehearsalRequest struct {
	System   string
	WindowID uuid.UUID       // whose entries at the system say which kinds and where; zero: all kinds
	Kinds    []string        // these alone; empty: as WindowID says
	Place    json.RawMessage // members of resources that say where; they go before those of the window's entries
	Perform  time.Duration   // how long each call may take, as of any entry; 0: the same default
}

// A Rehearsal is what came of one.
type Rehearsal struct {
	System     string
	For        uuid.UUID // the window that it was asked for; zero: none
	WindowID   uuid.UUID // its own; zero: there was nothing to make
	RollbackID uuid.UUID // that takes it back; zero: none was begun
	Over       bool      // nothing is under way any more
	Canaries   []Rehearsed
	Left       []NotRehearsed // kinds that have no canary
	Earlier    []EarlierRehearsal
}

// An EarlierRehearsal is one of the same system that had not ended, and is taken back too.
type EarlierRehearsal struct {
	WindowID uuid.UUID
	State    WindowState
	Remains  []Remains // of its canaries
}

// Proven reports whether something was rehearsed, and all of it went well.
func (r *Rehearsal) Proven() bool {
	for i := range r.Canaries {
		for _, s := range r.Canaries[i].Steps {
			if s.Result != RehearsalOK {
				return false
			}
		}
	}
	return len(r.Canaries) > 0
}

// NotRehearsed is a kind without a canary.
type NotRehearsed struct{ Kind, Why string }

// Rehearsed is one canary.
type Rehearsed struct {
	Kind     string
	Name     string          // in the text of the canary, wherever the kind has a place for it
	Resource json.RawMessage // as far as it is known
	Steps    []RehearsalStep // in their order, always all six
	Remains  *Remains        // what was left behind; nil: nothing

	create, update uuid.UUID // its entries; zero: there is none
}

// Remains is a canary that is, or may be, still there.
type Remains struct {
	EntryID  uuid.UUID
	Resource json.RawMessage // as far as it is known
	Why      string
	Request  Request // that removes it; Method is empty where nobody knows one
}

// The steps of a rehearsal, in their order.
const (
	StepRead       = "read"
	StepCreate     = "create"
	StepUpdate     = "update"
	StepUndoUpdate = "undo_update"
	StepUndoCreate = "undo_create"
	StepGone       = "gone"
)

var rehearsalSteps = []string{StepRead, StepCreate, StepUpdate, StepUndoUpdate, StepUndoCreate, StepGone}

// A RehearsalResult says what one step came to.
type RehearsalResult string

// The results of a step.
const (
	RehearsalOK       RehearsalResult = "ok"
	RehearsalRefused  RehearsalResult = "refused" // by the third party (401, 403 and the like) or by this server's configuration
	RehearsalFailed   RehearsalResult = "failed"
	RehearsalDrifted  RehearsalResult = "drifted"   // somebody else changed the canary meanwhile
	RehearsalInDoubt  RehearsalResult = "in_doubt"  // nobody knows
	RehearsalPending  RehearsalResult = "pending"   // under way
	RehearsalNotTried RehearsalResult = "not_tried" // what goes before it did not work
)

// A RehearsalStep is one step of a canary.
type RehearsalStep struct {
	Step   string
	Result RehearsalResult
	Status int    // what the third party answered; 0: not known
	Detail string // one sentence for a person; empty: nothing is unusual
}

// step returns one of the canary's steps by its name.
func (c *Rehearsed) step(name string) *RehearsalStep {
	for i := range c.Steps {
		if c.Steps[i].Step == name {
			return &c.Steps[i]
		}
	}
	c.Steps = append(c.Steps, RehearsalStep{Step: name, Result: RehearsalNotTried})
	return &c.Steps[len(c.Steps)-1]
}

func newRehearsed(kind, name string, resource json.RawMessage) Rehearsed {
	c := Rehearsed{Kind: kind, Name: name, Resource: resource}
	for _, s := range rehearsalSteps {
		c.step(s)
	}
	return c
}

// judgeMade says what a call that made or changed the canary came to.
func judgeMade(step string, e *Effected) RehearsalStep {
	out := RehearsalStep{Step: step, Detail: e.Detail}
	if e.Answer != nil {
		out.Status = e.Answer.Status
	}
	switch e.Outcome {
	case EffectApplied:
		out.Result = RehearsalOK
	case EffectVoid:
		out.Result = RehearsalFailed
		if e.Answer != nil || e.Failure == string(CallDenied) {
			out.Result = RehearsalRefused
		}
	case EffectInDoubt, EffectReplayed, EffectRead:
		out.Result = RehearsalInDoubt
	}
	return out
}

// judgeRecorded is judgeMade for an entry alone, as it stands in the window later.
func judgeRecorded(step string, e *Entry) RehearsalStep {
	out := RehearsalStep{Step: step, Result: RehearsalOK}
	switch {
	case e.State == EntryVoid:
		out.Result, out.Detail = RehearsalRefused, e.Detail
	case e.AppliedAt.IsZero():
		out.Result, out.Detail = RehearsalInDoubt, e.Detail
	}
	return out
}

// judgeUndone says what the undo of an entry came to; over: its rollback is.
func judgeUndone(step string, e *Entry, over bool) RehearsalStep {
	out := RehearsalStep{Step: step, Result: RehearsalNotTried, Detail: e.Detail}
	var last Attempt
	if n := len(e.Attempts); n > 0 {
		last = e.Attempts[n-1]
		out.Status = last.Status
	}
	switch e.State {
	case EntryUndone:
		out.Result = judgeOutcome(e)
		if out.Result == RehearsalOK {
			out.Detail = ""
		}
	case EntryVoid:
		out.Detail = "there was nothing to take back"
	case EntryStuck:
		out.Result = judgeStuck(e, last)
	case EntryWaived:
	case EntryIntended, EntryApplied, EntryUndoing:
		out.Result = RehearsalPending
		if over {
			out.Result, out.Detail = RehearsalNotTried, "what was made after it is not taken back"
		}
	}
	return out
}

// judgeOutcome: an undo that found everything as it was before, without a call of its own, proves nothing.
func judgeOutcome(e *Entry) RehearsalResult {
	switch e.Outcome {
	case OutcomeUndone, OutcomeCompensated:
		return RehearsalOK
	case OutcomeAlreadyUndone:
		if len(e.Attempts) == 0 {
			return RehearsalDrifted
		}
		return RehearsalOK // an attempt whose answer was lost
	case OutcomeUnverified:
		return RehearsalInDoubt
	case OutcomeByHand:
	}
	return RehearsalNotTried
}

func judgeStuck(e *Entry, last Attempt) RehearsalResult {
	switch {
	case e.Reason == ReasonDrifted:
		return RehearsalDrifted
	case e.Reason == ReasonInDoubt:
		return RehearsalInDoubt
	case e.Reason == ReasonBlocked, last.Status == 401 || last.Status == 403:
		return RehearsalRefused
	default:
		return RehearsalFailed
	}
}
