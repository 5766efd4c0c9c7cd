package heads

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"sideledger/ledger/journal"
)

// A Tree is the Merkle tree of leaves in their order. The zero value is empty.
type Tree struct {
	leaves []journal.Leaf
	hashes []tlog.Hash // as tlog stores them
	newest map[string]journal.Leaf
}

// ReadHashes implements [tlog.HashReader].
func (t *Tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(t.hashes)) {
			return nil, errors.New("the tree is smaller than that")
		}
		out[i] = t.hashes[x]
	}
	return out, nil
}

// Add adds leaves at the end.
func (t *Tree) Add(leaves ...journal.Leaf) error {
	if t.newest == nil {
		t.newest = map[string]journal.Leaf{}
	}
	for _, l := range leaves {
		hashes, err := tlog.StoredHashes(int64(len(t.leaves)), l.Data(), t)
		if err != nil {
			return err
		}
		t.hashes = append(t.hashes, hashes...)
		t.leaves = append(t.leaves, l)
		t.newest[l.WindowID] = l
	}
	return nil
}

// Len returns how many leaves there are.
func (t *Tree) Len() int64 { return int64(len(t.leaves)) }

// Leaves returns the leaves from place n on.
func (t *Tree) Leaves(n int64) []journal.Leaf {
	if n < 0 || n >= t.Len() {
		return nil
	}
	return t.leaves[n:]
}

// Root returns the root over the first n leaves.
func (t *Tree) Root(n int64) (tlog.Hash, error) { return tlog.TreeHash(n, t) }

// Moved returns those of the heads that are not in the tree, in their order.
func (t *Tree) Moved(all []journal.Leaf) []journal.Leaf {
	var out []journal.Leaf
	for _, h := range all {
		if h.Number > 0 && t.newest[h.WindowID] != h {
			out = append(out, h)
		}
	}
	return out
}

// A Checkpoint is what a signed note says.
type Checkpoint struct {
	Origin string // "sideledger/LEDGER/INCARNATION"
	Size   int64  // leaves
	Root   tlog.Hash
	Signed string // RFC 3339, an extension line; empty: it does not say
}

// Text writes the checkpoint as it is signed (c2sp.org/tlog-checkpoint).
func (c Checkpoint) Text() string {
	text := fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
	if c.Signed != "" {
		text += c.Signed + "\n"
	}
	return text
}

// Sign signs a checkpoint.
func (k *Key) Sign(c Checkpoint) (string, error) {
	raw, err := note.Sign(&note.Note{Text: c.Text()}, k.signer)
	return string(raw), err
}

// ErrForeign says that a note was signed by none of the keys it was checked with.
var ErrForeign = errors.New("the note is not signed by this key")

// Open checks a note's signature with the public half of a key and reads it.
func Open(raw, verifier string) (Checkpoint, error) {
	var c Checkpoint
	v, err := note.NewVerifier(strings.TrimSpace(verifier))
	if err != nil {
		return c, fmt.Errorf("read the key: %w", err)
	}
	n, err := note.Open([]byte(raw), note.VerifierList(v))
	var unverified *note.UnverifiedNoteError
	switch {
	case errors.As(err, &unverified):
		return c, ErrForeign
	case err != nil:
		return c, fmt.Errorf("read the note: %w", err)
	}
	lines := strings.Split(strings.TrimSuffix(n.Text, "\n"), "\n")
	if len(lines) < 3 {
		return c, errors.New("read the note: it is no checkpoint")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	size, sizeErr := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || sizeErr != nil || len(root) != len(c.Root) || size < 0 {
		return c, errors.New("read the note: it is no checkpoint")
	}
	c.Origin, c.Size, c.Root = lines[0], size, tlog.Hash(root)
	if len(lines) > 3 {
		c.Signed = lines[3]
	}
	return c, nil
}
