package heads

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"sideledger/ledger/journal"
)

// A Log is where the leaves and the newest note are kept.
type Log interface {
	// Mirrored returns the heads of all windows, oldest window first, once they are in every mirror.
	Mirrored(ctx context.Context) ([]journal.Leaf, error)
	// Leaves returns the leaves of the tree, in order.
	Leaves(ctx context.Context) ([]journal.Leaf, error)
	// Sent returns how many leaves each sink is known to have, by its name.
	Sent(ctx context.Context) (map[string]int64, error)
	// SetSent stores it.
	SetSent(ctx context.Context, sent map[string]int64) error
	// AddSigned adds leaves and stores the note, or does neither: somebody else has added some.
	AddSigned(ctx context.Context, h journal.SignedHead) error
}

// atOnce is how many leaves a signed head brings to a sink. Whoever lacks more gets several heads, each a whole one:
// a line of a mirror stays far below [journal.MaxLine].
const atOnce = 10_000

// again is how many leaves a sink may get a second time after a start: what it has is stored whenever it has got as many.
const again = 500

// A Sink gets signed heads.
type Sink interface {
	Name() string
	WriteSigned(ctx context.Context, s journal.SignedHead) error
}

// SignerConfig is what a Signer needs.
type SignerConfig struct {
	Log    Log
	Key    *Key
	Origin string
	Clock  func() time.Time
	Sinks  []Sink
}

// A Signer signs the heads of all windows. It is safe for concurrent use.
type Signer struct {
	SignerConfig

	mu   sync.Mutex
	tree *Tree // nil: to be read
	note string
	sent map[string]int64 // leaves that a sink is known to have, by its name
	kept map[string]int64 // the same, as it is stored
}

// NewSigner returns a signer.
func NewSigner(c SignerConfig) *Signer { return &Signer{SignerConfig: c, sent: map[string]int64{}} }

// Sign returns a note over the heads of all windows as they are now. Heads that have not moved since the last one are not
// signed again. The note is in every sink when it returns. Codes: unavailable (a mirror does not answer).
func (s *Signer) Sign(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.load(ctx) // first: heads that are older than the tree would be added to it, if another process has signed between
	var heads []journal.Leaf
	if err == nil {
		heads, err = s.Log.Mirrored(ctx)
	}
	if err == nil {
		err = s.sign(ctx, heads)
	}
	if err != nil {
		s.tree = nil // whatever stands there is read again
		return "", err
	}
	return s.note, nil
}

func (s *Signer) sign(ctx context.Context, heads []journal.Leaf) error {
	moved := s.tree.Moved(heads)
	if len(moved) == 0 && s.note != "" {
		return nil
	}
	first := s.tree.Len()
	if err := s.tree.Add(moved...); err != nil {
		return err
	}
	text, err := s.noteAt(s.tree.Len())
	if err != nil {
		return err
	}
	if err := s.Log.AddSigned(ctx, journal.SignedHead{Note: text, First: first, Leaves: moved}); err != nil {
		return err
	}
	s.note = text
	return s.publish(ctx)
}

// load reads the tree, and what the sinks have of it, if that is not known.
func (s *Signer) load(ctx context.Context) error {
	if s.tree != nil {
		return nil
	}
	leaves, err := s.Log.Leaves(ctx)
	if err != nil {
		return err
	}
	sent, err := s.Log.Sent(ctx)
	if err != nil {
		return err
	}
	tree := new(Tree)
	if err := tree.Add(leaves...); err != nil {
		return err
	}
	for name, n := range sent {
		s.sent[name] = max(s.sent[name], n)
	}
	s.tree, s.note, s.kept = tree, "", sent
	return nil
}

// noteAt signs the tree as it was, or is, with its first size leaves.
func (s *Signer) noteAt(size int64) (string, error) {
	root, err := s.tree.Root(size)
	if err != nil {
		return "", err
	}
	return s.Key.Sign(Checkpoint{Origin: s.Origin, Size: size, Root: root, Signed: s.Clock().UTC().Truncate(time.Second).Format(time.RFC3339)})
}

// publish brings the note to every sink, with the leaves that it lacks.
func (s *Signer) publish(ctx context.Context) error {
	var errs []error
	grown := false
	for _, k := range s.Sinks {
		if err := s.bring(ctx, k); err != nil {
			errs = append(errs, fmt.Errorf("mirror %s: %w", k.Name(), err))
		}
		grown = grown || s.sent[k.Name()]-s.kept[k.Name()] >= again
	}
	if grown {
		if err := s.Log.SetSent(ctx, s.sent); err != nil {
			return errors.Join(append(errs, err)...)
		}
		s.kept = maps.Clone(s.sent)
	}
	return errors.Join(errs...)
}

// bring sends one sink what it lacks, in as many signed heads as it takes.
func (s *Signer) bring(ctx context.Context, k Sink) error {
	whole := s.tree.Len()
	first := min(s.sent[k.Name()], whole)
	for {
		note, end := s.note, whole
		if whole-first > atOnce {
			var err error
			end = first + atOnce
			if note, err = s.noteAt(end); err != nil {
				return err
			}
		}
		h := journal.SignedHead{Note: note, First: first, Leaves: s.tree.Leaves(first)[:end-first]}
		if err := k.WriteSigned(ctx, h); err != nil {
			return err
		}
		s.sent[k.Name()], first = end, end
		if end == whole {
			return nil
		}
	}
}
