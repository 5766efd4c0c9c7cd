package ledger

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// An Action says what the effect did to the resource.
type Action string

// The three actions.
const (
	ActionCreate Action = "create" // before is absence
	ActionUpdate Action = "update" // both images are documents
	ActionDelete Action = "delete" // after is absence
)

// OnRollback says what a rollback does with an entry.
type OnRollback string

// The two choices.
const (
	OnRollbackUndo   OnRollback = "undo"
	OnRollbackRetain OnRollback = "retain" // a protection: it stays, and is counted
)

// Reversibility grades how completely an entry can be taken back.
type Reversibility string

// The grades, best first.
const (
	ReversibleExact        Reversibility = "exact"        // the same resource, the same id, the same content
	ReversibleEquivalent   Reversibility = "equivalent"   // the same content; ids or versions may differ
	ReversibleCompensating Reversibility = "compensating" // somebody has to be told of a new id or secret
	ReversibleManual       Reversibility = "manual"       // a person does it
	ReversibleNone         Reversibility = "none"         // nothing takes it back
)

// A Draft is one side effect as a script posts it. Raw fields are compacted JSON, kept byte for byte.
type Draft struct {
	ID         uuid.UUID // the caller's own UUIDv7; zero: the ledger makes one
	System     string
	Kind       string
	Action     Action
	Resource   json.RawMessage // an object; which resource inside the system
	Before     Image
	After      Image
	Undo       json.RawMessage // recipe, where the kind needs one; empty: none
	Read       json.RawMessage // how to look, likewise
	Guard      json.RawMessage // conditional write, likewise
	Async      json.RawMessage // how to wait for a 202, likewise
	Verify     json.RawMessage // how long to look after the undo, likewise
	Capture    bool            // the ledger takes the images itself
	State      EntryState      // EntryIntended or EntryApplied
	Perform    time.Duration   // how long the intent may take to become an effect
	OnRollback OnRollback
	DependsOn  []uuid.UUID // entries of the same window that must not be undone before this one
	// BeforeRestore: it has to be taken back while the upgraded machine still stands, so it goes before the restore of
	// the window's snapshot where a rollback does that. It says nothing otherwise.
	BeforeRestore bool
	Restore       bool        // it is the restore of the window's snapshot; the ledger's own mark
	Owned         []string    // JSON pointers, relative to select; empty: the members of before ∪ after
	Masked        []string    // pointers whose value the third party never shows
	Volatile      []string    // pointers that change by themselves
	Unordered     []string    // pointers to arrays whose order means nothing
	Secret        []string    // pointers to secret values; see placesOf
	Encrypted     []Encrypted // those values; in the documents a fingerprint stands in the place of each
	DataKey       []byte      // what they are encrypted with, wrapped; kept beside the entry and outside its journal
	Reversible    Reversibility
	Tag           string
	Note          string
	Source        string // where in the script: "upgrade.sh:212"
	Trace         Trace  // of the call that recorded it; no part of what was posted
}

// An Entry is one recorded side effect.
type Entry struct {
	Draft

	WindowID    uuid.UUID
	Seq         int // place in the window, from 1, without gaps
	State       EntryState
	Reason      Reason  // why it is stuck; empty otherwise
	Detail      string  // one sentence for a person about the last move; never a third party's body
	Outcome     Outcome // how it was undone; empty otherwise
	PerformBy   time.Time
	Late        bool      // a fact that arrived once a rollback had begun or was over
	Doubted     bool      // judged by looking, as nobody had reported on it; the final look visits it again
	Warnings    []string  // said in the answer to the recording, and kept
	ResourceKey Key       // see [ResourceKey]; zero: matches nothing
	RecordedBy  string    // id of the token that recorded it
	Posted      [32]byte  // hash of the draft as posted, keyed if it has secrets: the same id with another content is a conflict
	RollbackID  uuid.UUID // the last run that claimed it; zero: none
	Attempts    []Attempt
	NowDigest   string    // of what the third party showed when it got stuck; empty: it showed nothing
	Now         Image     // what it showed, for the person who decides
	Decision    *Decision // a person's word that the next run acts on; nil: none
	NotBefore   time.Time // earliest next attempt while undoing; zero: at once
	Alias       *Alias    // the name that the effect or the undo gave the resource; nil: it kept its name

	// Lender is the entry that Before and the recipes are taken over from; nil: they are its own. Not stored.
	Lender *Draft

	RecordedAt time.Time
	AppliedAt  time.Time // zero: not reported as applied
	UndoneAt   time.Time // zero: not undone
	Journal    Head      // of the record that last touched it
}

// Closed reports whether nothing is left to do for the entry.
func (e *Entry) Closed() bool {
	switch e.State {
	case EntryUndone, EntryVoid, EntryWaived:
		return true
	case EntryApplied, EntryIntended, EntryUndoing, EntryStuck:
		return e.OnRollback == OnRollbackRetain
	default:
		return false
	}
}

// Counts reports whether the entry's before-image may be its resource's baseline.
func (e *Entry) Counts() bool {
	return e.State != EntryVoid && e.State != EntryWaived && e.OnRollback != OnRollbackRetain
}

// A Decision is a person's word on a stuck entry.
type Decision struct {
	Kind     DecisionKind
	Reason   string
	Seen     string // digest of the drifted state that the person was shown; empty: whatever is there
	Evidence string
	By       string // token id
	At       time.Time
	Attempts int // how many attempts had been made when it was said: it covers those, and none that came after
}

// A DecisionKind is what a person decided.
type DecisionKind string

// The four decisions.
const (
	DecideRetry DecisionKind = "retry" // try again, drift still stops it
	DecideUndo  DecisionKind = "undo"  // undo although it drifted
	DecideWaive DecisionKind = "waive" // leave the effect in place
	DecideDone  DecisionKind = "done"  // undone by hand
)

// An Attempt is one call of a remediator for one entry: look, act, look. Its row is durable before
// anything is sent; a resend is a new attempt.
type Attempt struct {
	N          int // from 1
	RollbackID uuid.UUID
	Epoch      int64  // of the lease that made it
	Seen       string // digest of the look just before the send; "absent" for absence; empty: there was no look
	Request    string // method and path, without values or credentials
	StartedAt  time.Time
	EndedAt    time.Time // zero: open. After a crash an open attempt means: sent or not, nobody knows
	Result     string    // accepted, gone, conflict, retry, ambiguous, auth, refused, denied, not_sent, settled
	Status     int       // HTTP status; 0: none
	Burnt      bool      // counts against the system's retry.attempts
	Detail     string
}

// Open reports whether the attempt has no outcome yet.
func (a Attempt) Open() bool { return a.EndedAt.IsZero() }
