package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/api/wire"
)

// A fake plays the API as the contract has it, in memory, and can be told to misbehave.
type fake struct {
	t   testing.TB
	url string

	mu        sync.Mutex
	changed   *sync.Cond // whenever anything below changes
	server    *http.Server
	addr      string
	log       []string // "POST /v1/windows {body}"
	keys      map[string]stored
	rules     []rule
	windows   []*wire.Window
	entries   []*wire.Entry
	rollbacks []*wire.Rollback
	records   map[string][]wire.Event // by window
	plan      []wire.PlanStep
	verify    []wire.Verified
	journal   string
	script    []string // steps of the next run
	mute      bool     // streams leave out what is about the run itself
	going     int      // holds that were let go
	moved     bool     // third parties show another state than what got stuck
	surprise  string   // body of a fact that comes just before the next list of stuck entries; empty: none does
	resolve   string   // state that a resolved entry comes to: "undone", "stuck drifted"; empty: it waits
}

type stored struct {
	body   string
	status int
	answer []byte
}

// A rule answers calls in the place of the fake.
type rule struct {
	match  *regexp.Regexp // of "METHOD path"
	times  int            // how often; 0: always
	status int            // 0: the connection is cut, before or after the effect
	after  bool           // the effect happens first
	body   string
	kind   string
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, keys: map[string]stored{}, records: map[string][]wire.Event{}}
	f.changed = sync.NewCond(&f.mu)
	f.up()
	f.url = "http://" + f.addr
	t.Cleanup(f.down)
	return f
}

// up listens, on the same address as before.
func (f *fake) up() {
	f.mu.Lock()
	defer f.mu.Unlock()
	addr := f.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		f.t.Errorf("listen: %v", err)
		return
	}
	f.addr = l.Addr().String()
	f.server = &http.Server{Handler: http.HandlerFunc(f.serve), ReadHeaderTimeout: time.Minute}
	go f.server.Serve(l)
}

// down cuts every connection and stops listening, as kill -9 does.
func (f *fake) down() {
	f.mu.Lock()
	s := f.server
	f.server = nil
	f.changed.Broadcast()
	f.mu.Unlock()
	if s != nil {
		s.Close()
	}
}

func (f *fake) rule(match string, r rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.match = regexp.MustCompile(match)
	f.rules = append(f.rules, r)
}

// calls returns the changing calls so far, one a line.
func (f *fake) calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.log...)
}

