package sqlstore

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// BenchmarkLimits asks for turns, and for slots that it gives back, of one system and of one for each client, at a PostgreSQL with
// fsync. us/call is how long one client waits for one; calls/s is what all get together.
func BenchmarkLimits(b *testing.B) {
	server := ledgertest.Postgres{Sync: true}
	b.Cleanup(func() {
		if err := server.Stop(); err != nil {
			b.Error(err)
		}
	})
	turns := openStore(b, Config{URL: server.Database(b)}).Turns()
	turns.wanted = 1
	for name, ask := range map[string]func(system string) error{
		"turn": func(system string) error {
			_, _, err := turns.Turn(b.Context(), system, ledger.Pace{Every: time.Microsecond})
			return err
		},
		"slot": func(system string) error {
			s, err := turns.Slot(b.Context(), system, 64)
			if s != nil {
				s.Free()
			}
			return err
		},
		"deletion": func(system string) error {
			_, err := turns.CountDeletion(b.Context(), system, 60, true)
			return err
		},
	} {
		for _, c := range []struct{ clients, systems int }{{1, 1}, {4, 1}, {4, 4}, {16, 1}, {16, 16}} {
			b.Run(fmt.Sprintf("%s/clients=%d/systems=%d", name, c.clients, c.systems), func(b *testing.B) {
				var wg sync.WaitGroup
				began := time.Now()
				for i := range c.clients {
					wg.Go(func() {
						for range b.N {
							if err := ask(fmt.Sprint(name, i%c.systems)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				took := time.Since(began)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(took.Microseconds())/float64(b.N), "us/call")
				b.ReportMetric(float64(b.N*c.clients)/took.Seconds(), "calls/s")
			})
		}
	}
}
