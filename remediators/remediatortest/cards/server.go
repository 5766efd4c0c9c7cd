// Package cards has third parties that enforce what is known of real ones: what they mask and what they take for a
// secret, which calls need what, what an answer means, what comes back under another id. Each keeps its state, so that
// an undo can be seen to have worked, and refuses what the real one refuses. They know nothing of remediators.
package cards

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Card is one third party.
type Card struct {
	Name   string
	Routes []Route
	// Credential says how the credential is shown: a header's name and what stands before the credential in it.
	Credential [2]string
	Basic      bool                                 // the credential is the password of [User], in base64 as HTTP has it
	SigV4      bool                                 // calls are signed as AWS has it, with the key [User]; the signature is not checked
	Need       map[string]string                    // headers without which a call is refused
	LimitFunc  func(h http.Header, w time.Duration) // puts the wait into a refusal for too many calls; the status is 429
}

// User is who calls a third party that asks for a name and a password.
const User = "ops"

// Authorization is what stands in the header of Credential for a secret.
func (c Card) Authorization(secret string) string {
	if c.SigV4 {
		return "AWS4-HMAC-SHA256 Credential=" + User + "/"
	}
	if c.Basic {
		secret = base64.StdEncoding.EncodeToString([]byte(User + ":" + secret))
	}
	return c.Credential[1] + secret
}

// A Route is one call that the third party knows. Path has {names} for segments; {name...} at the end is the rest.
type Route struct {
	Method, Path string
	HandleFunc   func(c *Call) (status int, answer any) // the answer is sent as JSON; nil: no body, [Raw] as it is
}

// Raw is an answer that is sent as it is.
type Raw string

// A Call is one call as a route sees it.
type Call struct {
	*Server
	Vars   map[string]string
	Query  func(name string) string
	Header http.Header
	Body   []byte
	Answer http.Header // of the answer
}

// JSON reads the body as an object; false: it is none.
func (c *Call) JSON() (map[string]any, bool) {
	var doc map[string]any
	err := json.Unmarshal(c.Body, &doc)
	return doc, err == nil && doc != nil
}

// A Server is a third party that is running.
type Server struct {
	URL  string
	Card Card
	// JudgeFunc holds each call to something else, the vendor's own description; an error fails the test. nil: nothing.
	JudgeFunc func(r *http.Request, body []byte) error

	t       testing.TB
	secret  string
	ends    time.Time // when that ends; zero: never
	mu      sync.Mutex
	docs    map[string]map[string]any // what is kept, by path
	next    int
	changes int // changing calls that were carried out
	hidden  bool
	forbids string // a method that the credential may not use; empty: none
	most    int    // of the elements of a page; 0: as many as are asked for
	lose    bool
	fail    int
	wait    time.Duration
}

// Start starts a card's third party, to which a credential belongs. It ends with the test, and fails it if a mask
// was stored as a value.
func Start(t testing.TB, c Card, credential string) *Server {
	t.Helper()
	s := &Server{Card: c, t: t, secret: credential, docs: map[string]map[string]any{}}
	web := httptest.NewServer(s)
	s.URL = web.URL
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		for path, doc := range s.docs {
			if place := maskIn(doc); place != "" {
				t.Errorf("%s has a mask for a value in %s", path, place)
			}
		}
	})
	return s
}

func maskIn(v any) string {
	switch v := v.(type) {
	case string:
		if v != "" && strings.Trim(v, "*") == "" || strings.EqualFold(strings.Trim(v, "[]<>*"), "redacted") {
			return "a value"
		}
	case []any:
		for _, e := range v {
			if maskIn(e) != "" {
				return "a list"
			}
		}
	case map[string]any:
		for name, e := range v {
			if maskIn(e) != "" {
				return name
			}
		}
	}
	return ""
}

// Hide makes everything look as it does to a credential without permission: 404.
func (s *Server) Hide(hidden bool) { s.locked(func() { s.hidden = hidden }) }