// await waits until a call matches.
func (f *fake) await(match string) {
	re := regexp.MustCompile(match)
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for _, c := range f.log {
			if re.MatchString(c) {
				return
			}
		}
		f.changed.Wait()
	}
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.log = append(f.log, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	f.changed.Broadcast()
	cut := f.misbehave(w, r)
	f.mu.Unlock()
	switch cut {
	case "done":
		return
	case "before":
		panic(http.ErrAbortHandler)
	}
	open := r.URL.Path == "/version" || r.URL.Path == "/readyz"
	if r.Header.Get("Authorization") != "Bearer t0ken" && !open {
		problem(w, 401, "unauthenticated")
		return
	}
	if strings.HasSuffix(r.URL.Path, "/events") {
		f.stream(w, r)
		return
	}
	status, answer := f.once(r, string(body))
	if cut == "after" {
		panic(http.ErrAbortHandler)
	}
	if status >= 400 {
		problem(w, status, string(answer))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(answer)
}

func (f *fake) misbehave(w http.ResponseWriter, r *http.Request) string {
	for i := range f.rules {
		x := &f.rules[i]
		if x.times < 0 || !x.match.MatchString(r.Method+" "+r.URL.RequestURI()) {
			continue
		}
		if x.times--; x.times == 0 {
			x.times = -1
		} else if x.times < 0 {
			x.times = 0
		}
		switch {
		case x.after:
			return "after"
		case x.status == 0:
			return "before"
		case x.kind == "safe":
			w.Header().Set("Content-Type", wire.ProblemType)
			w.WriteHeader(x.status)
			json.NewEncoder(w).Encode(wire.Problem{Type: wire.TypeSafeMode, Status: x.status, Title: "Not available", Code: "unavailable", Detail: "safe mode: older"})
		case x.body != "":
			w.Header().Set("Content-Type", x.kind)
			w.WriteHeader(x.status)
			io.WriteString(w, x.body)
		default:
			problem(w, x.status, map[int]string{401: "unauthenticated", 403: "forbidden", 409: "conflict", 412: "stale", 422: "invalid", 503: "unavailable", 404: "not_found", 500: "internal"}[x.status])
		}
		return "done"
	}
	return ""
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", wire.ProblemType)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(wire.Problem{Status: status, Title: http.StatusText(status), Code: code, Detail: "not \x1b[31mnow", RequestID: "req-1"})
}

// once answers a call, a second time with what it was answered first.
func (f *fake) once(r *http.Request, body string) (int, []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := r.Header.Get(wire.HeaderIdempotencyKey)
	if r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/verify") && key == "" {
		f.t.Errorf("%s %s has no Idempotency-Key", r.Method, r.URL.Path)
	}
	kept := key != ""
	key += " " + r.Method + " " + r.URL.Path
	if s, ok := f.keys[key]; ok && kept {
		if s.body != body {
			return 422, []byte("invalid")
		}
		return s.status, s.answer
	}
	status, v := f.answer(r, body)
	answer, err := json.Marshal(v)
	if s, ok := v.(string); ok {
		answer = []byte(s)
	}
	if err != nil {
		f.t.Errorf("encode: %v", err)
	}
	if kept && status < 500 {
		f.keys[key] = stored{body, status, answer}
	}
	f.changed.Broadcast()
	return status, answer
}

func (f *fake) answer(r *http.Request, body string) (int, any) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	for len(parts) < 4 {
		parts = append(parts, "")
	}
	switch r.Method + " " + parts[1] + " " + parts[3] {
	case "POST windows ":
		return f.openWindow(body)
	case "GET windows ":
		if parts[2] == "" {
			return f.listWindows(r)
		}
		return found(f.window(parts[2]))
	case "POST windows seal", "POST windows reopen", "POST windows keep":
		return f.moveWindow(parts[2], parts[3])
	case "POST windows entries":
		return f.record(parts[2], body)
	case "GET windows entries":
		return f.listEntries(parts[2], r)
	case "GET windows plan":
		return f.makePlan(parts[2])
	case "POST windows verify":
		return 200, wire.VerifyResult{Items: f.verify}
	case "GET windows journal":
		return 200, f.journal
	case "POST windows rollbacks":
		return f.start(parts[2], body)
	case "GET rollbacks ":
		return found(f.rollback(parts[2]))
	case "POST rollbacks pause", "POST rollbacks resume", "POST rollbacks cancel":
		return f.steer(parts[2], parts[3])
	case "POST rollbacks confirm":
		return f.confirm(parts[2], body)
	case "GET remediators ":
		return 200, wire.RemediatorList{Items: []wire.Remediator{
			{System: "docs", Remediator: "plugin", Plugin: "documents", SHA256: "abc", Page: "Documents.", BackedBy: "its suite", Kinds: []wire.Kind{{
				Kind: "documents.document", Says: "A document.", Actions: []string{"create"}, Reversible: "exact",
				Resource: []wire.Member{{Name: "path", Type: "string", Required: true, Says: "where"}},
			}}},
			{System: "dns", Remediator: "plugin", Broken: "the plugin is not run", Kinds: []wire.Kind{}},
			{System: "ops", Remediator: "command", Kinds: []wire.Kind{{}}},
		}}
	case "GET entries ":
		return found(f.entry(parts[2]))
	case "POST entries applied", "POST entries void", "POST entries renew", "POST entries resolve":
		return f.report(parts[2], parts[3], body)
	}
	if r.URL.Path == "/version" {
		return 200, wire.Version{Version: "9.9"}
	}
	return 404, "not_found"
}

func found[T any](v *T) (int, any) {
	if v == nil {
		return 404, "not_found"
	}
	return 200, v
}

func find[T any](list []*T, is func(*T) bool) *T {
	for _, v := range list {
		if is(v) {
			return v
		}
	}
	return nil
}

