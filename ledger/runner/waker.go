package runner

import (
	"sync"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// A Waker is the in-process [ledger.Waker]: it collects which rollbacks are due, each once.
type Waker struct {
	mu   sync.Mutex
	due  map[uuid.UUID]ledger.Rollback
	bell chan struct{}
}

// NewWaker returns a Waker with nothing due.
func NewWaker() *Waker {
	return &Waker{due: map[uuid.UUID]ledger.Rollback{}, bell: make(chan struct{}, 1)}
}

// Wake implements [ledger.Waker].
func (w *Waker) Wake(r ledger.Rollback) {
	w.mu.Lock()
	w.due[r.ID] = r
	w.mu.Unlock()
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// take returns what is due and forgets it.
func (w *Waker) take() []ledger.Rollback {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]ledger.Rollback, 0, len(w.due))
	for id, r := range w.due {
		out = append(out, r)
		delete(w.due, id)
	}
	return out
}
