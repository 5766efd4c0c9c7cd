package sqlstore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// A census counts live windows' entries, and the second words and waits of runs that are not over.
func TestCensus(t *testing.T) {
	for name, opener := range both {
		t.Run(name, func(t *testing.T) {
			s := opener(t)
			now := s.cfg.Clock.Now()
			for _, state := range []ledger.WindowState{ledger.WindowOpen, ledger.WindowStuck, ledger.WindowStuck, ledger.WindowKept, ledger.WindowRolledBack} {
				w := ledgertest.NewWindow("w")
				w.State = state
				check(t, s.Open(t.Context(), w, func(tx ledger.Tx) error { return furnish(tx, now) }))
			}
			c, err := s.Census(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := &Census{
				Windows:   map[ledger.WindowState]int{ledger.WindowOpen: 1, ledger.WindowStuck: 2, ledger.WindowKept: 1, ledger.WindowRolledBack: 1},
				Rollbacks: map[ledger.RollbackState]int{ledger.RollbackWaiting: 5}, Waiting: map[string]int{"second_word": 5},
				Stuck:   map[ledger.Reason]int{ledger.ReasonDrifted: 6, ledger.ReasonFailed: 3},
				InDoubt: 6, Oldest: now.Add(-time.Hour), Words: 5,
			}
			if d := cmp.Diff(want, c); d != "" {
				t.Error(d)
			}
		})
	}
}

// furnish puts into a window two entries stuck by drift, one that failed, two in doubt, one that may still become an effect,
// and a run that waits for one of its two second words.
func furnish(tx ledger.Tx, now time.Time) error {
	var errs []error
	add := func(state ledger.EntryState, reason ledger.Reason, by time.Time) {
		e := ledgertest.NewEntry(tx.Window().ID, "sys")
		e.State, e.Reason, e.PerformBy = state, reason, by
		errs = append(errs, ledgertest.Insert(tx, &e))
	}
	add(ledger.EntryStuck, ledger.ReasonDrifted, time.Time{})
	add(ledger.EntryStuck, ledger.ReasonDrifted, time.Time{})
	add(ledger.EntryStuck, ledger.ReasonFailed, time.Time{})
	add(ledger.EntryIntended, "", now.Add(-time.Hour))
	add(ledger.EntryIntended, "", now.Add(-time.Minute))
	add(ledger.EntryIntended, "", now.Add(time.Hour))
	add(ledger.EntryApplied, "", now.Add(-2*time.Hour))
	run := ledger.Rollback{
		ID: uuid.Must(uuid.NewV7()), WindowID: tx.Window().ID, State: ledger.RollbackWaiting, Waiting: &ledger.Waiting{Why: "second_word"},
		Words: []ledger.Word{{System: "a", AskedAt: now}, {System: "b", AskedAt: now, GivenAt: now}}, CreatedAt: now, Trace: "00-x",
	}
	return errors.Join(append(errs, tx.InsertRollback(&run))...)
}

// No statement of a census walks over a table: what it reads stands in an index.
func TestCensusIsIndexed(t *testing.T) {
	s := sqliteStore(t)
	for _, c := range []struct {
		query string
		args  []any
	}{{countWindows, nil}, {countStuck, []any{"stuck"}}, {countInDoubt, []any{"intended", 1}}} {
		rows, err := s.read.DB.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+c.query, c.args...)
		check(t, err)
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int
			var detail string
			check(t, rows.Scan(&id, &parent, &unused, &detail))
			if strings.HasPrefix(detail, "SCAN") && !strings.Contains(detail, "INDEX windows_") {
				t.Errorf("%s\n%s", c.query, detail)
			}
		}
		check(t, rows.Err())
	}
}

// A commit's time is told, and that it failed.
func TestCommitsAreTold(t *testing.T) {
	for name, opener := range both {
		t.Run(name, func(t *testing.T) {
			s := opener(t)
			told := make(chan error, 10)
			s.cfg.CommittedFunc = func(took time.Duration, err error) {
				if took < 0 {
					t.Error(took)
				}
				told <- err
			}
			check(t, s.Open(t.Context(), ledgertest.NewWindow("w"), func(ledger.Tx) error { return nil }))
			if err := <-told; err != nil || len(told) > 0 {
				t.Errorf("%v, and %d more", err, len(told))
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
