package api

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
)

var (
	mutantCount = flag.Int("fuzz.requests", mutantDefault, "how many mutated requests TestMutatedRequests makes")
	mutantSeed  = flag.Uint64("fuzz.seed", 1, "what they are drawn from")
	mutantOnly  = flag.Int("fuzz.only", -1, "make this one alone; -1: all")
)

// worldLife is how many requests a world serves: they wear it out.
const worldLife = 400

// A gun draws, mutates and makes requests, and judges the answers.
type gun struct {
	*bench
	judge    *judge
	calls    []drawnCall
	world    *world
	good     map[string]int // answers below 400, by operation
	bad      map[string]int // the others
	codes    map[int]int
	failures int // requests since the first one that failed
}

type drawnCall struct {
	method, path string
	op           *openapi3.Operation
	shared       openapi3.Parameters
}

func newGun(b *bench) *gun {
	b.Helper()
	served := b.do(req{method: "GET", path: "/openapi.json"}, 200, nil)
	doc, err := openapi3.NewLoader().LoadFromData(served.Body.Bytes())
	if err != nil {
		b.Fatal(err)
	}
	g := &gun{bench: b, judge: newJudge(tightened(doc)), good: map[string]int{}, bad: map[string]int{}, codes: map[int]int{}}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		item := doc.Paths.Value(path)
		ops := item.Operations()
		for _, method := range slices.Sorted(maps.Keys(ops)) {
			g.calls = append(g.calls, drawnCall{method, path, ops[method], item.Parameters})
		}
	}
	return g
}

// request draws the i-th request. The same seed and index draw the same one, but for the ids of the world.
func (g *gun) request(i int) (*shot, *http.Request, context.CancelFunc) {
	d := drawerFor(*mutantSeed, uint64(i), g.world)
	c := g.calls[d.IntN(len(g.calls))]
	if strings.HasPrefix(c.path, "/v1/") == (d.IntN(12) == 0) { // rarely what has no parameters
		c = g.calls[d.IntN(len(g.calls))]
	}
	s := d.newShot(c.method, c.path, c.op, c.shared)
	if d.chance(75) {
		s.mutate()
	}
	s.write()
	ctx, cancel := context.WithCancel(g.Context())
	if s.header.Get("Prefer") != "" {
		ctx, cancel = context.WithTimeout(g.Context(), 20*time.Millisecond) // whether it waits or is cut off does not matter
	}
	hr := (&http.Request{
		Method: s.method, URL: target(s.path, s.query), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: s.header,
		Host: "ledger.test", RemoteAddr: "198.51.100." + strconv.Itoa(d.IntN(250)) + ":5", RequestURI: s.path + "?" + s.query,
		Body: http.NoBody,
	}).WithContext(ctx)
	if len(s.body) > 0 {
		hr.Body, hr.ContentLength = readCloser{bytes.NewReader(s.body)}, int64(len(s.body))
	}
	return s, hr, cancel
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// target is the request's address as a server would have read it, or as near as it can get.
func target(path, query string) *url.URL {
	text := path
	if query != "" {
		text += "?" + query
	}
	if u, err := url.ParseRequestURI(text); err == nil {
		return u
	}
	return &url.URL{Path: path, RawQuery: query}
}

// A tap is a recorder that hangs up once it has seen the first piece of a stream.
type tap struct {
	*httptest.ResponseRecorder
	hangUp func()
}

func (t tap) Flush() {
	t.ResponseRecorder.Flush()
	if strings.HasPrefix(t.Header().Get("Content-Type"), "text/event-stream") {
		t.hangUp()
	}
}

// fire makes the i-th request and judges its answer.
func (g *gun) fire(i int) {
	s, hr, cancel := g.request(i)
	defer cancel()
	rec := httptest.NewRecorder()
	func() {
		defer func() {
			r := recover()
			cause, _ := r.(error)
			if r != nil && (!errors.Is(cause, http.ErrAbortHandler) || hr.Context().Err() == nil) { // a stream whose reader has gone is broken off
				g.report(i, s, rec, fmt.Errorf("it panicked: %v", r))
			}
		}()
		g.api.ServeHTTP(tap{rec, cancel}, hr)
	}()
	g.codes[rec.Code]++
	if rec.Code < http.StatusBadRequest {
		g.good[s.call]++
	} else {
		g.bad[s.call]++
	}
	if err := g.judge.check(hr, rec); err != nil {
		g.report(i, s, rec, err)
	}
}

func (g *gun) report(i int, s *shot, rec *httptest.ResponseRecorder, err error) {
	g.Errorf("%v\nrequest %d (-fuzz.seed %d -fuzz.only %d): %s, %s\n%s %q ? %q\n%q\n%.2000q\nanswer %d %v\n%.2000s", err, i, *mutantSeed, i, s.call,
		strings.Join(s.marks, ", "), s.method, s.path, s.query, s.header, s.body, rec.Code, rec.Header(), rec.Body)
}

// Thousands of requests, drawn from the document that the server serves and then mutated: no failure of the
// server, every answer as the document says, no value of the caller's in an error; and a server that works
// afterwards, with the journal of every window whole.
func TestMutatedRequests(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ResolveWait, c.Vigil = time.Millisecond, &fakeVigil{} })
	g := newGun(b)
	began := runtime.NumGoroutine()
	count := *mutantCount
	if ledgertest.OnPostgres(t) { // where an answer takes longer
		count /= 5
	}
	for i := range count {
		if *mutantOnly >= 0 && i != *mutantOnly && i%worldLife != 0 {
			continue
		}
		if i%worldLife == 0 {
			if g.world != nil {
				g.world.close()
			}
			g.world = newWorld(b, i/worldLife)
		}
		if *mutantOnly < 0 || i == *mutantOnly {
			g.fire(i)
		}
		if t.Failed() && g.failedOften() {
			break
		}
	}
	g.world.close()
	t.Logf("answers by status: %v", g.codes)
	if *mutantOnly < 0 && count >= 10_000 {
		g.reached()
	}
	g.worksStill()
	g.journalsVerify()
	g.noneLeft(began)
	if strings.Contains(b.log.String(), canary) {
		t.Error("the log has a caller's value")
	}
}

