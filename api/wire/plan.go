package wire

import (
	"encoding/json"
	"time"
)

// A Plan is what a rollback would do right now, newest entry first.
type Plan struct {
	WindowID    string         `json:"window_id"`
	ComputedAt  time.Time      `json:"computed_at"`
	Steps       []PlanStep     `json:"steps"`
	Counts      map[string]int `json:"counts"` // by verdict
	Fingerprint string         `json:"fingerprint"`
}

// A PlanStep is one entry of a plan.
type PlanStep struct {
	EntryID string `json:"entry_id"`
	Seq     int    `json:"seq"`
	System  string `json:"system"`
	Kind    string `json:"kind"`
	// Resource is null while it is not known.
	Resource json.RawMessage `json:"resource"`
	// Verdict is one of undo, already_undone, drifted, retained, manual, irreversible, in_doubt, blocked,
	// waived, void.
	Verdict string          `json:"verdict"`
	Detail  string          `json:"detail"`
	Now     json.RawMessage `json:"now,omitzero"` // what was seen; null: not there; left out: nothing was seen
	// NowDigest is what a person who agrees to the state that was seen says; empty: nothing was, or a newer undo changes it first.
	NowDigest string       `json:"now_digest,omitzero"`
	Next      string       `json:"next,omitzero"` // of a stuck entry: what to type; empty: nothing to decide
	Request   *PlanRequest `json:"request"`       // null: nothing would be sent
	// Overlap says which entry of another window has changed the resource since and goes first; null: none has.
	Overlap *Overlap `json:"overlap"`
	Waits   bool     `json:"waits,omitzero"` // blocked only while its third party does not answer: a rollback waits for it
	// Restore: it is the restore of the window's snapshot. BeforeRestore: it is marked to go before that.
	Restore       bool `json:"restore"`
	BeforeRestore bool `json:"before_restore"`
}

// An Overlap is an entry of another window that stands in the way of an undo.
type Overlap struct {
	WindowID string `json:"window_id"`
	Window   string `json:"window"` // its name
	EntryID  string `json:"entry_id"`
	Seq      int    `json:"seq"`
	State    string `json:"state"` // of that entry
	// Waits: that window's own rollback is about to settle it, and a rollback of this one waits for that.
	Waits bool `json:"waits"`
}

// A PlanRequest is one call as a person could send it by hand. It holds no credential.
type PlanRequest struct {
	Method     string            `json:"method"`
	URL        string            `json:"url"`
	Headers    map[string]string `json:"headers"`
	Body       json.RawMessage   `json:"body,omitzero"`              // left out: none
	Summary    string            `json:"summary"`                    // for people: a manual step, the argv of a command
	Credential *CredentialSlot   `json:"credential"`                 // null: the system needs none
	More       []CredentialSlot  `json:"more_credentials,omitempty"` // as credential, for a system that takes several at once
	Repeatable bool              `json:"repeatable"`                 // sending it twice does no more than sending it once
}

// A CredentialSlot says where the secret goes when a person sends a request by hand.
type CredentialSlot struct {
	Variable string `json:"variable"` // name of a shell variable
	Header   string `json:"header"`
	Prefix   string `json:"prefix"` // "Bearer ", "Basic ", or empty
}

// A VerifyResult compares every closed or applied entry with its recorded state.
type VerifyResult struct {
	Items []Verified `json:"items"`
}

// A Verified is one entry's comparison.
type Verified struct {
	EntryID string `json:"entry_id"`
	Seq     int    `json:"seq"`
	Verdict string `json:"verdict"` // same, drifted, unknown
	Detail  string `json:"detail"`
}
