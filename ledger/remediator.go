package ledger

import (
	"context"
	"encoding/json"
	"time"
)

// A System is one configured third party. It carries no credential: the outgoing client adds that.
type System struct {
	Name       string
	Remediator string          // which plugin serves it: http, manual, command
	Profile    string          // for http: the profile that describes its kinds; empty: none
	URL        string          // without user information; empty for manual and command
	Effects    []string        // calls of scripts that may be made through the ledger, as "METHOD /path*"; empty: none
	Place      json.RawMessage // members of resources that say where a rehearsal is, as far as nobody else does; nil: nobody
	Disabled   bool            // entries stay; nothing new is recorded and nothing is sent
	Attempts   int             // answers that may be burnt on one entry before it is stuck, failed
	Backoff    Backoff
	Guard      Guard
}

// A Guard bounds what a run may do at one system before an operator gives a second word. The zero value bounds
// nothing.
type Guard struct {
	Deletions int     // undos that delete, at this system within a minute, by all runs together; 0: as many as there are
	Share     float64 // of what the system holds that one run may undo, between 0 and 1; 0: all of it
}

// Backoff is the pace of retries: full jitter between 0 and min(Cap, Base·2ⁿ).
type Backoff struct {
	Base time.Duration
	Cap  time.Duration // also how long a system's breaker stays open
}

// SystemStatus is a system and the condition of its lane.
type SystemStatus struct {
	System
	Breaker   string    // "closed", "open"
	OpenUntil time.Time // while the breaker is open; zero otherwise
	// Credential is what was found out last about its credential; nil: nothing, or there is no way.
	Credential *Credential
	Parked     bool // it answered 401 or 403: no calls until the next rollback
}

// Systems finds the configured third parties and the remediator bound to each.
// It is safe for concurrent use.
type Systems interface {
	// Find returns the system and its remediator; CodeNotFound if there is none of that name.
	Find(name string) (System, Remediator, error)
	// List returns all systems in the order of their names.
	List() []SystemStatus
	// Park notes (true) that a system refused our credential, or forgets it (false). It is shown in the list;
	// the run that met the refusal makes no further calls there, others find out for themselves.
	Park(name string, parked bool)
}

// A Remediator reads, undoes and previews the entries of one system. It holds no credential and makes
// no call but through the client it was given. Methods are safe for concurrent use. Errors of Look and
// Undo are either a [CallError], which says what is known about the call, or mean "state unknown".
type Remediator interface {
	// Kinds lists the kinds it serves, for messages; "" stands for any kind.
	Kinds() []string
	// Check examines a draft offline: is the recipe complete, how reversible is it, which resource is
	// it. It makes no call. An error is CodeInvalid and names the field.
	Check(d *Draft) (Grading, error)
	// Look reads the resource now. It changes nothing anywhere.
	Look(ctx context.Context, e *Entry) (Look, error)
	// Preview says what Undo would send, from what was just seen, without credentials.
	// An error is a [CallError] of class CallDenied when the undo must not be sent (a masked value).
	Preview(e *Entry, seen Look) (Request, error)
	// Undo makes at most one changing call, conditional on what was seen where the third party can; or several
	// of which each is safe to repeat and each state on the way is one that Look knows (Look.Between).
	Undo(ctx context.Context, e *Entry, seen Look) (Answer, error)
}

// A Counter is a [Remediator] that can tell how many resources its system holds.
type Counter interface {
	// Held counts them now; known is false if there is no way to. Errors are as those of Look.
	Held(ctx context.Context) (n int, known bool, err error)
}

// A Grading is what a remediator says about an entry without looking at the third party.
type Grading struct {
	Reversible  Reversibility
	Warnings    []string        // shown in the answer to the recording
	ResourceKey json.RawMessage // names the resource; empty: the posted resource does. "null": matches nothing
	CanLook     bool            // false: there is no way to read the resource
	// Denied are requests of the recipe that this system will certainly never be sent. They are in Warnings
	// too; the intent of a recorder is refused over the first of them.
	Denied []Denial
}

// A Denial is a request of a recipe that is outside what its system allows, whatever a look brings.
type Denial struct {
	Field string // where it stands in the posted entry: "/undo/path"
	Msg   string // what is wrong and how to put it right; never a posted value
}

