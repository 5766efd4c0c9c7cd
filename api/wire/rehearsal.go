package wire

import "encoding/json"

// A RehearsalRequest is the body of POST /v1/rehearsals.
type RehearsalRequest struct {
	System string   `json:"system"`
	Window string   `json:"window,omitzero"` // whose entries say which kinds and where; empty: all kinds
	Kinds  []string `json:"kinds,omitzero"`  // these alone
	// Place: members of resources that say where a canary is to stand: {"owner": "acme", "repo": "shop"}.
	Place         json.RawMessage `json:"place,omitzero"`
	PerformWithin string          `json:"perform_within,omitzero"` // how long each call may take
}

// A Rehearsal is what came of one at one system.
type Rehearsal struct {
	System       string             `json:"system"`
	Window       *string            `json:"window"`      // that it was asked for; null: none
	WindowID     *string            `json:"window_id"`   // its own; null: there was nothing to make
	RollbackID   *string            `json:"rollback_id"` // that takes it back
	Over         bool               `json:"over"`        // nothing is under way any more
	Proven       bool               `json:"proven"`      // something was rehearsed, and all of it went well
	Canaries     []Canary           `json:"canaries"`
	NotRehearsed []NotRehearsed     `json:"not_rehearsed"`
	Earlier      []EarlierRehearsal `json:"earlier"`
}

// An EarlierRehearsal is one of the same system that had not ended, and is taken back too.
type EarlierRehearsal struct {
	WindowID string    `json:"window_id"`
	State    string    `json:"state"` // of the window
	Remains  []Remains `json:"remains"`
}

// A Canary is one resource that a rehearsal made.
type Canary struct {
	Kind     string          `json:"kind"`
	Name     string          `json:"name"`
	Resource json.RawMessage `json:"resource"`
	Steps    []RehearsalStep `json:"steps"`
	Remains  *Remains        `json:"remains"` // what was left behind; null: nothing
}

// A RehearsalStep is one of read, create, update, undo_update, undo_create and gone.
type RehearsalStep struct {
	Step   string `json:"step"`
	Result string `json:"result"` // ok, refused, failed, drifted, in_doubt, pending, not_tried
	Status int    `json:"status"` // what the third party answered; 0: not known
	Detail string `json:"detail"`
}

// Remains is a canary that is, or may be, still there.
type Remains struct {
	EntryID  string          `json:"entry_id"`
	Resource json.RawMessage `json:"resource"`
	Why      string          `json:"why"`
	Request  *PlanRequest    `json:"request"` // that removes it; null: nobody knows one
}

// NotRehearsed is a kind without a canary.
type NotRehearsed struct {
	Kind string `json:"kind"`
	Why  string `json:"why"`
}

// A RehearsalList is what `rollback rehearse` shows: one rehearsal for each system.
type RehearsalList struct {
	Items []Rehearsal `json:"items"`
}
