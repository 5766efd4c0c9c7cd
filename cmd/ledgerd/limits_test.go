package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// A metered third party knows when each call arrived, and how many were under way at once.
type metered struct {
	inner http.Handler
	mu    sync.Mutex
	at    []time.Time
	under int
	most  int
}

func (m *metered) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.at = append(m.at, time.Now())
	m.under++
	m.most = max(m.most, m.under)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.under--
	}()
	m.inner.ServeHTTP(w, r)
	time.Sleep(5 * time.Millisecond) // long enough for a second one to be seen
}

// limited starts three replicas with a system of these limits.
func limited(t *testing.T, rate string) (*fleet, *metered) {
	t.Helper()
	m := &metered{}
	f := newFleetWith(t, postgres.Database(t), func(third *counting) string {
		m.inner = third
		web := httptest.NewServer(m)
		t.Cleanup(web.Close)
		return fmt.Sprintf("  limited: {remediator: http, url: %q, allow_private: true, retry: {base: 10ms, cap: 200ms}, rate: %s}\n", web.URL, rate)
	})
	f.system = "limited"
	return f, m
}

// Three replicas look at one window while a rollback of another one runs: all calls together keep to the limits of the system.
func TestLimitsHoldOverAllReplicas(t *testing.T) {
	t.Parallel()
	const perSecond, entries = 20, 8
	f, third := limited(t, fmt.Sprintf("{per_second: %d, concurrent: 1}", perSecond))
	undone, planned := f.open("undone"), f.open("planned")
	f.record(undone, "c", entries)
	f.record(planned, "c", entries)
	third.mu.Lock()
	third.at, third.most = nil, 0 // what recording asked
	third.mu.Unlock()
	began := time.Now()
	var wg sync.WaitGroup
	for _, s := range f.list {
		wg.Go(func() {
			if _, err := s.client.Plan(f.Context(), planned, client.Selection{}); err != nil {
				t.Error(err)
			}
		})
	}
	run, err := f.list[0].client.StartRollback(t.Context(), undone, wire.RollbackRequest{Reason: "r"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r := f.over(f.list[1], run.ID); !r.Complete || r.Counts.Undone != entries {
		t.Errorf("%+v", r)
	}
	wg.Wait()
	third.mu.Lock()
	defer third.mu.Unlock()
	if third.most != 1 {
		t.Errorf("%d calls were under way at once", third.most)
	}
	if n := len(third.at); n < 3*entries+len(f.list)*entries {
		t.Errorf("%d calls", n)
	}
	for i, at := range third.at { // however late a call is, it is never before its turn
		if earliest := began.Add(time.Duration(i-1) * time.Second / perSecond); at.Before(earliest) {
			t.Fatalf("call %d arrived %v too early", i+1, earliest.Sub(at))
		}
	}
	t.Logf("%d calls of three replicas in %v", len(third.at), time.Since(began).Round(time.Millisecond))
}

// The replica that dies in a call, and has the one slot of the system with it, keeps the others out for a lease at most.
func TestReplicaDiesWithASlot(t *testing.T) {
	t.Parallel()
	f, _ := limited(t, "{concurrent: 1}")
	f.dies(syscall.SIGKILL)
}
