package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"sideledger/ledger"
)

// A simParty is a third party in memory that misbehaves as its seed says. It is the judge: it counts what
// really changed.
type simParty struct {
	name     string
	listener *pipeListener
	server   *http.Server
	calls    sync.WaitGroup
	mu       sync.Mutex
	rnd      *rand.Rand
	state    map[string]string
	before   map[string]string // what a lying read still shows
	changes  map[string]int
	order    []string
	when     map[string]int64 // place of the last change of each path among those of all third parties
	ends     time.Time        // of all trouble
	away     [2]time.Time
	bad      int // in a hundred calls, until the trouble ends

	orderFunc func() int64               // the next place; nil: nobody asks
	whimFunc  func(method string) string // what goes wrong with a call instead; nil: chance decides. The lock is held
}

func newSimParty(seed uint64, name string) *simParty {
	p := &simParty{
		name: name, listener: newPipeListener(), rnd: rand.New(rand.NewPCG(seed, 2)),
		state: map[string]string{}, before: map[string]string{}, changes: map[string]int{}, when: map[string]int64{},
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(p.listener) }()
	return p
}

// close ends the server and waits for what it is doing.
func (p *simParty) close() {
	_ = p.server.Close()
	p.calls.Wait()
}

// trouble decides what will go wrong, and until when.
func (p *simParty) trouble(rnd *rand.Rand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.bad = rnd.IntN(60)
	p.ends = now.Add(time.Duration(rnd.Int64N(int64(10 * time.Minute))))
	if rnd.IntN(3) == 0 {
		from := now.Add(time.Duration(rnd.Int64N(int64(time.Minute))))
		longest := 10 * time.Minute
		if rnd.IntN(50) == 0 {
			longest = 24 * time.Hour
		}
		p.away = [2]time.Time{from, from.Add(time.Duration(rnd.Int64N(int64(longest))))}
	}
}

func (p *simParty) put(at, v string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state[at] = fmt.Sprintf(`{"v":%q}`, v)
}

// look returns the value at a path and how often an undo really changed it.
func (p *simParty) look(at string) (string, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range []string{"old", "new", "foreign"} {
		if p.state[at] == fmt.Sprintf(`{"v":%q}`, v) {
			return v, p.changes[at]
		}
	}
	return p.state[at], p.changes[at]
}

// ServeHTTP answers, or does worse.
func (p *simParty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.calls.Add(1)
	defer p.calls.Done()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p.mu.Lock()
	fault := p.fault(r.Method)
	if fault == "slow" {
		d := time.Duration(1+p.rnd.IntN(60)) * time.Second
		p.mu.Unlock()
		time.Sleep(d)
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	switch fault {
	case "gone", "drop":
		panic(http.ErrAbortHandler)
	case "429":
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	doc := p.state[r.URL.Path]
	if r.Method == http.MethodPut {
		p.change(r.URL.Path, string(body))
		doc = string(body)
	} else if old, ok := p.before[r.URL.Path]; ok && fault == "stale" {
		doc = old
	}
	if fault == "lost" {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, doc)
}

func (p *simParty) change(at, doc string) {
	if p.state[at] == doc {
		return
	}
	p.before[at] = p.state[at]
	p.state[at] = doc
	p.changes[at]++
	p.order = append(p.order, at)
	if p.orderFunc != nil {
		p.when[at] = p.orderFunc()
	}
}

// changed returns the place of the last change of a path among those of all third parties; 0: it was not changed.
func (p *simParty) changed(at string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.when[at]
}

// fault picks what goes wrong with a call; empty: nothing.
func (p *simParty) fault(method string) string {
	if p.whimFunc != nil {
		return p.whimFunc(method)
	}
	now := time.Now()
	if now.After(p.away[0]) && now.Before(p.away[1]) {
		return "gone"
	}
	if now.After(p.ends) || p.rnd.IntN(100) >= p.bad {
		return ""
	}
	faults := []string{"lost", "lost", "drop", "429", "500", "slow", "stale"}
	return faults[p.rnd.IntN(len(faults))]
}

// checkOrder holds the changes at this third party to the order of the window: newest first, but for facts
// that arrived late, effects that turned up after they were judged, and what waited for an entry of another system.
func (p *simParty) checkOrder(t *testing.T, entries []ledger.Entry) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(entries) + 1
	for _, at := range p.order {
		i := slices.IndexFunc(entries, func(e ledger.Entry) bool { return e.System == p.name && simPath(&e) == at })
		named := func(e ledger.Entry) bool { return slices.Contains(e.DependsOn, entries[i].ID) }
		if entries[i].Late || slices.ContainsFunc(entries, named) {
			continue
		}
		if entries[i].Seq >= last {
			t.Errorf("%s: entry %d was undone after entry %d", p.name, entries[i].Seq, last)
		}
		last = entries[i].Seq
	}
}

// dial connects to a third party in memory.
func (s *sim) dial(ctx context.Context, _, address string) (net.Conn, error) {
	return dialParty(ctx, s.parties, address)
}

func dialParty(ctx context.Context, parties []*simParty, address string) (net.Conn, error) {
	for _, p := range parties {
		if address == p.name+".test:80" {
			return p.listener.dial(ctx)
		}
	}
	return nil, fmt.Errorf("there is nothing at %s", address)
}

// A pipeListener accepts connections in memory.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements [net.Listener].
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements [net.Listener].
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
