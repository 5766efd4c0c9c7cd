package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
)

// A rude third party shows in its answers whatever it knows: the credential that it was sent, and secrets of its
// own, in bodies, headers, cookies and addresses.
type rude struct {
	canary map[string]string

	mu    sync.Mutex
	state map[string]string // documents by path
	got   strings.Builder   // every request, whole
}

func (p *rude) set(path, doc string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state[path] = doc
}

func (p *rude) get(path string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state[path]
}

func (p *rude) received() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got.String()
}

// ServeHTTP keeps documents below /doc and is rude below /rude/STATUS.
func (p *rude) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	dump, _ := httputil.DumpRequest(r, true)
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got.Write(dump)
	echo := fmt.Sprint(r.Header)
	h := w.Header()
	h.Set("Set-Cookie", "session="+p.canary["their cookie"])
	h.Set("X-Echo", strings.ReplaceAll(echo, "\n", " "))
	h.Set("X-Debug-Token", p.canary["their header"])
	if status, ok := strings.CutPrefix(r.URL.Path, "/rude/"); ok {
		p.fail(w, status, echo)
		return
	}
	if r.Method == http.MethodPut {
		p.state[r.URL.Path] = string(body)
	}
	doc, ok := p.state[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
	}
	_, _ = io.WriteString(w, doc)
}

func (p *rude) fail(w http.ResponseWriter, status, echo string) {
	h := w.Header()
	h.Set("WWW-Authenticate", `Bearer error="`+p.canary["their challenge"]+`"`)
	h.Set("Location", "https://elsewhere.example/?token="+p.canary["their redirect"])
	h.Set("Retry-After", p.canary["their retry-after"])
	code := 500
	_, _ = fmt.Sscan(status, &code)
	if status == "broken" {
		h.Set("Content-Type", "application/json")
		code = 200
	}
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, `{"error": "%s %s`, p.canary["their error body"], strings.ReplaceAll(echo, `"`, "'"))
}
