package ledger

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/google/uuid"
)

// A Secret is text that reaches nobody but whom it is meant for: a credential, the plain value of a secret
// field, a key. However it is printed, logged or encoded it shows [redacted]; only Reveal gives it out. The
// zero value is no secret.
type Secret struct {
	text *string // behind a pointer, since fmt prints fields for verbs that it does not know
}

const redacted = "[redacted]"

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text itself, for the one place that uses it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Empty reports whether there is no secret.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// String implements [fmt.Stringer].
func (Secret) String() string { return redacted }

// GoString implements [fmt.GoStringer].
func (Secret) GoString() string { return redacted }

// Format implements [fmt.Formatter], for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and so what JSON, YAML and XML show.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// A Cipher encrypts the values of secret fields. Each entry has a data key of its own, which is stored only
// wrapped; whoever wraps it anew (a rotation) touches no ciphertext. It makes no calls and is safe for
// concurrent use. Its errors hold neither values nor keys.
type Cipher interface {
	// NewDataKey makes the data key of an entry and returns it wrapped, to be kept beside the entry.
	NewDataKey(entry uuid.UUID) (wrapped []byte, err error)
	// Encrypt encrypts the value of a field. The ciphertext opens for this ledger, entry and field alone.
	Encrypt(f Field, value Secret) ([]byte, error)
	// Decrypt opens what Encrypt made. It fails on what was made for another ledger, entry or field, was
	// changed, or is under a key that is not here.
	Decrypt(f Field, ciphertext []byte) (Secret, error)
	// MAC is HMAC-SHA-256 under a key that only this ledger has, and that a rotation leaves as it is.
	// Different purposes have different keys.
	MAC(purpose string, data []byte) [32]byte
}

// A Field names the place of one secret value.
type Field struct {
	Entry   uuid.UUID
	Name    string // JSON pointer from the root of the entry: "/before/token"
	DataKey []byte // the entry's, wrapped
}

// An Encrypted is one secret value as it is stored, journalled and exported. In the entry's document there
// stands a fingerprint in its place.
type Encrypted struct {
	Field string // JSON pointer from the root of the entry
	Text  []byte // ciphertext
}

// The purposes of [Cipher.MAC].
const (
	macFingerprint = "fingerprint" // shown in place of a value
	macPosted      = "posted"      // tells whether the same entry is posted again
	macRequest     = "request"     // tells whether the same request is made again
)
