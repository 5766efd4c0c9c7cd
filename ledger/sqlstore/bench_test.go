package sqlstore

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// BenchmarkRatios compares the group commit with a bare loop that puts one row into a transaction, in one
// run on one disk, since absolute numbers say more about the disk than about the code:
//
//	group64/bare   64 callers, one entry an update: entries per second against the loop's rows (goal: 8 or more)
//	lone/bare      one caller, one entry an update: time against the loop's (goal: 1.2 or less)
//	batch100/bare  8 callers, 100 entries an update: entries per second against the loop's rows (goal: 24 or more)
//
// The four are measured in turn, several times over; the ratios are of the medians.
func BenchmarkRatios(b *testing.B) {
	const rounds = 5
	var bare, group, lone, batch []time.Duration // for one row or entry
	for b.Loop() {
		for range rounds {
			bare = append(bare, bareLoop(b, 300))
			group = append(group, recordLoop(b, 64, 60, 1))
			lone = append(lone, recordLoop(b, 1, 300, 1))
			batch = append(batch, recordLoop(b, 8, 10, 100))
		}
	}
	base := float64(median(bare))
	b.ReportMetric(base/1e3, "bare-us")
	b.ReportMetric(base/float64(median(group)), "group64/bare")
	b.ReportMetric(float64(median(lone))/base, "lone/bare")
	b.ReportMetric(base/float64(median(batch)), "batch100/bare")
	b.ReportMetric(0, "ns/op")
}

func median(ds []time.Duration) time.Duration {
	sorted := append([]time.Duration{}, ds...)
	for i := range sorted {
		for j := i; j > 0 && sorted[j] < sorted[j-1]; j-- {
			sorted[j], sorted[j-1] = sorted[j-1], sorted[j]
		}
	}
	return sorted[len(sorted)/2]
}

// bareLoop inserts n rows about as large as an entry, each in a transaction of its own, with one prepared
// statement, under the same pragmas. It returns the time for one.
func bareLoop(b *testing.B, n int) time.Duration {
	b.Helper()
	dsn := "file:" + filepath.Join(b.TempDir(), "bare.db") + "?" + pragmas + "&_txlock=immediate"
	db, err := openBun(dsn, 1)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	_, err = db.DB.ExecContext(b.Context(), "CREATE TABLE rows (id TEXT PRIMARY KEY, window_id TEXT, seq INTEGER, body BLOB, UNIQUE (window_id, seq))")
	if err != nil {
		b.Fatal(err)
	}
	insert, err := db.DB.PrepareContext(b.Context(), "INSERT INTO rows VALUES (?, ?, ?, ?)")
	if err != nil {
		b.Fatal(err)
	}
	defer insert.Close()
	window, body := uuid.NewString(), make([]byte, 500)
	began := time.Now()
	for i := range n {
		tx, err := db.DB.BeginTx(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		own := tx.StmtContext(b.Context(), insert) //nolint:sqlclosecheck // it ends with its transaction
		if _, err := own.ExecContext(b.Context(), uuid.NewString(), window, i, body); err != nil {
			b.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began) / time.Duration(n)
}

// recordLoop lets each caller make its updates, of size entries each, and returns the time for one entry.
func recordLoop(b *testing.B, callers, updates, size int) time.Duration {
	b.Helper()
	s := sqliteStore(b)
	w := ledgertest.NewWindow("w")
	if err := s.Open(b.Context(), w, func(ledger.Tx) error { return nil }); err != nil {
		b.Fatal(err)
	}
	entries := make([][]ledger.Entry, callers*updates)
	for i := range entries {
		for range size {
			e := ledgertest.NewEntry(w.ID, "flags")
			e.Resource = fmt.Appendf(nil, `{"project":"default","feature":"net.bulk-api-%d","environment":"production"}`, i)
			entries[i] = append(entries[i], e)
		}
	}
	var wg sync.WaitGroup
	began := time.Now()
	for c := range callers {
		wg.Go(func() {
			for _, es := range entries[c*updates : (c+1)*updates] {
				if err := record(b.Context(), s, w.ID, es); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began) / time.Duration(callers*updates*size)
}

// record does what the ledger does for each posted entry: look for its id, add it, append to the journal.
func record(ctx context.Context, s *Store, windowID uuid.UUID, es []ledger.Entry) error {
	return s.Update(ctx, windowID, func(tx ledger.Tx) error {
		for i := range es {
			es[i].ID = ledger.NewID() // as a script does just before it posts
			if _, _, err := tx.FindEntry(es[i].ID); err != nil {
				return err
			}
			if err := ledgertest.Insert(tx, &es[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// BenchmarkRecord measures processor time for one entry, which other work on the machine disturbs less.
func BenchmarkRecord(b *testing.B) {
	for _, c := range []struct{ callers, updates, size int }{{1, 400, 1}, {64, 100, 1}, {1, 200, 100}, {8, 50, 100}} {
		b.Run(fmt.Sprintf("callers=%d/entries=%d", c.callers, c.size), func(b *testing.B) {
			var wall, used time.Duration
			n := 0
			for b.Loop() {
				n++
				cpu := processorTime(b)
				wall += recordLoop(b, c.callers, c.updates, c.size)
				used += processorTime(b) - cpu
			}
			entries := float64(n * c.callers * c.updates * c.size)
			b.ReportMetric(float64(wall.Nanoseconds())/1e3/float64(n), "us/entry")
			b.ReportMetric(float64(used.Nanoseconds())/1e3/entries, "cpu-us/entry")
		})
	}
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
