package wire

import "encoding/json"

// An Event is one record of a window's journal as the event streams carry it.
type Event struct {
	ID   int64           `json:"id"`   // journal number
	Kind string          `json:"kind"` // "entry.recorded"
	Data json.RawMessage `json:"data"` // the record's stored bytes
}
