package secrets

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"sideledger/ledger"
)

// version begins every ciphertext and stands in what it is bound to.
const version = 1

// What a ciphertext is for; part of what it is bound to.
const (
	forRoot    = "root"
	forDataKey = "data key"
	forValue   = "value"
)

// A Keyring implements [ledger.Cipher] for one ledger.
type Keyring struct {
	current  Key
	keys     map[[8]byte]Key // current and previous
	root     ledger.Secret
	ledgerID []byte
}

// A WrongKeyError says that something stored is under a key that is not here.
type WrongKeyError struct {
	Want string   // id of the key that is needed
	Have []string // ids of those that are here
}

// Error names the keys by their ids.
func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("it is under key %s, which is not here; here are %v", e.Want, e.Have)
}

// NewRoot makes the root secret of a new ledger, wrapped under its key.
func NewRoot(k Key) ([]byte, error) {
	root := make([]byte, keySize)
	_, _ = rand.Read(root) // it never fails: crypto/rand
	return wrap(k, root, bind(forRoot))
}

// Open returns the keyring of a ledger with this root secret, wrapped. previous are keys that something may
// still be wrapped under. A [WrongKeyError] says that none of them fits.
func Open(current Key, previous []Key, root []byte) (*Keyring, error) {
	r := &Keyring{current: current, keys: map[[8]byte]Key{current.id: current}}
	for _, k := range previous {
		r.keys[k.id] = k
	}
	plain, err := r.unwrap(root, bind(forRoot))
	if err != nil {
		return nil, fmt.Errorf("open the ledger's root secret: %w", err)
	}
	r.root = ledger.NewSecret(string(plain))
	id := r.MAC("ledger id", nil)
	r.ledgerID = id[:16]
	return r, nil
}

// CurrentID names the key that new data keys are wrapped under.
func (r *Keyring) CurrentID() string { return r.current.ID() }

// NewDataKey implements [ledger.Cipher].
func (r *Keyring) NewDataKey(entry uuid.UUID) ([]byte, error) {
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // it never fails: crypto/rand
	return wrap(r.current, raw, r.bindDataKey(entry))
}

// Encrypt implements [ledger.Cipher].
func (r *Keyring) Encrypt(f ledger.Field, value ledger.Secret) ([]byte, error) {
	key, err := r.unwrap(f.DataKey, r.bindDataKey(f.Entry))
	if err != nil {
		return nil, fmt.Errorf("open the data key of entry %s: %w", f.Entry, err)
	}
	sealed, err := encrypt(key, []byte(value.Reveal()), r.bindValue(f))
	if err != nil {
		return nil, err
	}
	return append([]byte{version}, sealed...), nil
}

// Decrypt implements [ledger.Cipher].
func (r *Keyring) Decrypt(f ledger.Field, ciphertext []byte) (ledger.Secret, error) {
	key, err := r.unwrap(f.DataKey, r.bindDataKey(f.Entry))
	if err != nil {
		return ledger.Secret{}, fmt.Errorf("open the data key of entry %s: %w", f.Entry, err)
	}
	if len(ciphertext) == 0 || ciphertext[0] != version {
		return ledger.Secret{}, fmt.Errorf("open %s of entry %s: %w", f.Name, f.Entry, errFormat)
	}
	plain, err := decrypt(key, ciphertext[1:], r.bindValue(f))
	if err != nil {
		return ledger.Secret{}, fmt.Errorf("open %s of entry %s: %w", f.Name, f.Entry, err)
	}
	return ledger.NewSecret(string(plain)), nil
}

// MAC implements [ledger.Cipher]. The key of a purpose comes from the root secret by HKDF (RFC 5869).
func (r *Keyring) MAC(purpose string, data []byte) (sum [32]byte) {
	key, err := hkdf.Key(sha256.New, []byte(r.root.Reveal()), nil, "sideledger "+purpose, keySize)
	if err != nil {
		panic("secrets: HKDF refuses 32 bytes: " + err.Error()) // it cannot: RFC 5869 allows 8,160
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	mac.Sum(sum[:0])
	return sum
}

// RewrapDataKey returns the entry's data key wrapped under the current key; changed is false where it is already.
func (r *Keyring) RewrapDataKey(entry uuid.UUID, wrapped []byte) (out []byte, changed bool, err error) {
	return r.rewrap(wrapped, r.bindDataKey(entry))
}

// RewrapRoot is RewrapDataKey for the root secret.
func (r *Keyring) RewrapRoot(wrapped []byte) (out []byte, changed bool, err error) {
	return r.rewrap(wrapped, bind(forRoot))
}

func (r *Keyring) rewrap(wrapped, ad []byte) ([]byte, bool, error) {
	raw, err := r.unwrap(wrapped, ad)
	if err != nil || KeyID(wrapped) == r.current.ID() {
		return wrapped, false, err
	}
	out, err := wrap(r.current, raw, ad)
	return out, err == nil, err
}

// KeyID returns the id of the key that something is wrapped under; "" if it is no wrapping.
func KeyID(wrapped []byte) string {
	if len(wrapped) < 9 || wrapped[0] != version {
		return ""
	}
	return hex.EncodeToString(wrapped[1:9])
}

// A wrapping is the version, the id of the key, and the ciphertext.
func wrap(k Key, raw, ad []byte) ([]byte, error) {
	sealed, err := encrypt([]byte(k.raw.Reveal()), raw, ad)
	if err != nil {
		return nil, err
	}
	return append(append([]byte{version}, k.id[:]...), sealed...), nil
}

func (r *Keyring) unwrap(wrapped, ad []byte) ([]byte, error) {
	if KeyID(wrapped) == "" {
		return nil, errFormat
	}
	k, ok := r.keys[[8]byte(wrapped[1:9])]
	if !ok {
		wrong := &WrongKeyError{Want: KeyID(wrapped)}
		for _, k := range r.keys {
			wrong.Have = append(wrong.Have, k.ID())
		}
		return nil, wrong
	}
	return decrypt([]byte(k.raw.Reveal()), wrapped[9:], ad)
}

// Errors about ciphertexts.
var (
	errFormat  = errors.New("it is not a ciphertext of this version")
	errChanged = errors.New("the ciphertext was changed, or belongs to another place")
)

func encrypt(key, plain, ad []byte) ([]byte, error) {
	aead, err := subtle.NewXChaCha20Poly1305(key)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return aead.Encrypt(plain, ad)
}

func decrypt(key, sealed, ad []byte) ([]byte, error) {
	aead, err := subtle.NewXChaCha20Poly1305(key)
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	plain, err := aead.Decrypt(sealed, ad)
	if err != nil {
		return nil, errChanged
	}
	return plain, nil
}

// bind writes what a ciphertext is bound to: each part with its length, so that no two lists are the same bytes.
func bind(parts ...string) []byte {
	out := []byte("sideledger")
	out = append(out, version)
	for _, p := range parts {
		out = binary.BigEndian.AppendUint64(out, uint64(len(p)))
		out = append(out, p...)
	}
	return out
}

func (r *Keyring) bindDataKey(entry uuid.UUID) []byte {
	return bind(forDataKey, string(r.ledgerID), string(entry[:]))
}

func (r *Keyring) bindValue(f ledger.Field) []byte {
	return bind(forValue, string(r.ledgerID), string(f.Entry[:]), f.Name)
}