func (f *fake) window(id string) *wire.Window {
	return find(f.windows, func(w *wire.Window) bool { return w.ID == id })
}

func (f *fake) entry(id string) *wire.Entry {
	return find(f.entries, func(e *wire.Entry) bool { return e.ID == id })
}

func (f *fake) rollback(id string) *wire.Rollback {
	return find(f.rollbacks, func(r *wire.Rollback) bool { return r.ID == id })
}

func (f *fake) openWindow(body string) (int, any) {
	var d wire.WindowDraft
	if err := strict(body, &d); err != nil {
		return 422, "invalid"
	}
	w := &wire.Window{
		ID: uuid.Must(uuid.NewV7()).String(), Name: d.Name, Ticket: d.Ticket, Owner: d.Owner, Snapshot: d.Snapshot,
		Labels: d.Labels, State: "open", CreatedAt: time.Now().UTC(),
	}
	f.windows = append(f.windows, w)
	f.note(w, "window.opened", wire.Record{Window: &wire.RecordWindow{State: "open"}})
	return 201, w
}

func (f *fake) listWindows(r *http.Request) (int, any) {
	list := wire.WindowList{Items: []wire.Window{}}
	for i := len(f.windows) - 1; i >= 0; i-- {
		if s := r.URL.Query().Get("state"); s == "" || s == f.windows[i].State {
			list.Items = append(list.Items, *f.windows[i])
		}
	}
	return 200, list
}

func (f *fake) moveWindow(id, move string) (int, any) {
	w := f.window(id)
	if w == nil {
		return 404, "not_found"
	}
	w.State = map[string]string{"seal": "sealed", "reopen": "open", "keep": "kept"}[move]
	return 200, w
}

func strict(body string, into any) error {
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func (f *fake) record(window, body string) (int, any) {
	var d wire.EntryDraft
	if err := strict(body, &d); err != nil {
		return 422, "invalid"
	}
	w := f.window(window)
	switch e := f.entry(d.ID); {
	case w == nil:
		return 404, "not_found"
	case e != nil:
		return 200, e
	case d.State != "applied" && w.State != "open":
		return 409, "conflict"
	}
	seq := 1
	for _, e := range f.entries {
		if e.WindowID == window {
			seq++
		}
	}
	e := &wire.Entry{
		ID: d.ID, WindowID: window, Seq: seq, System: d.System, Kind: d.Kind, Action: d.Action, Resource: d.Resource,
		Before: d.Before, After: d.After, Undo: d.Undo, Read: d.Read, State: "intended", OnRollback: "undo", Tag: d.Tag, Source: d.Source, Note: d.Note,
	}
	if d.State != "" {
		e.State = d.State
	}
	if d.Note == "warn" {
		e.Warnings = []string{"before is\x1b]0;owned\a unknown"}
	}
	f.entries = append(f.entries, e)
	if w.Counts.Remaining++; w.State == "rolled_back" {
		f.late(w, e)
	}
	f.noteEntry(w, "entry.recorded", e, "")
	return 201, e
}

// late plays a fact that comes after the rollback: counts are live, whether the run was complete is not, as
// older servers answer.
func (f *fake) late(w *wire.Window, e *wire.Entry) {
	e.State, e.Reason, e.Late, e.Next = "stuck", "late", true, "rollback resolve "+e.ID+" --retry --reason TEXT"
	w.State, w.Counts = "stuck", f.countsOf(w.ID)
	f.rollback(*w.RollbackID).Counts = w.Counts
}

func (f *fake) listEntries(window string, r *http.Request) (int, any) {
	if fact := f.surprise; fact != "" && r.URL.Query().Get("state") == "stuck" {
		f.surprise = ""
		defer f.record(window, fact) // the list is of before
	}
	list := wire.EntryList{Items: []wire.Entry{}}
	for i := len(f.entries) - 1; i >= 0; i-- {
		e := f.entries[i]
		if s := r.URL.Query().Get("state"); e.WindowID == window && (s == "" || s == e.State) {
			list.Items = append(list.Items, *e)
		}
	}
	return 200, list
}
