package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/remediators"
)

const (
	wardSystems = 10
	wardLatency = 50 * time.Millisecond // of a healthy answer
	wardRetry   = 30 * time.Second      // how long a breaker stays open: the default
)

// A sickness is how the first of ten third parties misbehaves.
type sickness string

const (
	healthy   sickness = ""
	answers0  sickness = "closes every connection"
	refuses   sickness = "refuses connections"
	storms429 sickness = "429"
	storms500 sickness = "500"
	storms503 sickness = "503, Retry-After: 20"
	hangs     sickness = "never answers"
	hangsBody sickness = "answers headers and hangs"
	hangsDial sickness = "never accepts"
	hangsUndo sickness = "answers reads, never an undo"
)

// A patient is one third party in memory.
type patient struct {
	name     string
	sick     sickness
	listener *pipeListener
	server   *http.Server
	mu       sync.Mutex
	docs     map[string]string
	calls    []time.Time // that reached it, or tried to
}

func newPatient(name string, sick sickness) *patient {
	p := &patient{name: name, sick: sick, listener: newPipeListener(), docs: map[string]string{}}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Hour}
	go func() { _ = p.server.Serve(p.listener) }()
	return p
}

func (p *patient) called() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, time.Now())
}

func (p *patient) dial(ctx context.Context) (net.Conn, error) {
	switch p.sick {
	case refuses:
		p.called()
		return nil, errors.New("refused")
	case hangsDial:
		p.called()
		<-ctx.Done()
		return nil, ctx.Err()
	case healthy, answers0, storms429, storms500, storms503, hangs, hangsBody, hangsUndo:
	}
	return p.listener.dial(ctx)
}

// ServeHTTP answers as the sickness has it.
func (p *patient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.called()
	body, _ := io.ReadAll(r.Body)
	switch {
	case p.sick == answers0:
		panic(http.ErrAbortHandler)
	case p.sick == storms429:
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case p.sick == storms500:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case p.sick == storms503:
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case p.sick == hangsBody:
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	case p.sick == hangs, p.sick == hangsUndo && r.Method != http.MethodGet:
		<-r.Context().Done()
		return
	}
	t := time.NewTimer(wardLatency)
	defer t.Stop()
	<-t.C
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Method == http.MethodPut {
		p.docs[r.URL.Path] = string(body)
	}
	_, _ = io.WriteString(w, p.docs[r.URL.Path])
}

