// Package journal chains the records of one window and checks such a chain offline.
//
// A record's hash is SHA-256 over the previous record's hash (32 zero bytes before the first) followed
// by the record's exact stored bytes. A journal file has one JSON line a record,
//
//	{"hash":"<64 hex>","record":<the stored bytes>}
//
// and a last line that names the head, so that a cut tail shows:
//
//	{"head":{"window_id":"…","number":N,"hash":"<64 hex>"}}
//
// The package imports the standard library only.
package journal

import (
	"crypto/sha256"
	"time"
)

// A Record is one line of a window's journal.
type Record struct {
	Number     int64  // from 1, without gaps; also stands in Body as "number"
	Kind       string // "entry.recorded"; also stands in Body
	EntryID    string // empty: not about one entry
	RollbackID string // empty: not about one rollback
	At         time.Time
	Body       []byte // compact JSON, stored and hashed as it is
	Hash       [32]byte
}

// Chain returns the hash of a record that follows prev.
func Chain(prev [32]byte, body []byte) [32]byte {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(body)
	var sum [32]byte
	h.Sum(sum[:0])
	return sum
}
