package runner_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/ledger/sqlstore/sqlstoretest"
)

// bench is a ledger on a real store with a third party in memory.
type bench struct {
	*testing.T
	store  ledger.Store
	third  *ledgertest.Third
	waker  *runner.Waker
	ledger *ledger.Ledger
	window uuid.UUID
}

// openStore opens a new ledger: on SQLite, and for what runs below TestOnPostgres there.
func openStore(t *testing.T) *sqlstore.Store {
	t.Helper()
	if ledgertest.OnPostgres(t) {
		return sqlstoretest.Open(t, sqlstore.Config{URL: migrated(t)})
	}
	return sqlstoretest.Open(t, sqlstore.Config{})
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchOn(t, openStore(t))
}

func newBenchOn(t *testing.T, s ledger.Store) *bench {
	t.Helper()
	b := &bench{T: t, store: s, third: ledgertest.NewThird(), waker: runner.NewWaker()}
	b.ledger = ledger.New(ledger.Config{Store: s, Systems: b.third, Clock: time.Now, Log: quiet(), Waker: b.waker})
	w, err := b.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	b.window = w.ID
	return b
}

func (b *bench) runner() *runner.Runner {
	return runner.New(runner.Config{
		Ledger: b.ledger, Waker: b.waker, Clock: time.Now, Log: quiet(), Sole: true,
		JitterFunc: func(d time.Duration) time.Duration { return d },
	})
}

// runnerPaused is the runner of a server that was started with --paused.
func (b *bench) runnerPaused() *runner.Runner {
	r := b.runner()
	r.Paused = true
	return r
}

func (b *bench) runState(id uuid.UUID) ledger.RollbackState {
	b.Helper()
	run, err := b.ledger.Rollback(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	return run.State
}

func image(s string) ledger.Image {
	if s == "" {
		return ledger.Image{}
	}
	return ledger.Image{JSON: json.RawMessage(s)}
}

// draft is an entry that changed resource at from before to after.
func draft(at, before, after string) ledger.Draft {
	d := ledger.Draft{
		System: "sys", Kind: "test", Action: ledger.ActionUpdate, State: ledger.EntryApplied,
		Resource: json.RawMessage(fmt.Sprintf(`{"path":%q}`, at)), Before: image(before), After: image(after),
	}
	if before == "null" {
		d.Action = ledger.ActionCreate
	}
	return d
}

// record records drafts and makes their effects.
func (b *bench) record(list ...ledger.Draft) []*ledger.Entry {
	b.Helper()
	var out []*ledger.Entry
	for _, d := range list {
		if d.State == ledger.EntryApplied && !d.After.IsAbsent() {
			b.third.Set(ledgertest.Path(d.Resource), string(d.After.JSON))
		}
		r, err := b.ledger.Record(b.Context(), b.window, []ledger.Draft{d})
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, r[0].Entry)
	}
	return out
}

// updates records n entries that changed /r/1 … /r/n.
func (b *bench) updates(n int) []*ledger.Entry {
	b.Helper()
	var list []ledger.Draft
	for i := 1; i <= n; i++ {
		list = append(list, draft(fmt.Sprintf("/r/%d", i), fmt.Sprintf(`{"v":"old-%d"}`, i), fmt.Sprintf(`{"v":"new-%d"}`, i)))
	}
	return b.record(list...)
}

// undoParallel lets every run of these tests undo at several systems at once: what holds for one call after the
// other holds for calls beside each other.
var undoParallel = flag.Int("undo.parallel", 0, "at how many systems at once runs undo that do not say it themselves")

func (b *bench) start(r ledger.RollbackRequest) *ledger.RollbackView {
	b.Helper()
	if r.Parallel == 0 {
		r.Parallel = *undoParallel
	}
	run, err := b.ledger.StartRollback(b.Context(), b.window, r)
	if err != nil {
		b.Fatal(err)
	}
	return run
}

// finish works on the run until it is over and returns it.
func (b *bench) finish(id uuid.UUID) *ledger.RollbackView {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	b.runner().RunOne(ctx, id)
	run, err := b.ledger.Rollback(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	return run
}

// rollback starts a run of everything and works on it to its end.
func (b *bench) rollback(r ledger.RollbackRequest) *ledger.RollbackView {
	b.Helper()
	run := b.finish(b.start(r).ID)
	b.checkJournal()
	return run
}

func (b *bench) entry(id uuid.UUID) *ledger.Entry {
	b.Helper()
	e, err := b.ledger.Entry(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func (b *bench) state() ledger.WindowState {
	b.Helper()
	w, err := b.ledger.Window(b.Context(), b.window)
	if err != nil {
		b.Fatal(err)
	}
	return w.State
}

func (b *bench) wantState(e *ledger.Entry, want string) {
	b.Helper()
	got := b.entry(e.ID)
	text := string(got.State)
	switch got.State {
	case ledger.EntryUndone:
		text += " " + string(got.Outcome)
	case ledger.EntryStuck:
		text += " " + string(got.Reason)
	case ledger.EntryIntended, ledger.EntryApplied, ledger.EntryVoid, ledger.EntryUndoing, ledger.EntryWaived:
	}
	if text != want {
		b.Errorf("entry %d is %s (%s), want %s", got.Seq, text, got.Detail, want)
	}
}

// checkJournal rebuilds the window from its journal and sets it beside the store.
func (b *bench) checkJournal() {
	b.Helper()
	ctx := b.Context()
	var got ledger.Rebuilt
	for after := int64(0); ; {
		list, err := b.ledger.Records(ctx, ledger.RecordQuery{WindowID: b.window, After: after, Limit: 500})
		if err != nil {
			b.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, r := range list {
			if r.Number != after+1 {
				b.Fatalf("record %d follows %d", r.Number, after)
			}
			after = r.Number
			if err := got.Apply(r); err != nil {
				b.Fatal(err)
			}
		}
	}
	w, err := b.ledger.Window(ctx, b.window)
	if err != nil {
		b.Fatal(err)
	}
	entries, err := b.ledger.Entries(ctx, ledger.EntryQuery{WindowID: b.window, Limit: 10000})
	if err != nil {
		b.Fatal(err)
	}
	same := cmp.Options{cmpopts.EquateEmpty()}
	if d := cmp.Diff(w.Window, got.Window, same); d != "" {
		b.Errorf("the journal tells another window (-store +journal):\n%s", d)
	}
	for i := range entries {
		entries[i].DataKey = nil // it stands beside the journal
	}
	if d := cmp.Diff(entries, got.Entries, same); d != "" {
		b.Errorf("the journal tells other entries (-store +journal):\n%s", d)
	}
}
