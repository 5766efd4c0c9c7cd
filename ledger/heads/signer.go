package heads

import (
	"context"
	"errors"
	"fmt"
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
	// AddSigned adds leaves and stores the note, or does neither: somebody else has added some.
	AddSigned(ctx context.Context, h journal.SignedHead) error
}

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
	sent map[string]int64 // leaves that a sink has, by its name
}

// NewSigner returns a signer.
func NewSigner(c SignerConfig) *Signer { return &Signer{SignerConfig: c, sent: map[string]int64{}} }

// Sign returns a note over the heads of all windows as they are now. Heads that have not moved since the last one are not
// signed again. The note is in every sink when it returns. Codes: unavailable (a mirror does not answer).
func (s *Signer) Sign(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heads, err := s.Log.Mirrored(ctx)
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
	if s.tree == nil {
		leaves, err := s.Log.Leaves(ctx)
		if err != nil {
			return err
		}
		s.tree, s.note = new(Tree), ""
		if err := s.tree.Add(leaves...); err != nil {
			return err
		}
	}
	moved := s.tree.Moved(heads)
	if len(moved) == 0 && s.note != "" {
		return nil
	}
	first := s.tree.Len()
	if err := s.tree.Add(moved...); err != nil {
		return err
	}
	root, err := s.tree.Root(s.tree.Len())
	if err != nil {
		return err
	}
	text, err := s.Key.Sign(Checkpoint{
		Origin: s.Origin, Size: s.tree.Len(), Root: root, Signed: s.Clock().UTC().Truncate(time.Second).Format(time.RFC3339),
	})
	if err != nil {
		return err
	}
	if err := s.Log.AddSigned(ctx, journal.SignedHead{Note: text, First: first, Leaves: moved}); err != nil {
		return err
	}
	s.note = text
	return s.publish(ctx)
}

// publish brings the note to every sink, with the leaves that it lacks.
func (s *Signer) publish(ctx context.Context) error {
	var errs []error
	for _, k := range s.Sinks {
		first := s.sent[k.Name()]
		h := journal.SignedHead{Note: s.note, First: first, Leaves: s.tree.Leaves(first)}
		if err := k.WriteSigned(ctx, h); err != nil {
			errs = append(errs, fmt.Errorf("mirror %s: %w", k.Name(), err))
			continue
		}
		s.sent[k.Name()] = s.tree.Len()
	}
	return errors.Join(errs...)
}
