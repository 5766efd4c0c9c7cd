// Package secrets keeps the values of secret fields as ciphertext: envelope encryption with
// XChaCha20-Poly1305 of Tink (github.com/tink-crypto/tink-go/v2 v2.9.0).
//
// Three layers. The key, which the configuration refers to and which never stands in the database, wraps the
// root secret of the ledger and a data key for each entry; wrapped they are stored. A data key encrypts the
// values of its entry. From the root secret come the keys of fingerprints and the ledger's name, so that they
// stay what they are when the key is rotated.
//
// Every ciphertext is bound to its place by associated data: a value to ledger, entry and field, a data key to
// ledger and entry. Moved anywhere else it does not open.
package secrets

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sideledger/ledger"
)

const (
	keySize   = 32
	keyPrefix = "sideledger-key-1:" // what a key's text begins with, for people and for scanners
	maxText   = 4 << 10             // bytes of a file with a key
)

// A Key wraps the other keys. The zero value is no key.
type Key struct {
	raw ledger.Secret // keySize bytes
	id  [8]byte
}

// ID names a key without giving it away: 16 hex digits.
func (k Key) ID() string { return hex.EncodeToString(k.id[:]) }

// Text is the key as a file or a variable holds it.
func (k Key) Text() ledger.Secret {
	return ledger.NewSecret(keyPrefix + base64.RawURLEncoding.EncodeToString([]byte(k.raw.Reveal())))
}

func keyOf(raw []byte) Key {
	sum := sha256.Sum256(append([]byte("sideledger key id\x00"), raw...))
	return Key{raw: ledger.NewSecret(string(raw)), id: [8]byte(sum[:8])}
}

// NewKey makes a key of 256 random bits.
func NewKey() Key {
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // it never fails: crypto/rand
	return keyOf(raw)
}

// ParseKey reads what [Key.Text] wrote. The error repeats nothing of it.
func ParseKey(text string) (Key, error) {
	body, ok := strings.CutPrefix(strings.TrimSpace(text), keyPrefix)
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if !ok || err != nil || len(raw) != keySize {
		return Key{}, errors.New("it is not a key: want " + keyPrefix + " and 43 characters, as `ledgerd rewrap --new-key FILE` makes one")
	}
	return keyOf(raw), nil
}

// CheckReference says what is wrong with a reference to a key; "" if nothing is. It never repeats it, since
// somebody may have put the key itself there.
func CheckReference(ref string) string {
	kind, rest, _ := strings.Cut(ref, ":")
	if kind == "env" && rest != "" && !strings.ContainsAny(rest, "=\x00 ") || kind == "file" && filepath.IsAbs(rest) {
		return ""
	}
	return "is a reference, env:NAME or file:/path; the key itself never stands in the configuration"
}

// Load reads the key behind a reference. The error names the reference, never the key.
func Load(ref string, getenv func(string) string) (Key, error) {
	if msg := CheckReference(ref); msg != "" {
		return Key{}, errors.New(msg)
	}
	kind, rest, _ := strings.Cut(ref, ":")
	text := getenv(rest)
	if kind == "file" {
		f, err := os.Open(rest) //nolint:gosec // the path stands in the server's own configuration
		if err != nil {
			return Key{}, fmt.Errorf("read the key: %w", err)
		}
		defer f.Close()
		raw, err := io.ReadAll(io.LimitReader(f, maxText))
		if err != nil {
			return Key{}, fmt.Errorf("read the key: %w", err)
		}
		text = string(raw)
	}
	k, err := ParseKey(text)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", ref, err)
	}
	return k, nil
}

// WriteKey puts a key into a new file that only its owner can read, durably, and whole or not at all where the
// filesystem has links; on another one a crash in the middle may leave a file that is no key, which is said when it
// is read. A file that is there already is never touched: [os.ErrExist].
func WriteKey(name string, k Key) error {
	part, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	defer func() { _ = os.Remove(part.Name()) }()
	if err := fill(part, k); err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	err = os.Link(part.Name(), name) // a link, unlike a rename, fails where there is a file
	if err != nil && !errors.Is(err, os.ErrExist) {
		err = writeNew(name, k)
	}
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// writeNew writes a key where there are no links.
func writeNew(name string, k Key) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	return fill(f, k)
}

// fill writes a key into a file and closes it, durably.
func fill(f *os.File, k Key) error {
	_, err := f.WriteString(k.Text().Reveal() + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}
