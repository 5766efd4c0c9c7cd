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
// A journal may begin with a later record than the first one: one of kind window.pruned, which says that the earlier ones
// were removed and, as "follows", the hash of the last of them.
//
// The package imports the standard library only.
package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// KindPruned is the kind of a record that says that everything before it was removed.
const KindPruned = "window.pruned"

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

// Follows returns the hash of the record before r if r itself says it: a journal may begin with r. False: it may not.
func (r Record) Follows() (prev [32]byte, ok bool) {
	if r.Kind != KindPruned {
		return prev, false
	}
	var body struct {
		Follows string `json:"follows"`
	}
	if json.Unmarshal(r.Body, &body) != nil || len(body.Follows) != hex.EncodedLen(len(prev)) {
		return prev, false
	}
	_, err := hex.Decode(prev[:], []byte(body.Follows))
	return prev, err == nil
}
