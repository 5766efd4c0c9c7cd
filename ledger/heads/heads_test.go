package heads

import (
	"context"
	"errors"
	"fmt"
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
	away   bool
}

func (m *memory) Mirrored(context.Context) ([]journal.Leaf, error) {
	if m.away {
		return nil, errors.New("the mirror is away")
	}
	return m.heads, nil
}
func (m *memory) Leaves(context.Context) ([]journal.Leaf, error) { return m.leaves, nil }
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
