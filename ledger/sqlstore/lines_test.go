package sqlstore

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// occupied lets one update of a window stand in the middle until the returned function is called.
func occupied(t *testing.T, s *Store, id uuid.UUID) (letGo func()) {
	t.Helper()
	inside, ended, goOn := make(chan struct{}), make(chan error, 1), make(chan struct{})
	go func() {
		ended <- s.Update(context.Background(), id, func(ledger.Tx) error {
			close(inside)
			<-goOn
			return nil
		})
	}()
	<-inside
	return func() {
		close(goOn)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// inLine waits until n units stand in a window's line.
func inLine(s *Store, id uuid.UUID, n int) {
	for {
		s.lines.mu.Lock()
		have := len(s.lines.waiting[id])
		s.lines.mu.Unlock()
		if have == n {
			return
		}
		runtime.Gosched()
	}
}

// On PostgreSQL what comes while a window is being changed shares one transaction: one commit for all, in the order in which
// they came; one that fails harms no other, and one whose caller goes is not run. Another window waits for nobody.
func TestLines(t *testing.T) {
	s := postgresStore(t)
	w, other := open(t, s), open(t, s)
	commits := 0
	commitFunc := s.commitFunc
	var mu sync.Mutex
	s.commitFunc = func(ctx context.Context, c *conn) error {
		mu.Lock()
		commits++
		mu.Unlock()
		return commitFunc(ctx, c)
	}
	letGo := occupied(t, s, w.ID)
	if err := note(s, other.ID); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Go(func() {
			e := ledgertest.NewEntry(w.ID, fmt.Sprint(i))
			under := t.Context()
			if i == 7 {
				under = ctx
			}
			errs[i] = s.Update(under, w.ID, func(tx ledger.Tx) error {
				if err := ledgertest.Insert(tx, &e); err != nil || i != 3 {
					return err
				}
				return ledger.Conflict("test", "", "no")
			})
		})
		inLine(s, w.ID, i+1)
	}
	cancel()
	mu.Lock()
	before := commits
	mu.Unlock()
	letGo()
	wg.Wait()
	for i, err := range errs {
		want := map[int]ledger.Code{3: ledger.CodeConflict, 7: ledger.CodeUnavailable}[i]
		if ledger.CodeOf(err) != want {
			t.Errorf("%d: %v", i, err)
		}
	}
	got := list(t, s, w.ID)
	if len(got) != 18 || commits-before > 2 {
		t.Errorf("%d entries in %d commits, one of which is the first update's", len(got), commits-before)
	}
	for lines := 1; lines > 0; runtime.Gosched() { // the last to work closes its line behind it
		s.lines.mu.Lock()
		lines = len(s.lines.waiting)
		s.lines.mu.Unlock()
	}
}

// A function that ends its goroutine fails those that it ran with, and the line goes on.
func TestLineGoesOn(t *testing.T) {
	s := postgresStore(t)
	w := open(t, s)
	letGo := occupied(t, s, w.ID)
	var wg sync.WaitGroup
	var gone, with error
	wg.Go(func() {
		gone = s.Update(t.Context(), w.ID, func(ledger.Tx) error { runtime.Goexit(); return nil })
	})
	inLine(s, w.ID, 1)
	wg.Go(func() { with = note(s, w.ID) })
	inLine(s, w.ID, 2)
	letGo()
	wg.Wait()
	if ledger.CodeOf(gone) != ledger.CodeUnavailable || ledger.CodeOf(with) != ledger.CodeUnavailable {
		t.Errorf("%v, %v", gone, with)
	}
	if err := note(s, w.ID); err != nil {
		t.Error(err)
	}
}
