package ledgertest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// A FailingStore is a store whose writes fail on purpose: a write is one call of Open, Update, InsertToken
// or RevokeToken. Reads pass. Change the fields before the store is used; it is safe for concurrent use
// then.
type FailingStore struct {
	ledger.Store

	FailAt     int    // the write that fails, from 1; 0: none
	After      bool   // it is done, and only then said to be unknown; otherwise it is not done at all
	OnFailFunc func() // called when the write fails, before its caller is told; nil: nothing

	mu     sync.Mutex
	writes int
}

// ErrInjected is in the chain of every error that a FailingStore makes.
var ErrInjected = errors.New("failed on purpose")

// Writes returns how many writes were asked for so far. A run without a failure tells how many to fail.
func (s *FailingStore) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

func (s *FailingStore) write(op string, do func() error) error {
	s.mu.Lock()
	s.writes++
	fails := s.writes == s.FailAt
	s.mu.Unlock()
	if !fails {
		return do()
	}
	if s.After {
		if err := do(); err != nil {
			return err
		}
	}
	if s.OnFailFunc != nil {
		s.OnFailFunc()
	}
	return &ledger.Error{Code: ledger.CodeUnavailable, Op: op, RetryAfter: time.Second, Err: ErrInjected}
}

// Open implements [ledger.Writer].
func (s *FailingStore) Open(ctx context.Context, w ledger.Window, fn func(ledger.Tx) error) error {
	return s.write("open window", func() error { return s.Store.Open(ctx, w, fn) })
}

// Update implements [ledger.Writer].
func (s *FailingStore) Update(ctx context.Context, windowID uuid.UUID, fn func(ledger.Tx) error) error {
	return s.write("update window", func() error { return s.Store.Update(ctx, windowID, fn) })
}

// InsertToken implements [ledger.Tokens].
func (s *FailingStore) InsertToken(ctx context.Context, t ledger.Token) error {
	return s.write("insert token", func() error { return s.Store.InsertToken(ctx, t) })
}

// RevokeToken implements [ledger.Tokens].
func (s *FailingStore) RevokeToken(ctx context.Context, id string, at time.Time) error {
	return s.write("revoke token", func() error { return s.Store.RevokeToken(ctx, id, at) })
}
