// Package remediatortest is the conformance suite that every remediator passes, with the third parties
// it runs against: one that misbehaves on purpose, and real ones that are started here.
package remediatortest

import (
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
)

// An Effect is one change that really happened.
type Effect struct {
	Method, Path string
	Body         string // empty: deleted
}

// A Third is a third party with a JSON document at any path. GET, PUT, POST (as PUT), PATCH (merging the
// members) and DELETE do as one expects; ETag, If-Match, If-None-Match: * and ?cas= are honoured; GET /
// answers 200, so that absence can be proven. Documents come back byte for byte.
type Third struct {
	URL       string
	Elsewhere *Third  // where redirects lead; nil: none
	Dialect   Dialect // the API that it speaks; nil: plain documents at paths. Set it before the first call
	// SilentFunc is called when a call has arrived that gets no answer ([Silent]); nil: nobody is told. Set it while
	// no call is under way.
	SilentFunc func()
	Polls      int // how often an accepted call is asked about before it is done

	mu      sync.Mutex
	docs    map[string]string
	stale   map[string][]string // what the next reads of a path show, oldest first; "" is absence
	modes   map[string]Mode
	once    map[string]Mode
	later   map[string]func()
	polls   map[string]int
	effects []Effect
	calls   []*http.Request
	bodies  []string
	loss    *rand.Rand
	rate    float64
	server  *httptest.Server
	ended   chan struct{}
}

// An Ending is the part of a test that a third party needs: it says when it is over.
type Ending interface {
	Helper()
	Cleanup(end func())
}

// NewThird starts a third party on loopback. It ends with the test.
func NewThird(t Ending) *Third {
	t.Helper()
	th := &Third{
		docs: map[string]string{}, stale: map[string][]string{}, modes: map[string]Mode{}, once: map[string]Mode{},
		later: map[string]func(){}, polls: map[string]int{}, ended: make(chan struct{}),
	}
	th.server = httptest.NewServer(http.HandlerFunc(th.serve))
	th.server.Config.ErrorLog = nil
	th.URL = th.server.URL
	t.Cleanup(func() {
		close(th.ended)
		th.server.CloseClientConnections()
		th.server.Close()
	})
	return th
}

// Set puts a document at a path without counting an effect; "" removes it.
func (th *Third) Set(path, doc string) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.put(path, doc)
}

func (th *Third) put(path, doc string) {
	if doc == "" {
		delete(th.docs, path)
		return
	}
	th.docs[path] = doc
}

// Get returns the document at a path; "" if there is none.
func (th *Third) Get(path string) string {
	th.mu.Lock()
	defer th.mu.Unlock()
	return th.docs[path]
}

// Paths returns where documents are, sorted.
func (th *Third) Paths() []string {
	th.mu.Lock()
	defer th.mu.Unlock()
	return slices.Sorted(maps.Keys(th.docs))
}

// Misbehave sets the mode of a path, or of every path with "*".
func (th *Third) Misbehave(path string, m Mode) {
	if m == Bomb {
		bomb() // made now, not while a client waits
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	th.modes[path] = m
}

// Once sets the mode of the next changing call to a path.
func (th *Third) Once(path string, m Mode) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.once[path] = m
}

// Lose drops the answer of changing calls after their effect, at random with this seed.
func (th *Third) Lose(rate float64, seed uint64) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.rate, th.loss = rate, rand.New(rand.NewPCG(seed, seed))
}

// Stale makes the next n reads of a path show what is there now, whatever happens meanwhile.
func (th *Third) Stale(path string, n int) {
	th.mu.Lock()
	defer th.mu.Unlock()
	for range n {
		th.stale[path] = append(th.stale[path], th.docs[path])
	}
}

// Effects returns the changes that really happened, in order.
func (th *Third) Effects() []Effect {
	th.mu.Lock()
	defer th.mu.Unlock()
	return slices.Clone(th.effects)
}

// EffectsOn counts the changes at one path.
func (th *Third) EffectsOn(path string) int {
	n := 0
	for _, e := range th.Effects() {
		if e.Path == path {
			n++
		}
	}
	return n
}

// Calls returns the requests that arrived, in order, with their bodies.
func (th *Third) Calls() (reqs []*http.Request, bodies []string) {
	th.mu.Lock()
	defer th.mu.Unlock()
	return slices.Clone(th.calls), slices.Clone(th.bodies)
}

func (th *Third) serve(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	th.mu.Lock()
	th.calls, th.bodies = append(th.calls, r.Clone(r.Context())), append(th.bodies, string(raw))
	asked := th.asked(r)
	if th.Dialect != nil {
		r.URL.Path = th.Dialect.Path(r.Method, asked, raw)
	}
	reads := th.reads(r.Method, asked)
	mode := th.modeOf(r.URL.Path, reads)
	th.mu.Unlock()
	if th.misbehave(w, r, mode, raw) {
		return
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	if reads {
		if th.Dialect != nil {
			if r.Method != http.MethodGet {
				asked = r.URL.Path
			}
			status, body := th.Dialect.Read(asked, th.shown(r.URL.Path))
			reply(w, status, body)
			return
		}
		th.read(w, r, mode)
		return
	}
	var status int
	var body string
	if th.Dialect != nil {
		status, body = th.speak(r, asked, raw, mode)
	} else {
		status, body = th.change(r, raw, mode)
	}
	lost := th.loss != nil && th.loss.Float64() < th.rate
	switch {
	case (mode == LoseAfter || lost) && status < 300:
		drop(w)
	case mode == Fail502:
		reply(w, http.StatusBadGateway, `{"error":"gateway"}`)
	default:
		reply(w, status, body)
	}
}