// failedOften ends a run that has shown enough.
func (g *gun) failedOften() bool {
	g.failures++
	return g.failures > 200
}

// reached holds the generator itself to its promise: every call was answered well and was refused.
func (g *gun) reached() {
	g.Helper()
	for _, c := range g.calls {
		if id := c.op.OperationID; g.good[id] == 0 || g.bad[id] == 0 {
			g.Errorf("%s was answered well %d times and refused %d times", id, g.good[id], g.bad[id])
		}
	}
	for _, status := range []int{200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 412, 413, 422} {
		if g.codes[status] == 0 {
			g.Errorf("nothing was answered with %d", status)
		}
	}
}

func (g *gun) worksStill() {
	g.Helper()
	w := g.window("afterwards")
	g.record(w.ID, g.draft("/afterwards"))
	if run := g.rollback(w.ID, nil); !run.Complete || g.shelf.get("/afterwards") != `{"v":1}` {
		g.Errorf("a rollback afterwards: %+v", run)
	}
}

// journalsVerify checks every window's journal, and that it tells of the window what the store has.
func (g *gun) journalsVerify() {
	g.Helper()
	all, err := g.ledger.Windows(g.Context(), ledger.WindowQuery{Limit: 1_000_000})
	if err != nil {
		g.Fatal(err)
	}
	for _, w := range all {
		path := "/v1/windows/" + w.ID.String() + "/journal"
		var told ledger.Rebuilt
		file := g.do(req{method: "GET", path: path}, 200, nil).Body
		if err := journal.Scan(file, told.Apply, func(string) {}); err != nil {
			g.Errorf("%s: %v", path, err)
		}
		if told.Window.ID != w.ID || len(told.Entries) < w.LastSeq {
			g.Errorf("%s tells of %s with %d entries, want %d", path, told.Window.ID, len(told.Entries), w.LastSeq)
		}
		g.sameStates(w.ID, told.Entries)
	}
	g.Logf("%d journals verified", len(all))
}

func (g *gun) sameStates(windowID uuid.UUID, told []ledger.Entry) {
	g.Helper()
	list, err := g.ledger.Entries(g.Context(), ledger.EntryQuery{WindowID: windowID, Limit: 1_000_000})
	if err != nil {
		g.Fatal(err)
	}
	for i := range list {
		if i >= len(told) || list[i].Journal.Number != told[i].Journal.Number {
			continue // it has moved since the journal was read
		}
		if string(list[i].Before.JSON) != string(told[i].Before.JSON) || string(list[i].After.JSON) != string(told[i].After.JSON) ||
			string(list[i].Resource) != string(told[i].Resource) || list[i].State != told[i].State {
			g.Errorf("entry %s is %+v, and its journal says %+v", list[i].ID, list[i], told[i])
		}
	}
}

// noneLeft waits until as many goroutines run as before the first request, but for the runs that wait.
func (g *gun) noneLeft(before int) {
	g.Helper()
	runs, err := g.ledger.Unfinished(g.Context())
	if err != nil {
		g.Fatal(err)
	}
	allowed := before + 4*len(runs)
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > allowed; runtime.Gosched() {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			g.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}
