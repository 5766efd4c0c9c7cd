package heads

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sideledger/ledger/journal"
)

func newKey(t *testing.T) *Key {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	k, made, err := OpenKey(file, "sideledger/test")
	if err != nil || !made {
		t.Fatalf("%v, made %t", err, made)
	}
	again, made, err := OpenKey(file, "sideledger/test")
	if err != nil || made || again.Verifier() != k.Verifier() {
		t.Fatalf("%v, made %t", err, made)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	return k
}

// What a client keeps is taken back as it is, and nothing else.
func TestSeal(t *testing.T) {
	k, other := newKey(t), newKey(t)
	s := Seen{Leaf: journal.Leaf{WindowID: "w", Number: 7, Hash: "ab"}, Incarnation: 2}
	text := k.Seal(s)
	if got, ok := k.Unseal(text); !ok || got != s {
		t.Fatalf("%+v, %t", got, ok)
	}
	if _, ok := other.Unseal(text); ok {
		t.Error("another ledger's head was taken")
	}
	for _, bad := range []string{"", "w 7 ab", strings.Replace(text, " 7 ", " 8 ", 1), strings.Replace(text, "w ", "v ", 1), text + "0", strings.Replace(text, " 2-", " 3-", 1)} {
		if _, ok := k.Unseal(bad); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A log in memory.
type memory struct {
	heads  []journal.Leaf
	leaves []journal.Leaf
	note   string
	sent   map[string]int64
	away   bool
}

func (m *memory) Mirrored(context.Context) ([]journal.Leaf, error) {
	if m.away {
		return nil, errors.New("the mirror is away")
	}
	return m.heads, nil
}
func (m *memory) Leaves(context.Context) ([]journal.Leaf, error) { return m.leaves, nil }
func (m *memory) Sent(context.Context) (map[string]int64, error) { return m.sent, nil }
func (m *memory) SetSent(_ context.Context, sent map[string]int64) error {
	m.sent = maps.Clone(sent)
	return nil
}

func (m *memory) AddSigned(_ context.Context, h journal.SignedHead) error {
	if h.First != int64(len(m.leaves)) {
		return errors.New("somebody else has added leaves")
	}
	m.leaves, m.note = append(m.leaves, h.Leaves...), h.Note
	return nil
}

type sink struct {
	fail bool
	got  []journal.SignedHead
}

func (s *sink) Name() string { return "sink" }
func (s *sink) WriteSigned(_ context.Context, h journal.SignedHead) error {
	if s.fail {
		return errors.New("failed on purpose")
	}
	s.got = append(s.got, h)
	return nil
}

func leaf(w string, n int) journal.Leaf {
	return journal.Leaf{WindowID: w, Number: int64(n), Hash: fmt.Sprintf("%064x", n)}
}

// Signed heads follow from each other: every one is consistent with every later one, and what a sink has gives its root.
func TestSigner(t *testing.T) {
	k, log, out := newKey(t), &memory{}, &sink{}
	at := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	s := NewSigner(SignerConfig{Log: log, Key: k, Origin: "sideledger/test/1", Clock: func() time.Time { return at }, Sinks: []Sink{out}})
	var notes []Checkpoint
	for i := range 30 {
		if i%4 == 0 {
			log.heads = append(log.heads, leaf(fmt.Sprintf("w%d", i), 1))
		} else {
			log.heads[i%len(log.heads)] = leaf(log.heads[i%len(log.heads)].WindowID, i+1)
		}
		out.fail = i == 11 // what it missed comes with the next
		text, err := s.Sign(t.Context())
		if out.fail != (err != nil) {
			t.Fatal(err)
		}
		if err != nil {
			continue
		}
		if again, err := s.Sign(t.Context()); err != nil || again != text {
			t.Fatalf("signed again though nothing moved: %v", err)
		}
		c, err := Open(text, k.Verifier())
		if err != nil || c.Origin != "sideledger/test/1" {
			t.Fatalf("%+v, %v", c, err)
		}
		notes = append(notes, c)
	}
	var tree Tree
	for _, h := range out.got {
		if err := tree.Add(h.Leaves[tree.Len()-h.First:]...); err != nil {
			t.Fatal(err)
		}
	}
	last := notes[len(notes)-1]
	if root, err := tree.Root(last.Size); err != nil || root != last.Root || tree.Len() != last.Size {
		t.Fatalf("the sink's leaves do not give the signed root: %v", err)
	}
	for _, c := range notes[:len(notes)-1] {
		if c.Size == last.Size {
			continue
		}
		proof, err := tlog.ProveTree(last.Size, c.Size, &tree)
		if err == nil {
			err = tlog.CheckTree(proof, last.Size, last.Root, c.Size, c.Root)
		}
		if err != nil {
			t.Fatalf("head over %d leaves does not follow from that over %d: %v", last.Size, c.Size, err)
		}
	}
	log.away = true
	if _, err := s.Sign(t.Context()); err == nil {
		t.Error("signed what is not in the mirror")
	}
	if _, err := Open(log.note, newKey(t).Verifier()); !errors.Is(err, ErrForeign) {
		t.Errorf("another key: %v", err)
	}
	if _, err := Open(strings.Replace(log.note, "\n3", "\n4", 1), k.Verifier()); err == nil {
		t.Error("a changed note was taken")
	}
}

// A signer that starts anew brings a sink what it lacks and no more, and a sink that lacks much gets it in heads that
// are whole each.
func TestSignerStartsAnew(t *testing.T) {
	k, log, out := newKey(t), &memory{}, &sink{}
	for i := range 2*atOnce + 7 {
		log.leaves = append(log.leaves, leaf("w", i+1))
	}
	log.heads = []journal.Leaf{leaf("w", len(log.leaves)+1)}
	anew := func() {
		s := NewSigner(SignerConfig{Log: log, Key: k, Origin: "o", Clock: time.Now, Sinks: []Sink{out}})
		if _, err := s.Sign(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	anew()
	var tree Tree
	for i, h := range out.got {
		if err := tree.Add(h.Leaves...); err != nil {
			t.Fatal(err)
		}
		c, err := Open(h.Note, k.Verifier())
		root, rootErr := tree.Root(tree.Len())
		if err != nil || rootErr != nil || c.Size != tree.Len() || c.Root != root {
			t.Errorf("head %d over %d leaves says %d, %v, %v", i, tree.Len(), c.Size, err, rootErr)
		}
		var line bytes.Buffer
		if err := journal.WriteSigned(&line, h); err != nil || line.Len() > journal.MaxLine/4 {
			t.Errorf("head %d is a line of %d bytes, %v", i, line.Len(), err)
		}
	}
	if len(out.got) != 3 || tree.Len() != int64(len(log.leaves)) {
		t.Fatalf("%d heads over %d leaves of %d", len(out.got), tree.Len(), len(log.leaves))
	}
	for range 2 {
		log.heads = []journal.Leaf{leaf("w", len(log.leaves)+1)}
		anew()
		if last := out.got[len(out.got)-1]; len(out.got) > 5 || len(last.Leaves) > again {
			t.Errorf("%d heads, the last brings %d leaves", len(out.got), len(last.Leaves))
		}
	}
}
