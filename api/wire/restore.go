package wire

import "encoding/json"

// A Restore says how a rollback restores a window's snapshot where it is asked to (restore_snapshot), as an entry says how
// it is undone: the images are what is read back with the snapshot live (Before) and, if anybody knows, with the upgrade
// live (After). System, Kind, Resource and Before are required.
type Restore struct {
	System    string          `json:"system"`
	Kind      string          `json:"kind"`
	Resource  json.RawMessage `json:"resource"` // an object
	Before    json.RawMessage `json:"before"`
	After     json.RawMessage `json:"after,omitzero"` // nil: whatever there is instead is restored from
	Undo      json.RawMessage `json:"undo,omitzero"`
	Read      json.RawMessage `json:"read,omitzero"`
	Guard     json.RawMessage `json:"guard,omitzero"`
	Async     json.RawMessage `json:"async,omitzero"`
	Verify    json.RawMessage `json:"verify,omitzero"`
	Owned     []string        `json:"owned,omitzero"` // JSON pointers, as the three below
	Masked    []string        `json:"masked,omitzero"`
	Volatile  []string        `json:"volatile,omitzero"`
	Unordered []string        `json:"unordered,omitzero"`
	Note      string          `json:"note,omitzero"`
}
