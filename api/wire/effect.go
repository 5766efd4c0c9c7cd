package wire

import "encoding/json"

// An EffectRequest is the body of POST /v1/windows/{id}/effects: a call that the server makes, and what is recorded of it.
type EffectRequest struct {
	Call  EffectCall  `json:"call"`
	Entry EffectEntry `json:"entry"`
}

// An EffectCall is one request at a system, below its address and with its credential.
type EffectCall struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"` // escaped, with its query: "/config/apps?x=y"
	Headers map[string]string `json:"headers,omitzero"`
	Body    *string           `json:"body,omitzero"`        // nil: none, or in body_base64
	Bytes   []byte            `json:"body_base64,omitzero"` // what is no text; standard base64
	// Names: JSON pointers into the answer's body, by the member of the resource that stands there.
	Names map[string]string `json:"names,omitzero"`
}

// An EffectEntry is what the caller says of the entry. System is required; what the system's profile knows of the call
// may be left out. The images are taken by the server.
type EffectEntry struct {
	ID            string          `json:"id,omitzero"`
	System        string          `json:"system"`
	Kind          string          `json:"kind,omitzero"`
	Action        string          `json:"action,omitzero"`
	Resource      json.RawMessage `json:"resource,omitzero"`
	Before        json.RawMessage `json:"before,omitzero"` // only where there is no way to read it
	Undo          json.RawMessage `json:"undo,omitzero"`
	Read          json.RawMessage `json:"read,omitzero"`
	Guard         json.RawMessage `json:"guard,omitzero"`
	Async         json.RawMessage `json:"async,omitzero"`
	Verify        json.RawMessage `json:"verify,omitzero"`
	PerformWithin string          `json:"perform_within,omitzero"`
	OnRollback    string          `json:"on_rollback,omitzero"`
	DependsOn     []string        `json:"depends_on,omitzero"`
	Owned         []string        `json:"owned,omitzero"`
	Masked        []string        `json:"masked,omitzero"`
	Volatile      []string        `json:"volatile,omitzero"`
	Unordered     []string        `json:"unordered,omitzero"`
	Secret        []string        `json:"secret,omitzero"`
	Reversible    string          `json:"reversible,omitzero"`
	Tag           string          `json:"tag,omitzero"`
	Note          string          `json:"note,omitzero"`
	Source        string          `json:"source,omitzero"`
	BeforeRestore bool            `json:"before_restore,omitzero"`
}

// An Effect is what became of a call.
type Effect struct {
	Outcome string        `json:"outcome"` // read, applied, void, in_doubt, replayed
	Entry   *Entry        `json:"entry"`   // null: it was a read, or nothing was recorded as the third party could not be reached before
	Answer  *EffectAnswer `json:"answer"`  // what the third party answered; null: nothing
	Failure string        `json:"failure"` // why it answered nothing: not_sent, ambiguous, timeout, away, denied, fenced; empty otherwise
	Detail  string        `json:"detail"`  // one sentence for a person; empty: nothing is unusual
}

// An EffectAnswer is the answer of a third party.
type EffectAnswer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"` // the few that are passed on
	Body    *string           `json:"body"`    // null: it is no text, see body_base64
	Bytes   []byte            `json:"body_base64,omitzero"`
	Broken  string            `json:"broken"` // why the body is not whole; empty: it is
}

// EffectSystems says where calls can be made, in GET /v1/windows/{id}/effects.
type EffectSystems struct {
	Items []EffectSystem `json:"items"`
}

// An EffectSystem is one third party with an address.
type EffectSystem struct {
	System  string   `json:"system"`
	URL     string   `json:"url"`
	Effects []string `json:"effects"` // "METHOD /path*"; empty: no call is made there
}
