package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// An Image is what a resource looked like at one moment: a document, its absence, or not known.
// The zero value is not known.
type Image struct {
	// JSON holds the compacted document byte for byte as it was posted or read: literals, escapes and
	// key order untouched. The four bytes null mean that the resource was not there. Empty: not known.
	JSON json.RawMessage
}

// Absent is the image of a resource that is not there.
var Absent = Image{JSON: json.RawMessage("null")}

// Known reports whether the image says anything, absence included.
func (i Image) Known() bool { return len(i.JSON) > 0 }

// IsAbsent reports whether the image says that the resource was not there.
func (i Image) IsAbsent() bool { return string(i.JSON) == "null" }

// Equal compares byte for byte.
func (i Image) Equal(o Image) bool { return bytes.Equal(i.JSON, o.JSON) }

// Digest returns "sha256:" and 64 hex digits over the bytes, and "" for an image that is not known.
func (i Image) Digest() string {
	if !i.Known() {
		return ""
	}
	sum := sha256.Sum256(i.JSON)
	return "sha256:" + hex.EncodeToString(sum[:])
}
