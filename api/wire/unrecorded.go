package wire

import (
	"encoding/json"
	"time"
)

// Unrecorded is what systems hold that no entry of any window names, in GET /v1/windows/{id}/unrecorded.
type Unrecorded struct {
	Since time.Time     `json:"since"` // when the window opened
	Items []Foreign     `json:"items"`
	Lists []Enumeration `json:"lists"` // what was looked through
}

// A Foreign is one resource that nobody recorded.
type Foreign struct {
	System   string          `json:"system"`
	Kind     string          `json:"kind"`
	Resource json.RawMessage `json:"resource"`
	Created  *time.Time      `json:"created"` // by the third party's clock; null: it does not say
	Changed  *time.Time      `json:"changed"`
	Sign     string          `json:"sign"`   // created or changed since the window opened; undated; older
	Canary   bool            `json:"canary"` // a rehearsal made it
}

// An Enumeration is one list that was read, or could not be.
type Enumeration struct {
	System string          `json:"system"`
	Kind   string          `json:"kind"`
	Place  json.RawMessage `json:"place,omitzero"`
	Held   int             `json:"held"`  // resources that it shows
	Older  int             `json:"older"` // that nobody recorded, and that are left out as older than the window
	Part   bool            `json:"part"`  // there may be more than it shows
	Why    string          `json:"why"`   // why it could not be read; empty: it was
}