// most returns the largest number of calls in any minute that begins after skip calls.
func (p *patient) most(skip int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	most := 0
	for i := skip; i < len(p.calls); i++ {
		n := 0
		for _, c := range p.calls[i:] {
			if c.Sub(p.calls[i]) < time.Minute {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// A ward is ten third parties with entries to undo, in one window or in one for each.
type ward struct {
	*testing.T
	patients []*patient
	store    *sqlstore.Store
	registry *remediators.Registry
	ledger   *ledger.Ledger
	waker    *runner.Waker
	windows  []uuid.UUID
}

func newWard(t *testing.T, url string, sick sickness, windows, each int) *ward {
	t.Helper()
	w := &ward{T: t, waker: runner.NewWaker()}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if w.store, err = sqlstore.Open(t.Context(), sqlstore.Config{URL: url, Clock: time.Now, Log: quiet}); err != nil {
		t.Fatal(err)
	}
	systems := map[string]remediators.SystemConfig{}
	for i := range wardSystems {
		p := newPatient(fmt.Sprintf("party%d", i), map[bool]sickness{true: sick}[i == 0])
		w.patients = append(w.patients, p)
		systems[p.name] = remediators.SystemConfig{Remediator: "http", URL: "http://" + p.name + ".test", Retry: remediators.RetryConfig{Cap: wardRetry}}
	}
	w.registry, _, err = remediators.NewRegistry(remediators.Options{
		Systems: systems, Factories: factories(), Clock: time.Now, Log: quiet, Getenv: func(string) string { return "" }, DialFunc: w.dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.ledger = ledger.New(ledger.Config{Store: w.store, Systems: w.registry, Clock: time.Now, Log: quiet, Waker: w.waker})
	for range windows {
		opened, err := w.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "ward"})
		if err != nil {
			t.Fatal(err)
		}
		w.windows = append(w.windows, opened.ID)
	}
	w.record(each)
	return w
}

func (w *ward) dial(ctx context.Context, _, address string) (net.Conn, error) {
	for _, p := range w.patients {
		if address == p.name+".test:80" {
			return p.dial(ctx)
		}
	}
	return nil, errors.New("nobody is there")
}

// record makes each entries at every system, taking turns.
func (w *ward) record(each int) {
	for i := range each {
		for s, p := range w.patients {
			at := fmt.Sprintf("/r/%d", i)
			p.docs[at] = `{"v":"new"}`
			d := simDraft(p.name, at, "old", "new")
			if _, err := w.ledger.Record(w.Context(), w.windows[s%len(w.windows)], []ledger.Draft{d}); err != nil {
				w.Fatal(err)
			}
		}
	}
}

// run rolls all windows back and returns when the last entry of the nine was undone, from the start. What the
// tenth needs is not waited for.
func (w *ward) run() time.Duration {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(w.Context(), 8*time.Minute)
	defer cancel()
	for _, id := range w.windows {
		if _, err := w.ledger.StartRollback(ctx, id, ledger.RollbackRequest{Reason: "ward"}); err != nil {
			w.Fatal(err)
		}
	}
	runner.New(runner.Config{
		Ledger: w.ledger, Waker: w.waker, Clock: time.Now, Log: slog.New(slog.DiscardHandler), Sole: true,
		JitterFunc: func(d time.Duration) time.Duration { return d },
	}).Run(ctx)
	var last time.Time
	for _, id := range w.windows {
		list, err := w.ledger.Entries(w.Context(), ledger.EntryQuery{WindowID: id, Limit: 10_000})
		if err != nil {
			w.Fatal(err)
		}
		for i := range list {
			e := &list[i]
			if e.System == w.patients[0].name {
				if w.patients[0].sick != healthy && e.State == ledger.EntryUndone {
					w.Errorf("entry %d of the sick one is %s", e.Seq, e.State)
				}
				continue
			}
			if e.State != ledger.EntryUndone {
				w.Errorf("entry %d of %s is %s: %s", e.Seq, e.System, e.State, e.Detail)
			}
			if e.UndoneAt.After(last) {
				last = e.UndoneAt
			}
		}
	}
	return last.Sub(begun)
}

func (w *ward) close() {
	for _, p := range w.patients {
		_ = p.server.Close()
		_ = p.listener.Close()
	}
	w.registry.Close()
	if err := w.store.Close(); err != nil {
		w.Error(err)
	}
	synctest.Wait()
}

// sickCases say what a sickness may cost the other nine of one window. Those of many windows lose nothing: each
// window has a walk of its own.
var sickCases = []struct {
	sick    sickness
	windows int
	// waits is how much longer than undisturbed the nine may take beyond 1.2 times their time. One walk waits for
	// the call that it makes: a third party that hangs costs its window one call's time, which is 30 s, and
	// twice that where an undo may be sent again at once.
	waits time.Duration
	// silent: the breaker opens, and from then on there are at most two calls in a minute.
	silent bool
}{
	{answers0, 1, 0, true},
	{refuses, 1, 0, true},
	{storms429, 1, 0, false},
	{storms500, 1, 0, false},
	{storms503, 1, 0, false},
	{hangs, 1, 0, true},
	{hangsBody, 1, 0, true},
	{hangsDial, 1, 0, true},
	{hangsUndo, 1, 0, false},
	{hangs, wardSystems, 0, true},
	{storms429, wardSystems, 0, false},
}

// One sick third party of ten: how long the other nine take, against what they take undisturbed, and how
// often the sick one is called once its breaker is open. Time is simulated, so the figures are exact.
func TestOneSickOfTen(t *testing.T) {
	took := func(sick sickness, windows int) (d time.Duration, calls int) {
		url := emptyLedger(t)
		synctest.Test(t, func(t *testing.T) {
			w := newWard(t, url, sick, windows, 20)
			defer w.close()
			d = w.run()
			calls = w.patients[0].most(5)
		})
		return d, calls
	}
	undisturbed := map[int]time.Duration{}
	for i, c := range sickCases {
		if (raceDetector || ledgertest.OnPostgres(t)) && i%4 != 0 {
			continue // ten times as slow
		}
		alone, ok := undisturbed[c.windows]
		if !ok {
			alone, _ = took(healthy, c.windows)
			undisturbed[c.windows] = alone
		}
		d, calls := took(c.sick, c.windows)
		t.Logf("figure: windows: %d; one of ten %s: the nine take %s, undisturbed %s: %.2f x; at most %d calls a minute to the sick one",
			c.windows, c.sick, d.Round(time.Millisecond), alone.Round(time.Millisecond), float64(d)/float64(alone), calls)
		if d > alone*12/10+c.waits {
			t.Errorf("%s, %d windows: the nine took %s, undisturbed %s", c.sick, c.windows, d, alone)
		}
		if c.silent && calls > 2 {
			t.Errorf("%s, %d windows: %d calls in a minute while its breaker was open", c.sick, c.windows, calls)
		}
	}
}
