package api

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"sideledger/api/wire"
	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/ledger/sqlstore/sqlstoretest"
)

// shelf is a third party in memory, with its remediator: a resource {"path": P} holds one document.
type shelf struct {
	mu   sync.Mutex
	docs map[string]string // path → document; not there: absent
	away bool              // the system is not configured any more
	seen int               // looks that were taken
	held map[string]chan struct{}

	renames bool      // what was deleted comes back under a new name
	ends    time.Time // its credential; zero: it has none
}

// take sets whether the system is configured no more.
func (s *shelf) take(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// hold makes the undo at path wait until release is closed.
func (s *shelf) hold(path string, release chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = map[string]chan struct{}{}
	}
	s.held[path] = release
}

func (s *shelf) waitFor(ctx context.Context, path string) {
	s.mu.Lock()
	release := s.held[path]
	s.mu.Unlock()
	if release == nil {
		return
	}
	select {
	case <-release:
	case <-ctx.Done():
	}
}

func (s *shelf) looks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func (s *shelf) put(path, doc string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs[path] = doc
}

func (s *shelf) get(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.docs[path]
}

func pathOf(resource []byte) string {
	var r struct{ Path string }
	_ = stdjson.Unmarshal(resource, &r)
	return r.Path
}

func (s *shelf) Kinds() []string { return []string{"shelf"} }

func (s *shelf) Check(*ledger.Draft) (ledger.Grading, error) {
	return ledger.Grading{Reversible: ledger.ReversibleExact, CanLook: true}, nil
}

func (s *shelf) Look(_ context.Context, e *ledger.Entry) (ledger.Look, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen++
	doc, ok := s.docs[pathOf(e.Where())]
	if !ok {
		return ledger.Look{Known: true, Now: ledger.Absent, Proven: true}, nil
	}
	return ledger.Look{Known: true, Now: ledger.Image{JSON: []byte(doc)}}, nil
}

func (s *shelf) Preview(e *ledger.Entry, _ ledger.Look) (ledger.Request, error) {
	return ledger.Request{
		Method: "PUT", URL: "http://shelf.test" + pathOf(e.Where()), Header: map[string]string{"Content-Type": "application/json"},
		Body: e.Before.JSON, Repeatable: true, Credential: ledger.CredentialSlot{Variable: "SHELF_TOKEN", Header: "Authorization", Prefix: "Bearer "},
	}, nil
}

func (s *shelf) Undo(ctx context.Context, e *ledger.Entry, _ ledger.Look) (ledger.Answer, error) {
	s.waitFor(ctx, pathOf(e.Where()))
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, at := ledger.Answer{Class: ledger.AnswerAccepted, Status: 200}, pathOf(e.Where())
	if s.renames && e.Action == ledger.ActionDelete {
		at += ".new"
		answer.Alias = []byte(`{"path":"` + at + `"}`)
	}
	if e.Before.IsAbsent() {
		delete(s.docs, at)
	} else {
		s.docs[at] = string(e.Before.JSON)
	}
	return answer, nil
}

func (s *shelf) Held(context.Context) (n int, known bool, err error) { return 0, false, nil }

func (s *shelf) system() ledger.System {
	return ledger.System{
		Name: "shelf", Remediator: "http", URL: "http://shelf.test", Attempts: 3,
		Backoff: ledger.Backoff{Base: time.Millisecond, Cap: 5 * time.Millisecond},
	}
}

func (s *shelf) Find(name string) (ledger.System, ledger.Remediator, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.away || name != "shelf" && name != "wary":
		return ledger.System{}, nil, ledger.NotFound("system", name)
	case name == "wary": // nobody can count what it holds, so a run asks before its first undo there
		sys := s.system()
		sys.Name, sys.Guard = name, ledger.Guard{Share: 0.5}
		return sys, s, nil
	}
	return s.system(), s, nil
}

func (s *shelf) List() []ledger.SystemStatus {
	return []ledger.SystemStatus{{System: s.system(), Breaker: "closed"}}
}

func (s *shelf) Park(string, bool) {}

// A bench is an API on a real store with a real runner.
type bench struct {
	*testing.T
	api    *API
	ledger *ledger.Ledger
	store  *sqlstore.Store
	shelf  *shelf
	doc    *openapi3.T // where no answer may have a member that the document does not have
	log    *ledgertest.Buffer
	admin  string
}