// Forbid refuses every call with a method, as a credential without that permission meets it: 403. Empty: none.
func (s *Server) Forbid(method string) { s.locked(func() { s.forbids = method }) }

// Cap keeps every page of a list to so many elements.
func (s *Server) Cap(most int) { s.locked(func() { s.most = most }) }

// LoseNext carries the next changing call out and drops its answer.
func (s *Server) LoseNext() { s.locked(func() { s.lose = true }) }

// FailNext answers the next changing call with a status and does nothing; wait is what a refusal for too many calls
// asks for.
func (s *Server) FailNext(status int, wait time.Duration) {
	s.locked(func() { s.fail, s.wait = status, wait })
}

// Changes counts the changing calls that were carried out.
func (s *Server) Changes() (n int) {
	s.locked(func() { n = s.changes })
	return n
}

// Count counts what is kept below a path.
func (s *Server) Count(prefix string) (n int) {
	s.locked(func() { n = len(s.below(prefix)) })
	return n
}

// Kept returns what is kept at a path, secrets and all; nil: nothing.
func (s *Server) Kept(path string) (doc map[string]any) {
	s.locked(func() { doc = clone(s.docs[path]) })
	return doc
}

func (s *Server) locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// below returns the paths right below a path, sorted.
func (s *Server) below(prefix string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.docs)), func(p string) bool {
		rest, ok := strings.CutPrefix(p, prefix+"/")
		return !ok || strings.Contains(rest, "/")
	})
}

// ID returns the next number that nobody has had.
func (s *Server) ID() int {
	s.next++
	return 100 + s.next
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	changing := r.Method != http.MethodGet
	status, answer := s.refuse(w, r, changing)
	if status == 0 {
		status, answer = s.whoami(w, r)
	}
	if status == 0 {
		if s.JudgeFunc != nil {
			if err := s.JudgeFunc(r, body); err != nil {
				s.t.Errorf("%s %s is not as its description says: %v", r.Method, r.URL, err)
			}
		}
		status, answer = s.route(w.Header(), r, body)
		if changing && status < 400 {
			s.changes++
			if s.lose {
				s.lose = false
				panic(http.ErrAbortHandler)
			}
		}
	}
	raw, isRaw := answer.(Raw)
	if answer != nil && !isRaw {
		w.Header().Set("Content-Type", "application/json")
		out, _ := json.Marshal(answer)
		raw = Raw(out)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, string(raw))
}

// refuse answers what does not come to a route; 0: it does.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, changing bool) (status int, answer any) {
	shown, want := r.Header.Get(s.Card.Credential[0]), s.Card.Authorization(s.secret)
	if s.Card.SigV4 && strings.HasPrefix(shown, want) {
		shown = want
	}
	if shown != want {
		return 401, message("Bad credentials")
	}
	for name, want := range s.Card.Need {
		if got := r.Header.Get(name); got != want {
			return 400, message(name + " has to be " + want)
		}
	}
	switch {
	case s.hidden:
		return 404, message("Not Found")
	case r.Method == s.forbids:
		return 403, message("Resource not accessible by this credential")
	case changing && s.fail != 0:
		status, s.fail = s.fail, 0
		if status == 429 {
			s.Card.LimitFunc(w.Header(), s.wait)
		}
		return status, message("no")
	}
	return 0, nil
}

func (s *Server) route(h http.Header, r *http.Request, body []byte) (status int, answer any) {
	for _, route := range s.Card.Routes {
		vars, ok := matches(route.Path, r.URL.EscapedPath())
		if ok && route.Method == r.Method {
			return route.HandleFunc(&Call{Server: s, Vars: vars, Query: r.URL.Query().Get, Header: r.Header, Body: body, Answer: h})
		}
	}
	return 404, message("there is no such call: " + r.Method + " " + r.URL.Path)
}
