package runner_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// A seal races recorders: every intent that was taken is in the window, and was before the seal; every refused one is
// not.
func TestSealRace(t *testing.T) {
	b := newBench(t)
	for round := range fewer(t, sealRounds, 5) {
		w, err := b.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "race"})
		if err != nil {
			t.Fatal(err)
		}
		var taken, refused atomic.Int64
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for i := range 200 {
			wg.Go(func() {
				<-begin
				d := draft(fmt.Sprintf("/%d", i), `{"v":1}`, `{"v":2}`)
				d.State = ledger.EntryIntended
				_, err := b.ledger.Record(t.Context(), w.ID, []ledger.Draft{d})
				if err == nil {
					taken.Add(1)
				} else if refused.Add(1); ledger.CodeOf(err) != ledger.CodeConflict {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			<-begin
			if _, err := b.ledger.Seal(t.Context(), w.ID, ""); err != nil {
				t.Error(err)
			}
		})
		close(begin)
		wg.Wait()
		list, err := b.ledger.Entries(t.Context(), ledger.EntryQuery{WindowID: w.ID, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(list)) != taken.Load() || taken.Load()+refused.Load() != 200 {
			t.Fatalf("round %d: %d taken, %d refused, %d in the window", round, taken.Load(), refused.Load(), len(list))
		}
		for i, e := range list {
			if e.Seq != i+1 {
				t.Fatalf("round %d: entry %d has number %d", round, i+1, e.Seq)
			}
		}
		b.checkNothingAfterTheSeal(w.ID)
	}
}

// checkNothingAfterTheSeal holds the journal of a window of intents to what a seal says: none follows it.
func (b *bench) checkNothingAfterTheSeal(window uuid.UUID) {
	b.Helper()
	records, err := b.ledger.Records(b.Context(), ledger.RecordQuery{WindowID: window, Limit: 1000})
	if err != nil {
		b.Fatal(err)
	}
	sealed := false
	for _, r := range records {
		sealed = sealed || r.Kind == "window.sealed"
		if sealed && r.Kind == "entry.recorded" {
			b.Fatalf("record %d is an intent that was taken after the seal", r.Number)
		}
	}
	if !sealed {
		b.Fatal("the journal tells of no seal")
	}
}

// An interposed is a store in which something else is written just before the next update.
type interposed struct {
	ledger.Store
	beforeFunc func() // nil: nothing
}

func (s *interposed) Update(ctx context.Context, id uuid.UUID, fn func(ledger.Tx) error) error {
	if before := s.beforeFunc; before != nil {
		s.beforeFunc = nil
		before()
	}
	return s.Store.Update(ctx, id, fn)
}

// Whether a window takes an intent is decided under its fence: what comes between the checks of a call and its
// transaction refuses the intent, and no fact.
func TestSealBetweenCheckAndRecord(t *testing.T) {
	for name, move := range map[string]func(b *bench) error{
		"seal": func(b *bench) error { _, err := b.ledger.Seal(b.Context(), b.window, ""); return err },
		"keep": func(b *bench) error { _, err := b.ledger.Keep(b.Context(), b.window, ""); return err },
		"rollback": func(b *bench) error {
			_, err := b.ledger.StartRollback(b.Context(), b.window, ledger.RollbackRequest{})
			return err
		},
	} {
		for state, want := range map[ledger.EntryState]ledger.Code{ledger.EntryIntended: ledger.CodeConflict, ledger.EntryApplied: ""} {
			t.Run(name+" before "+string(state), func(t *testing.T) {
				s := &interposed{Store: openStore(t)}
				b := newBenchOn(t, s)
				b.updates(1) // or a rollback has nothing to do
				s.beforeFunc = func() {
					if err := move(b); err != nil {
						t.Error(err)
					}
				}
				d := draft("/late", `{"v":1}`, `{"v":2}`)
				d.State = state
				if _, err := b.ledger.Record(t.Context(), b.window, []ledger.Draft{d}); ledger.CodeOf(err) != want {
					t.Errorf("got %v, want code %q", err, want)
				}
				taken := map[ledger.Code]int{"": 2, ledger.CodeConflict: 1}[want]
				list, err := b.ledger.Entries(t.Context(), ledger.EntryQuery{WindowID: b.window, Limit: 10})
				if err != nil || len(list) != taken {
					t.Errorf("%d entries in the window, want %d: %v", len(list), taken, err)
				}
			})
		}
	}
}
