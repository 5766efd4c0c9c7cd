// Package heads signs what a ledger has, so that a ledger that has less is found out: the heads of all windows as a
// signed note over a Merkle tree, and single heads as they are answered to clients.
//
// The tree is that of RFC 6962 over leaves "WINDOW NUMBER HASH\n" ([journal.Leaf]). It is only ever added to: each time a
// head is signed, every window whose head moved since adds a leaf, and a new window its first one. So any two signed heads
// of one incarnation are consistent, and a signed head pins every record of every window up to it: a removed window, a
// cut tail and a tail that was chained anew all show. The note is a checkpoint in C2SP's format
// (c2sp.org/tlog-checkpoint): origin, size, root.
package heads

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"sideledger/ledger/journal"
)

// A Key signs heads. Make one with OpenKey.
type Key struct {
	signer   note.Signer
	verifier string // for others: "NAME+HASH+KEY"
	mac      [32]byte
}

// OpenKey reads the key of a file, or makes one with this name in a new file that only its owner can read. made tells
// which. A name has no spaces and no plus sign.
func OpenKey(file, name string) (k *Key, made bool, err error) {
	raw, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrNotExist) {
		made = true
		raw, err = makeKey(file, name)
	}
	if err != nil {
		return nil, false, fmt.Errorf("note key: %w", err)
	}
	k, err = parseKey(string(raw))
	if err != nil {
		return nil, false, fmt.Errorf("note key %s: %w", file, err)
	}
	return k, made, nil
}

// makeKey writes a key and its public half; the file is durable when it returns.
func makeKey(file, name string) ([]byte, error) {
	secret, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, err
	}
	raw := []byte(secret + "\n" + public + "\n")
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	return raw, errors.Join(dir.Sync(), dir.Close())
}

func parseKey(raw string) (*Key, error) {
	secret, public, _ := strings.Cut(strings.TrimSpace(raw), "\n")
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, errors.New("it does not hold a key")
	}
	if _, err := note.NewVerifier(public); err != nil {
		return nil, errors.New("its second line is not the key's public half")
	}
	return &Key{signer: signer, verifier: public, mac: sha256.Sum256([]byte("sideledger head\n" + secret))}, nil
}

// Verifier returns the public half, for whoever checks notes.
func (k *Key) Verifier() string { return k.verifier }

// A Seen is a head that a client was answered.
type Seen struct {
	journal.Leaf
	Incarnation int64 // of the ledger that answered it
}

// Seal writes a head for a client to keep and to send back: "WINDOW NUMBER HASH INCARNATION-SEAL". The seal shows that
// this ledger has answered it: nobody else's numbers stop it.
func (k *Key) Seal(s Seen) string {
	return fmt.Sprintf("%s %d %s %d-%s", s.WindowID, s.Number, s.Hash, s.Incarnation, k.seal(s))
}

func (k *Key) seal(s Seen) string {
	h := hmac.New(sha256.New, k.mac[:])
	_, _ = fmt.Fprintf(h, "%s %d %s %d", s.WindowID, s.Number, s.Hash, s.Incarnation)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Unseal reads what Seal wrote; false: it was not this key that sealed it.
func (k *Key) Unseal(text string) (s Seen, ok bool) {
	parts := strings.Split(text, " ")
	if len(parts) != 4 {
		return s, false
	}
	incarnation, seal, found := strings.Cut(parts[3], "-")
	number, err := strconv.ParseInt(parts[1], 10, 64)
	born, bornErr := strconv.ParseInt(incarnation, 10, 64)
	if !found || err != nil || bornErr != nil {
		return s, false
	}
	s = Seen{Leaf: journal.Leaf{WindowID: parts[0], Number: number, Hash: parts[2]}, Incarnation: born}
	return s, hmac.Equal([]byte(seal), []byte(k.seal(s)))
}
