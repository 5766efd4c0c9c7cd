package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// A commit that fails may have happened or not: everybody is told that nobody knows, nothing is run again, and
// what is there is found by reading.
func TestFailedCommitIsUnknown(t *testing.T) {
	for name, openDB := range both {
		for _, durable := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/durable=%v", name, durable), func(t *testing.T) {
				s := openDB(t)
				w := open(t, s)
				runs := 0
				real := s.commitFunc
				s.commitFunc = func(ctx context.Context, c *conn) error {
					if durable {
						if err := real(ctx, c); err != nil {
							return err
						}
					}
					return errOnPurpose
				}
				e := ledgertest.NewEntry(w.ID, "a")
				err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
					runs++
					return ledgertest.Insert(tx, &e)
				})
				var known *ledger.Error
				if !errors.As(err, &known) || known.Code != ledger.CodeUnavailable || known.RetryAfter == 0 || !errors.Is(err, errOnPurpose) {
					t.Fatalf("a failed commit: %v", err)
				}
				if runs != 1 {
					t.Errorf("the update ran %d times", runs)
				}
				if there := len(list(t, s, w.ID)) == 1; there != durable {
					t.Errorf("the entry is there: %v", there)
				}
				s.commitFunc = real
				again := ledgertest.NewEntry(w.ID, "b")
				if err := ledgertest.Record(t.Context(), s, w.ID, &again); err != nil {
					t.Fatalf("after a failed commit: %v", err)
				}
				if es := list(t, s, w.ID); es[len(es)-1].Seq != len(es) {
					t.Errorf("%d entries, the last is number %d", len(es), es[len(es)-1].Seq)
				}
			})
		}
	}
}

// A caller that goes while its update runs is told what happened all the same.
func TestRunningUpdateIsAwaited(t *testing.T) {
	s := sqliteStore(t)
	w := open(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	e := ledgertest.NewEntry(w.ID, "a")
	err := s.Update(ctx, w.ID, func(tx ledger.Tx) error {
		cancel()
		return ledgertest.Insert(tx, &e)
	})
	if err != nil || len(list(t, s, w.ID)) != 1 {
		t.Errorf("got %v and %d entries", err, len(list(t, s, w.ID)))
	}
}

// A function that ends the writer's goroutine fails, and the writer goes on.
func TestGoexit(t *testing.T) {
	s := sqliteStore(t)
	w := open(t, s)
	err := s.Update(t.Context(), w.ID, func(ledger.Tx) error { runtime.Goexit(); return nil })
	if ledger.CodeOf(err) != ledger.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	e := ledgertest.NewEntry(w.ID, "a")
	if err := ledgertest.Record(t.Context(), s, w.ID, &e); err != nil {
		t.Fatal(err)
	}
}

func TestTxIsOverWithItsFunction(t *testing.T) {
	for name, openDB := range both {
		t.Run(name, func(t *testing.T) {
			s := openDB(t)
			w := open(t, s)
			var kept ledger.Tx
			if err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error { kept = tx; return nil }); err != nil {
				t.Fatal(err)
			}
			e := ledgertest.NewEntry(w.ID, "a")
			if err := kept.InsertEntry(&e); !errors.Is(err, errOver) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestClose(t *testing.T) {
	s := sqliteStore(t)
	w := open(t, s)
	h := halt(t, s)
	for range 3 {
		h.update(w.ID, func(tx ledger.Tx) error { tx.Window().LastSeq++; return nil })
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	h.finish()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	for i, err := range h.errs {
		if err != nil && ledger.CodeOf(err) != ledger.CodeUnavailable {
			t.Errorf("unit %d: %v", i, err)
		}
	}
	if err := s.Update(t.Context(), w.ID, func(ledger.Tx) error { return nil }); ledger.CodeOf(err) != ledger.CodeUnavailable {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// GrownFunc hears of every window whose journal grew, after the commit, and of no other.
func TestGrown(t *testing.T) {
	var mu sync.Mutex
	var grown []uuid.UUID
	hear := func(id uuid.UUID) {
		mu.Lock()
		defer mu.Unlock()
		grown = append(grown, id)
	}
	for name, url := range map[string]string{"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "l.db"), "Postgres": postgres.Database(t)} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Config{URL: url, GrownFunc: hear})
			w := open(t, s)
			e := ledgertest.NewEntry(w.ID, "a")
			if err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error { tx.Window().LastSeq = 0; return nil }); err != nil {
				t.Fatal(err)
			}
			_ = s.Update(t.Context(), w.ID, func(tx ledger.Tx) error {
				return errors.Join(ledgertest.Insert(tx, &e), errOnPurpose)
			})
			if err := ledgertest.Record(t.Context(), s, w.ID, &e); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil { // the writer tells after it has answered
				t.Fatal(err)
			}
			if d := cmp.Diff([]uuid.UUID{w.ID}, grown); d != "" {
				t.Error(d)
			}
			grown = nil
		})
	}
}

// Two stores on one database, as two processes are, keep one chain.
func TestTwoStoresOneDatabase(t *testing.T) {
	for name, url := range map[string]string{"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "l.db"), "Postgres": postgres.Database(t)} {
		t.Run(name, func(t *testing.T) {
			stores := []*Store{openStore(t, Config{URL: url}), openStore(t, Config{URL: url})}
			w := open(t, stores[0])
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					e := ledgertest.NewEntry(w.ID, "a")
					if err := ledgertest.Record(t.Context(), stores[i%2], w.ID, &e); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			es := list(t, stores[0], w.ID)
			for i := range es {
				if es[i].Seq != i+1 || es[i].Journal.Number != int64(i+1) {
					t.Fatalf("entry %d is number %d", i+1, es[i].Seq)
				}
			}
			if len(es) != 40 || find(t, stores[1], w.ID).Head != es[39].Journal {
				t.Errorf("%d entries", len(es))
			}
		})
	}
}
