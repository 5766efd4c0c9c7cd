package remediatortest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A Proxy stands between a remediator and a real third party, and loses answers. It is safe for concurrent use.
type Proxy struct {
	URL string
	// ReadsFunc says which calls besides GET change nothing; nil: none. Set it before the first call.
	ReadsFunc func(r *http.Request) bool

	target string
	mu     sync.Mutex
	lose   int // changing calls to let pass before one whose answer is lost, counted from 1; 0: none
	calls  []string
	status map[string]int // "METHOD /path" → answered instead of being passed on
	server *httptest.Server
}

// StartProxy starts a proxy in front of a third party. It ends with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{target: target, status: map[string]int{}}
	p.server = httptest.NewServer(p)
	p.URL = p.server.URL
	t.Cleanup(p.server.Close)
	return p
}

// Lose drops the answer of the n-th changing call from now, after the third party has carried it out.
func (p *Proxy) Lose(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = n
}

// Refuse answers a call, "METHOD /path", with a status and does not pass it on; 0 ends that.
func (p *Proxy) Refuse(call string, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status[call] = status
}

// Changes returns the changing calls that were passed on, "METHOD /path", in order.
func (p *Proxy) Changes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.calls...)
}

// ServeHTTP implements [http.Handler].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, lost := p.note(r)
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.target+r.URL.RequestURI(), strings.NewReader(string(body)))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	req.Header = r.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || lost {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	if len(resp.Trailer) > 0 {
		_ = http.NewResponseController(w).Flush() // an answer with a length has no trailer
	}
	_, _ = io.Copy(w, resp.Body)
	for name, values := range resp.Trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
}

func (p *Proxy) note(r *http.Request) (status int, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	call := r.Method + " " + r.URL.Path
	if status = p.status[call]; status != 0 || r.Method == http.MethodGet || p.ReadsFunc != nil && p.ReadsFunc(r) {
		return status, false
	}
	p.calls = append(p.calls, call)
	if p.lose > 0 {
		p.lose--
		lost = p.lose == 0
	}
	return 0, lost
}