// A Look is what a third party showed of one resource.
type Look struct {
	Known bool  // false: there is no way to look at this entry; every other field is empty
	Now   Image // relative to select; Absent when it is not there
	// Proven says that absence is real: the parent is visible to the same credential. A 404 without it
	// may as well mean "not for you".
	Proven    bool
	Scope     Scope
	Validator string        // ETag or version for a conditional write; empty: none was sent
	Patience  time.Duration // how long to go on looking for the before-image after an undo; 0: one look
	Stable    time.Duration // how long it must then stay so; 0: one look
	// Alias is the name under which the resource was found, if that is another than [Entry.Where]: the members
	// that differ. It is what an undo whose answer was lost brought back, or somebody else did.
	Alias json.RawMessage
	// Between: it shows a state that an undo of ours passes through on its way from after to before.
	Between bool
	// Lost says why the before-image cannot come back any more (its end is past); empty: it can.
	Lost string

	// Of an entry with secret fields Now is hidden; these hold what stood there, in memory only.
	bare   Secret            // Now as it was shown
	shown  []byte            // Now as it was hidden
	values map[string]Secret // the values, by fingerprint
}

// A Scope says which part of an image an entry answers for. Pointers are relative to select.
type Scope struct {
	Owned     []string // empty: the members of before ∪ after
	Masked    []string
	Volatile  []string
	Unordered []string

	fingerprintFunc func(v any) string // of a decoded value; nil: the entry has no secret fields
}

// A Request is one call as a person could send it by hand. It holds no credential.
type Request struct {
	Method  string // empty: there is nothing to send
	URL     string
	Header  map[string]string
	Body    json.RawMessage // empty: none
	Summary string          // for people: the instructions of a manual step, the argv of a command
	// Credential names the variable that a shell line uses in place of the secret, and where it goes.
	Credential CredentialSlot
	More       []CredentialSlot // as Credential, for a system that takes several at once
	// Repeatable says that sending it twice does no more than sending it once: PUT, DELETE, guarded.
	Repeatable bool
}

// A CredentialSlot says how a person adds the secret to a request by hand.
type CredentialSlot struct {
	Variable string // name of a shell variable; empty: the system needs none
	Header   string // header name
	Prefix   string // "Bearer ", "Basic ", ""
}

// An Answer is what a third party said to an undo.
type Answer struct {
	Class      AnswerClass
	Status     int           // HTTP status; 0: none
	RetryAfter time.Duration // 0: it did not say
	Detail     string        // for people; never a body
	Residue    []string      // what somebody has to be told: a new id, a new secret. Makes the outcome compensated
	// Alias is the name under which the undo brought the resource back; see [Alias]. It makes the outcome
	// compensated too.
	Alias json.RawMessage
}

// An AnswerClass says what an answer means for the entry.
type AnswerClass string

const (
	// AnswerAccepted: the third party says it is done. A look still decides.
	AnswerAccepted AnswerClass = "accepted"
	// AnswerGone: it says there is nothing to undo. Counts only with proof.
	AnswerGone AnswerClass = "gone"
	// AnswerConflict: the condition did not hold; look before believing it.
	AnswerConflict AnswerClass = "conflict"
	// AnswerRetry: not executed; may be sent again after RetryAfter.
	AnswerRetry AnswerClass = "retry"
	// AnswerFailed: it answered that it broke (500); the call is over, its effect unknown: look.
	AnswerFailed AnswerClass = "failed"
	// AnswerRefused: it will never accept this call (4xx, a redirect, a false body).
	AnswerRefused AnswerClass = "refused"
	// AnswerManual: a person has to do it; nothing was sent.
	AnswerManual AnswerClass = "manual"
)

// A CallError says what is known about a call that brought no usable answer.
type CallError struct {
	Class      CallClass
	Status     int           // 0: none
	RetryAfter time.Duration // for CallAway and CallAnswered: when to try again; 0: not said
	Detail     string        // for people; never a body or a credential
	Err        error         // cause, for the log
}

// A CallClass sorts calls that brought no usable answer.
type CallClass string

const (
	// CallNotSent: nothing left this machine (connection refused, no route, name not found).
	CallNotSent CallClass = "not_sent"
	// CallAmbiguous: sent, and no answer came: it may have happened.
	CallAmbiguous CallClass = "ambiguous"
	// CallAway: the system's breaker is open, or its pace is used up; nothing was sent.
	CallAway CallClass = "away"
	// CallAuth: 401 or 403.
	CallAuth CallClass = "auth"
	// CallDenied: not sent for good: a denied address, outside allow, a masked value, a disabled system. Or sent and not
	// carried out, until a person has done something at the third party: given its approval.
	CallDenied CallClass = "denied"
	// CallAnswered: it answered, and the answer is of no use: a 5xx or a broken body on a read.
	CallAnswered CallClass = "answered"
)

// Error says what is known, without bodies or secrets.
func (e *CallError) Error() string {
	s := string(e.Class)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }
