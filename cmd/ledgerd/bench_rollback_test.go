package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/runner"
	"sideledger/remediators"
)

// slowThird is a third party over HTTP that takes its time over every call.
type slowThird struct {
	mu      sync.Mutex
	state   map[string][]byte
	latency time.Duration
	calls   atomic.Int64
}

func (s *slowThird) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	time.Sleep(s.latency)
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodPut {
		s.state[r.URL.Path] = body
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.state[r.URL.Path])
}

// plainLoop makes the calls of a rollback and nothing else: look, undo, look, for every entry.
func plainLoop(b *testing.B, url string, n int) time.Duration {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	call := func(method, at, body string) {
		req, err := http.NewRequestWithContext(b.Context(), method, url+at, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	began := time.Now()
	for i := range n {
		at := "/plain/" + strconv.Itoa(i)
		call(http.MethodGet, at, "")
		call(http.MethodPut, at, `{"v":"old"}`)
		call(http.MethodGet, at, "")
	}
	return time.Since(began)
}

// rollBack records n entries at a third party and times their rollback.
func rollBack(b *testing.B, url string, third *slowThird, n int) time.Duration {
	b.Helper()
	registry, _, err := remediators.NewRegistry(remediators.Options{
		Systems:   map[string]remediators.SystemConfig{"sys": {Remediator: "http", URL: url, AllowPrivate: true}},
		Factories: factories(), Clock: time.Now, Log: slog.New(slog.DiscardHandler), Getenv: os.Getenv,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer registry.Close()
	s := newBenchServer(b, registry)
	for i := range n {
		third.state["/r/"+strconv.Itoa(i)] = fmt.Appendf(nil, `{"v":"new-%d","enabled":true}`, i)
	}
	s.batches.run(b, 1, n/100)
	settle(b, s)
	third.calls.Store(0)
	return timeRun(b, s, 1)
}

// timeRun rolls the window back and returns how long that took.
func timeRun(b *testing.B, s *benchServer, parallel int) time.Duration {
	b.Helper()
	began := time.Now()
	run, err := s.ledger.StartRollback(b.Context(), s.window, ledger.RollbackRequest{Parallel: parallel})
	if err != nil {
		b.Fatal(err)
	}
	r := runner.New(runner.Config{Ledger: s.ledger, Waker: s.waker, Clock: time.Now, Log: slog.New(slog.DiscardHandler), Sole: true, JitterFunc: rand.N[time.Duration]})
	r.RunOne(b.Context(), run.ID)
	took := time.Since(began)
	if done, err := s.ledger.Rollback(b.Context(), run.ID); err != nil || !done.Complete {
		b.Fatalf("%+v, %v", done, err)
	}
	return took
}

// BenchmarkRollbackSideBySide rolls 1,000 entries over 16 systems of 20 ms back, all systems at once, and reports how
// long that took against a plain loop of the calls of the longest system, which is the critical path. The entries lie
// in turns, or one system after the other.
func BenchmarkRollbackSideBySide(b *testing.B) {
	const n, systems = 1000, 16
	for name, systemOf := range map[string]func(i int) int{
		"in turns":         func(i int) int { return i % systems },
		"system by system": func(i int) int { return i * systems / n },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				third := &slowThird{state: map[string][]byte{}, latency: 20 * time.Millisecond}
				web := httptest.NewServer(third)
				critical := plainLoop(b, web.URL, (n+systems-1)/systems)
				s, end := newSideBySide(b, web.URL, systems)
				drafts := make([]ledger.Draft, n)
				for i := range drafts {
					at := "/r/" + strconv.Itoa(i)
					third.state[at] = []byte(`{"v":"new"}`)
					drafts[i] = simDraft(fmt.Sprintf("sys%d", systemOf(i)), at, "old", "new")
				}
				if _, err := s.ledger.Record(b.Context(), s.window, drafts); err != nil {
					b.Fatal(err)
				}
				took := timeRun(b, s, systems)
				b.ReportMetric(took.Seconds()/critical.Seconds(), "x-critical-path")
				b.ReportMetric(ms(took), "ms")
				end()
				web.Close()
			}
		})
	}
}

// newSideBySide returns a ledger with several systems at one address.
func newSideBySide(b *testing.B, url string, systems int) (s *benchServer, end func()) {
	b.Helper()
	config := map[string]remediators.SystemConfig{}
	for i := range systems {
		config[fmt.Sprintf("sys%d", i)] = remediators.SystemConfig{Remediator: "http", URL: url, AllowPrivate: true}
	}
	registry, _, err := remediators.NewRegistry(remediators.Options{
		Systems: config, Factories: factories(), Clock: time.Now, Log: slog.New(slog.DiscardHandler), Getenv: os.Getenv,
	})
	if err != nil {
		b.Fatal(err)
	}
	return newBenchServer(b, registry), registry.Close
}

// settle reports every intent of the window as applied.
func settle(b *testing.B, s *benchServer) {
	b.Helper()
	list, err := s.ledger.Entries(b.Context(), ledger.EntryQuery{WindowID: s.window, Limit: 100_000})
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	lanes := make(chan struct{}, 64)
	for i := range list {
		lanes <- struct{}{}
		wg.Go(func() {
			defer func() { <-lanes }()
			if _, err := s.ledger.Applied(context.WithoutCancel(b.Context()), list[i].ID, ledger.Report{}); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}
