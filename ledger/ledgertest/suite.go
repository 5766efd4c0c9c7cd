package ledgertest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sideledger/ledger"
)

// TestStore runs the suite that every [ledger.Store] passes. Each part gets a store of its own from open,
// which is empty and migrated and closes itself with t.
func TestStore(t *testing.T, open func(t *testing.T) ledger.Store) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, s ledger.Store)
	}{
		{"Windows", testWindows},
		{"WindowPages", testWindowPages},
		{"NoWindow", testNoWindow},
		{"FreshTx", testFreshTx},
		{"AllOrNone", testAllOrNone},
		{"OwnWritesAreSeen", testOwnWrites},
		{"TouchedEntries", testTouched},
		{"GoneCaller", testGoneCaller},
		{"EntryRoundTrip", testEntryRoundTrip},
		{"BytesExact", testBytesExact},
		{"EntryIDs", testEntryIDs},
		{"SaveEntry", testSaveEntry},
		{"Foresight", testForesight},
		{"Attempts", testAttempts},
		{"SameResource", testSameResource},
		{"EntryPages", testEntryPages},
		{"OpenOnly", testOpenOnly},
		{"Selection", testSelection},
		{"SharedResources", testSharedResources},
		{"Rivals", testRivals},
		{"RivalFields", testRivalFields},
		{"Renamed", testRenamed},
		{"Named", testNamed},
		{"RivalsAtOnce", testRivalsAtOnce},
		{"SystemsInUse", testSystemsInUse},
		{"AttemptTimes", testAttemptTimes},
		{"Rollbacks", testRollbacks},
		{"OneUnfinishedRollback", testOneUnfinished},
		{"FencedRollback", testFenced},
		{"Journal", testJournal},
		{"Replies", testReplies},
		{"RepliesAlone", testRepliesAlone},
		{"Tokens", testTokens},
		{"ConcurrentRecorders", testConcurrentRecorders},
		{"ConcurrentUpdates", testConcurrentUpdates},
		{"FailingUnits", testFailingUnits},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, open(t)) })
	}
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode ends the test unless err has the code.
func wantCode(t *testing.T, err error, want ledger.Code) {
	t.Helper()
	if ledger.CodeOf(err) != want {
		t.Fatalf("got %v (code %q), want code %q", err, ledger.CodeOf(err), want)
	}
}

// same ends the test unless got and want are equal.
func same(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("want (-), got (+):\n%s", d)
	}
}

var errOnPurpose = errors.New("failed on purpose")

// opened opens a window with one journal record.
func opened(t *testing.T, s ledger.Store, name string) ledger.Window {
	t.Helper()
	w := NewWindow(name)
	must(t, s.Open(t.Context(), w, func(tx ledger.Tx) error {
		_, err := Append(tx, "window.opened", uuid.Nil, uuid.Nil)
		return err
	}))
	return w
}

// recorded records entries.
func recorded(t *testing.T, s ledger.Store, windowID uuid.UUID, es ...*ledger.Entry) {
	t.Helper()
	must(t, Record(t.Context(), s, windowID, es...))
}

// update runs fn in the window and ends the test if that fails.
func update(t *testing.T, s ledger.Store, windowID uuid.UUID, fn func(ledger.Tx) error) {
	t.Helper()
	must(t, s.Update(t.Context(), windowID, fn))
}

// window reads a window.
func window(t *testing.T, s ledger.Store, id uuid.UUID) ledger.Window {
	t.Helper()
	w, err := s.FindWindow(t.Context(), id)
	must(t, err)
	return *w
}

// every reads all entries of a window, oldest first.
func every(t *testing.T, s ledger.Store, windowID uuid.UUID) []ledger.Entry {
	t.Helper()
	es, err := s.ListEntries(t.Context(), ledger.EntryQuery{WindowID: windowID, Limit: 1 << 20})
	must(t, err)
	return es
}

// checkJournal walks a window's journal and compares it with the fence row. It returns how many records there are.
func checkJournal(ctx context.Context, t *testing.T, s ledger.Store, windowID uuid.UUID) int {
	t.Helper()
	w, err := s.FindWindow(ctx, windowID)
	must(t, err)
	var prev ledger.Head
	for {
		rs, err := s.ListRecords(ctx, ledger.RecordQuery{WindowID: windowID, After: prev.Number, Limit: 7})
		must(t, err)
		if len(rs) == 0 {
			break
		}
		for _, r := range rs {
			prev = follow(t, prev, r)
		}
	}
	same(t, w.Head, prev)
	return int(prev.Number)
}
