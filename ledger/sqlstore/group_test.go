package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

var errOnPurpose = errors.New("failed on purpose")

// open opens a window.
func open(t testing.TB, s ledger.Store) ledger.Window {
	t.Helper()
	w := ledgertest.NewWindow("w")
	if err := s.Open(t.Context(), w, func(ledger.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return w
}

func find(t testing.TB, s ledger.Store, id uuid.UUID) ledger.Window {
	t.Helper()
	w, err := s.FindWindow(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return *w
}

func list(t testing.TB, s ledger.Store, windowID uuid.UUID) []ledger.Entry {
	t.Helper()
	es, err := s.ListEntries(t.Context(), ledger.EntryQuery{WindowID: windowID, Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return es
}

// A hall is a writer that was stopped in the middle of an update, so that what queues behind it shares one
// transaction, in the order of its coming.
type hall struct {
	t       *testing.T
	s       *Store
	release chan struct{}
	wg      sync.WaitGroup
	errs    []error
	commits atomic.Int32 // since the writer goes on
}

func halt(t *testing.T, s *Store) *hall {
	t.Helper()
	h := &hall{t: t, s: s, release: make(chan struct{})}
	w, entered := open(t, s), make(chan struct{})
	real := s.commitFunc
	s.commitFunc = func(ctx context.Context, c *conn) error {
		h.commits.Add(1)
		return real(ctx, c)
	}
	h.wg.Go(func() {
		err := s.Update(context.WithoutCancel(t.Context()), w.ID, func(ledger.Tx) error {
			close(entered)
			<-h.release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-entered
	return h
}

// queue queues a call and returns its place in errs.
func (h *hall) queue(call func() error) int {
	i, before := len(h.errs), len(h.s.group.queue)
	h.errs = append(h.errs, nil)
	done := make(chan struct{})
	h.wg.Go(func() {
		defer close(done)
		err := call()
		h.errs[i] = err
	})
	for len(h.s.group.queue) == before {
		select {
		case <-done:
			return i
		default:
			runtime.Gosched()
		}
	}
	return i
}

func (h *hall) update(windowID uuid.UUID, fn func(ledger.Tx) error) int {
	return h.queue(func() error { return h.s.Update(h.t.Context(), windowID, fn) })
}

func (h *hall) finish() {
	close(h.release)
	h.wg.Wait()
}

// Everything that waits goes into one transaction, and whatever fails in it is taken back alone, with and
// without statements of its own, among new windows and changes without a window.
func TestGroupSharesOneTransaction(t *testing.T) {
	s := sqliteStore(t)
	w, old := open(t, s), ledgertest.NewEntry(uuid.Nil, "old")
	old.WindowID = w.ID
	if err := ledgertest.Record(t.Context(), s, w.ID, &old); err != nil {
		t.Fatal(err)
	}
	insert := func(e *ledger.Entry, then ...func(tx ledger.Tx) error) func(ledger.Tx) error {
		return func(tx ledger.Tx) error {
			err := ledgertest.Insert(tx, e)
			for _, fn := range then {
				err = errors.Join(err, fn(tx))
			}
			return err
		}
	}
	move := func(tx ledger.Tx) error {
		moved := old
		moved.State = ledger.EntryUndoing
		return tx.SaveEntry(&moved, ledger.EntryApplied)
	}
	fail := func(ledger.Tx) error { return errOnPurpose }
	count := func(want int) func(tx ledger.Tx) error {
		return func(tx ledger.Tx) error {
			c, err := tx.Count(ledger.Selection{})
			if c.Open() != want {
				return fmt.Errorf("%d entries are seen, want %d: %w", c.Open(), want, err)
			}
			return err
		}
	}
	entry := func(windowID uuid.UUID) *ledger.Entry { e := ledgertest.NewEntry(windowID, "a"); return &e }
	opened, broken := ledgertest.NewWindow("opened"), ledgertest.NewWindow("broken")
	e1, e2, e3, e4, e5 := entry(w.ID), entry(opened.ID), entry(w.ID), entry(w.ID), entry(opened.ID)

	h := halt(t, s)
	ok := []int{
		h.update(w.ID, insert(e1)),
		h.queue(func() error { return s.Open(t.Context(), opened, insert(e2)) }),
	}
	bad := []int{
		h.update(w.ID, insert(entry(w.ID), fail)),
		h.update(w.ID, insert(entry(w.ID), move, count(3), fail)),
		h.queue(func() error { return s.Open(t.Context(), broken, insert(entry(broken.ID), count(1), fail)) }),
		h.queue(func() error { return s.Open(t.Context(), broken, insert(entry(broken.ID), fail)) }),
		h.queue(func() error { return s.RevokeToken(t.Context(), "none", opened.CreatedAt) }),
	}
	ok = append(ok,
		h.queue(func() error {
			return s.InsertToken(t.Context(), ledger.Token{ID: "t", Role: ledger.RoleAdmin, CreatedAt: opened.CreatedAt})
		}),
		h.update(w.ID, insert(e3, move, count(3))),
		h.update(w.ID, insert(e4)),
		h.update(opened.ID, insert(e5, count(2))),
	)
	bad = append(bad,
		h.update(w.ID, func(tx ledger.Tx) error { return errors.Join(move(tx), ledgertest.Insert(tx, entry(w.ID))) }), // it moved before
		h.queue(func() error { return s.Open(t.Context(), opened, insert(entry(opened.ID))) }),
		h.update(broken.ID, fail),
	)
	h.finish()
	if n := h.commits.Load(); n != 2 {
		t.Errorf("%d transactions, want the first and one for all the others", n)
	}
	for _, i := range ok {
		if h.errs[i] != nil {
			t.Errorf("unit %d: %v", i, h.errs[i])
		}
	}
	var codes []ledger.Code
	for _, i := range bad {
		codes = append(codes, ledger.CodeOf(h.errs[i]))
	}
	want := []ledger.Code{
		ledger.CodeInternal, ledger.CodeInternal, ledger.CodeInternal, ledger.CodeInternal, ledger.CodeNotFound, ledger.CodeConflict,
		ledger.CodeConflict, ledger.CodeNotFound,
	}
	if d := cmp.Diff(want, codes); d != "" {
		t.Error(d)
	}
	old.State = ledger.EntryUndoing
	if d := cmp.Diff([]ledger.Entry{old, *e1, *e3, *e4}, list(t, s, w.ID)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]ledger.Entry{*e2, *e5}, list(t, s, opened.ID)); d != "" {
		t.Error(d)
	}
	if e4.Seq != 4 || e4.Journal.Number != 4 || find(t, s, w.ID).Head != e4.Journal {
		t.Errorf("the last entry has seq %d and record %d", e4.Seq, e4.Journal.Number)
	}
	if _, err := s.FindWindow(t.Context(), broken.ID); ledger.CodeOf(err) != ledger.CodeNotFound {
		t.Errorf("a window whose opening failed: %v", err)
	}
}

// What a failed unit kept back is forgotten: the next one in the same transaction may use its ids and keys.
func TestGroupForgetsAFailedUnit(t *testing.T) {
	s := sqliteStore(t)
	w, e := open(t, s), ledgertest.NewEntry(uuid.Nil, "a")
	e.WindowID = w.ID
	key := ledger.ReplyKey{TokenID: "t", Method: "POST", Path: "/", Key: "k"}
	runs := 0
	record := func(tx ledger.Tx) error {
		runs++
		found, elsewhere, err := tx.FindEntry(e.ID)
		if found != nil || elsewhere {
			err = errors.Join(err, errors.New("the entry is there"))
		}
		reply, err2 := tx.FindReply(key)
		if reply != nil {
			err2 = errors.Join(err2, errors.New("the reply is there"))
		}
		mine := e
		return errors.Join(err, err2, ledgertest.Insert(tx, &mine), tx.SaveReply(key, ledger.Reply{Status: 201, At: w.CreatedAt}))
	}
	h := halt(t, s)
	failed := []int{
		h.update(w.ID, func(tx ledger.Tx) error { return errors.Join(record(tx), errOnPurpose) }),
		h.update(w.ID, func(tx ledger.Tx) error { // with statements of its own
			_, err := tx.SameResource(e.ResourceKey)
			return errors.Join(err, record(tx), tx.SaveAttempt(e.ID, ledger.Attempt{N: 1, StartedAt: w.CreatedAt}), errOnPurpose)
		}),
	}
	last := h.update(w.ID, record)
	h.finish()
	for _, i := range failed {
		if h.errs[i] == nil || strings.Contains(h.errs[i].Error(), "is there") {
			t.Errorf("unit %d: %v", i, h.errs[i])
		}
	}
	if h.errs[last] != nil || h.commits.Load() != 2 || runs != 3 {
		t.Errorf("%v, in %d transactions and %d runs", h.errs[last], h.commits.Load(), runs)
	}
	es := list(t, s, w.ID)
	if len(es) != 1 || es[0].Seq != 1 || len(es[0].Attempts) != 0 {
		t.Errorf("got %+v", es)
	}
}

// A statement that fails ends the transaction for all; run singly, only the one that made it fails.
func TestGroupRunsSinglyAfterAFailedStatement(t *testing.T) {
	s := sqliteStore(t)
	w, other := open(t, s), open(t, s)
	taken := ledgertest.NewEntry(other.ID, "a")
	if err := ledgertest.Record(t.Context(), s, other.ID, &taken); err != nil {
		t.Fatal(err)
	}
	h := halt(t, s)
	good := make([]ledger.Entry, 5)
	for i := range good {
		good[i] = ledgertest.NewEntry(w.ID, "a")
		if i == 2 {
			stolen := taken
			stolen.WindowID = w.ID
			h.queue(func() error { return ledgertest.Record(t.Context(), s, w.ID, &stolen) })
		}
		h.queue(func() error { return ledgertest.Record(t.Context(), s, w.ID, &good[i]) })
	}
	h.finish()
	for i, err := range h.errs {
		if want := map[bool]ledger.Code{true: ledger.CodeConflict}[i == 2]; ledger.CodeOf(err) != want {
			t.Errorf("unit %d: %v", i, err)
		}
	}
	if d := cmp.Diff(good, list(t, s, w.ID)); d != "" {
		t.Error(d)
	}
}

func TestFailedCommitIsUnknownToAllOfAGroup(t *testing.T) {
	s := sqliteStore(t)
	w := open(t, s)
	h := halt(t, s)
	real, commits := s.commitFunc, 0
	s.commitFunc = func(ctx context.Context, c *conn) error {
		if commits++; commits == 2 {
			return errOnPurpose
		}
		return real(ctx, c)
	}
	var runs atomic.Int32
	for range 5 {
		h.update(w.ID, func(ledger.Tx) error { runs.Add(1); return nil })
	}
	h.finish()
	for i, err := range h.errs {
		if ledger.CodeOf(err) != ledger.CodeUnavailable {
			t.Errorf("unit %d: %v", i, err)
		}
	}
	if runs.Load() != 5 {
		t.Errorf("5 updates ran %d times", runs.Load())
	}
}

func TestFullQueueTurnsAway(t *testing.T) {
	s := openStore(t, Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "l.db"), Queue: 2})
	w := open(t, s)
	h := halt(t, s)
	for range 3 {
		h.update(w.ID, func(ledger.Tx) error { return nil })
	}
	var e *ledger.Error
	if !errors.As(h.errs[2], &e) || e.Code != ledger.CodeUnavailable || e.RetryAfter <= 0 {
		t.Errorf("the third in a queue of two: %v", h.errs[2])
	}
	h.finish()
	if h.errs[0] != nil || h.errs[1] != nil {
		t.Error(h.errs)
	}
}

func TestGoneCallerIsNotRun(t *testing.T) {
	s := sqliteStore(t)
	w := open(t, s)
	h := halt(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	ran := false
	i := h.queue(func() error {
		return s.Update(ctx, w.ID, func(ledger.Tx) error { ran = true; return nil })
	})
	var told error
	h.update(w.ID, func(ledger.Tx) error { return nil })
	cancel()
	h.finish()
	told = h.errs[i]
	if ledger.CodeOf(told) != ledger.CodeUnavailable || !errors.Is(told, context.Canceled) || ran {
		t.Errorf("a caller that had gone: %v, ran %v", told, ran)
	}
}