// newBench starts everything but a listener. with may change the configuration.
func newBench(t *testing.T, with ...func(*Config)) *bench {
	t.Helper()
	b := &bench{T: t, shelf: &shelf{docs: map[string]string{}}, log: &ledgertest.Buffer{}, doc: strictDocument(t)}
	log := slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.store = sqlstoretest.Open(t, sqlstore.Config{URL: postgres.New(t), Log: log})
	waker := runner.NewWaker()
	b.ledger = ledger.New(ledger.Config{Store: b.store, Systems: b.shelf, Clock: time.Now, Log: log, Waker: waker})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runner.New(runner.Config{
			Ledger: b.ledger, Waker: waker, Clock: time.Now, Log: log, Sole: true,
			JitterFunc: func(d time.Duration) time.Duration { return d },
		}).Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-ended })
	c := Config{Ledger: b.ledger, Log: log, Clock: time.Now, Version: "1.2.3"}
	for _, fn := range with {
		fn(&c)
	}
	var err error
	if b.api, err = New(c); err != nil {
		t.Fatal(err)
	}
	b.admin = b.token(ledger.Token{Role: ledger.RoleAdmin})
	return b
}

func strictDocument(t *testing.T) *openapi3.T {
	t.Helper()
	d, err := loadDocument() // its own: the one of the APIs stays as it is
	if err != nil {
		t.Fatal(err)
	}
	return tightened(d.doc)
}

// tightened makes the document refuse members that it does not have.
func tightened(doc *openapi3.T) *openapi3.T {
	seen := map[*openapi3.Schema]bool{}
	no := false
	var tighten func(ref *openapi3.SchemaRef)
	tighten = func(ref *openapi3.SchemaRef) {
		if ref == nil || seen[ref.Value] {
			return
		}
		s := ref.Value
		seen[s] = true
		if s.Properties != nil && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
			s.AdditionalProperties.Has = &no
		}
		for _, p := range s.Properties {
			tighten(p)
		}
		tighten(s.Items)
	}
	for _, s := range doc.Components.Schemas {
		tighten(s)
	}
	return doc
}

// token makes a token and returns its secret.
func (b *bench) token(t ledger.Token) string {
	b.Helper()
	secret, _, err := b.ledger.CreateToken(b.Context(), t)
	if err != nil {
		b.Fatal(err)
	}
	return secret
}

// A req is one request of a test. Zero fields say: as admin, no body, no further headers.
type req struct {
	method, path string
	body         any    // a string is sent as it is
	token        string // "-": none
	header       map[string]string
	remote       string // address of the connection's other end; empty: some public one
}

// do makes a request and holds the answer to the document. into may be nil.
func (b *bench) do(r req, want int, into any) *httptest.ResponseRecorder {
	b.Helper()
	rec := httptest.NewRecorder()
	b.api.ServeHTTP(rec, b.request(r))
	if rec.Code != want {
		b.Fatalf("%s %s answered %d, want %d: %s", r.method, r.path, rec.Code, want, rec.Body)
	}
	b.conforms(r, rec)
	if into != nil {
		if err := stdjson.Unmarshal(rec.Body.Bytes(), into); err != nil {
			b.Fatal(err)
		}
	}
	return rec
}

func (b *bench) request(r req) *http.Request {
	b.Helper()
	var body io.Reader
	switch v := r.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(v)
	default:
		raw, err := encodeBody(v)
		if err != nil {
			b.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	hr := httptest.NewRequestWithContext(b.Context(), r.method, r.path, body)
	if body != nil {
		hr.Header.Set("Content-Type", "application/json")
	}
	switch r.token {
	case "-":
	case "":
		hr.Header.Set("Authorization", "Bearer "+b.admin)
	default:
		hr.Header.Set("Authorization", "Bearer "+r.token)
	}
	for k, v := range r.header {
		hr.Header.Set(k, v)
	}
	if r.remote != "" {
		hr.RemoteAddr = r.remote
	}
	return hr
}

// conforms holds an answer to the OpenAPI document and to what every answer has.
func (b *bench) conforms(r req, rec *httptest.ResponseRecorder) {
	b.Helper()
	h := rec.Header()
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") || len(h.Get("X-Request-Id")) != 36 {
		b.Errorf("%s %s: headers %v", r.method, r.path, h)
	}
	if rec.Code == http.StatusNotModified || rec.Code == http.StatusNoContent {
		return
	}
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if rec.Code >= 400 {
		if kind != wire.ProblemType {
			b.Fatalf("%s %s: %d is of type %s", r.method, r.path, rec.Code, kind)
		}
		b.fits(r, rec.Body.Bytes(), b.doc.Components.Schemas["Problem"])
		return
	}
	op := b.operation(r)
	if op == nil {
		return
	}
	resp := op.Responses.Status(rec.Code)
	if resp == nil {
		b.Fatalf("%s %s: the document knows no status %d", r.method, r.path, rec.Code)
	}
	media := resp.Value.Content[kind]
	if media == nil {
		b.Fatalf("%s %s: the document knows no type %s for %d", r.method, r.path, kind, rec.Code)
	}
	if kind == "application/json" && r.method != http.MethodHead {
		b.fits(r, rec.Body.Bytes(), media.Schema)
	}
}

func (b *bench) fits(r req, body []byte, s *openapi3.SchemaRef) {
	b.Helper()
	v, err := decodeLoose(body)
	if err != nil {
		b.Fatalf("%s %s: %v: %s", r.method, r.path, err, body)
	}
	if err := s.Value.VisitJSON(v, formats()...); err != nil {
		b.Errorf("%s %s: the answer does not fit the document: %v", r.method, r.path, err)
	}
}

func formats() []openapi3.SchemaValidationOption {
	var out []openapi3.SchemaValidationOption
	for _, f := range []string{"uuid", "date-time", "duration"} {
		out = append(out, openapi3.WithStringFormatValidator(f, openapi3.NewCallbackValidator(func(s string) error {
			return invalid(f, faultOfFormat(f, s))
		})))
	}
	return out
}

// operation finds what the document says of a request; nil: nothing.
func (b *bench) operation(r req) *openapi3.Operation {
	path, _, _ := strings.Cut(r.path, "?")
	parts := strings.Split(path, "/")
	for template, item := range b.doc.Paths.Map() {
		want := strings.Split(template, "/")
		if len(want) != len(parts) {
			continue
		}
		same := true
		for i := range want {
			same = same && (want[i] == parts[i] || want[i] == "{id}")
		}
		if same {
			method := r.method
			if method == http.MethodHead {
				method = http.MethodGet
			}
			return item.GetOperation(method)
		}
	}
	return nil
}

// problem makes a request that must fail, and returns what the answer says.
func (b *bench) problem(r req, want int, code string) wire.Problem {
	b.Helper()
	var p wire.Problem
	rec := b.do(r, want, &p)
	if p.Code != code || p.Status != want || p.RequestID != rec.Header().Get("X-Request-Id") || p.Detail == "" || p.Title == "" {
		b.Errorf("%s %s: %+v, want code %s", r.method, r.path, p, code)
	}
	return p
}

func (b *bench) window(name string) wire.Window {
	b.Helper()
	var w wire.Window
	b.do(req{method: "POST", path: "/v1/windows", body: wire.WindowDraft{Name: name}}, 201, &w)
	return w
}

// draft is an update of /a from {"v":1} to {"v":2} that the shelf shows.
func (b *bench) draft(path string) wire.EntryDraft {
	b.shelf.put(path, `{"v":2}`)
	return wire.EntryDraft{
		System: "shelf", Kind: "shelf", Action: "update", Resource: []byte(`{"path":"` + path + `"}`),
		Before: []byte(`{"v":1}`), After: []byte(`{"v":2}`), State: "applied",
	}
}

func (b *bench) record(windowID string, d wire.EntryDraft) wire.Entry {
	b.Helper()
	var e wire.Entry
	b.do(req{method: "POST", path: "/v1/windows/" + windowID + "/entries", body: d}, 201, &e)
	return e
}

// rollback runs a rollback to its end.
func (b *bench) rollback(windowID string, body any) wire.Rollback {
	b.Helper()
	var r wire.Rollback
	b.do(req{method: "POST", path: "/v1/windows/" + windowID + "/rollbacks", body: body, header: map[string]string{"Prefer": "wait=20"}}, 200, &r)
	return r
}
