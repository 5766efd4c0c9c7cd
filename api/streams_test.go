package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger"
)

// serve puts the API on a real connection. with may change the server.
func (b *bench) serve(with ...func(*http.Server)) (url string, srv *http.Server) {
	b.Helper()
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv = b.api.Server()
	for _, fn := range with {
		fn(srv)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	b.Cleanup(func() {
		_ = srv.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			b.Error(err)
		}
	})
	return "http://" + l.Addr().String(), srv
}

func (b *bench) client(url string) *client.Client {
	b.Helper()
	c, err := client.New(client.Config{URL: url, Token: b.admin})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// open begins a stream of events. It is closed when the test ends.
func (b *bench) open(url string, header map[string]string) io.Reader {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.admin)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		b.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return resp.Body
}

// numbers reads event ids until there are n of them, or the stream ends.
func numbers(t *testing.T, r io.Reader, n int) (ids []int64, comments []string) {
	t.Helper()
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<24)
	for (n == 0 || len(ids) < n) && in.Scan() {
		if text, ok := strings.CutPrefix(in.Text(), "id: "); ok {
			id, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		if strings.HasPrefix(in.Text(), ": ") {
			comments = append(comments, in.Text())
		}
	}
	return ids, comments
}

func count(from, to int64) []int64 {
	var out []int64
	for i := from; i <= to; i++ {
		out = append(out, i)
	}
	return out
}

// Records that are there are replayed, from where the client stopped; records that come follow at once.
func TestEventsReplayAndFollow(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Sweep, c.Heartbeat = time.Hour, time.Hour }) // only being told helps
	w := b.window("w")
	for i := range 250 { // more than one page
		b.record(w.ID, b.draft(fmt.Sprintf("/%d", i)))
	}
	url, _ := b.serve()
	events := url + "/v1/windows/" + w.ID + "/events"
	for _, c := range []struct {
		url    string
		header map[string]string
		from   int64
	}{
		{events, nil, 1},
		{events + "?after=248", nil, 249},
		{events, map[string]string{"Last-Event-ID": "249"}, 250},
		{events + "?after=3", map[string]string{"Last-Event-ID": "249"}, 250}, // a browser that comes back sends both
	} {
		in := b.open(c.url, c.header)
		got, _ := numbers(t, in, int(251-c.from+1))
		if d := cmp.Diff(count(c.from, 251), got); d != "" {
			t.Errorf("%s %v: %s", c.url, c.header, d)
		}
	}
	in := b.open(events+"?after=251", nil)
	b.record(w.ID, b.draft("/new"))
	if got, _ := numbers(t, in, 1); len(got) != 1 || got[0] != 252 {
		t.Errorf("%v", got)
	}
	b.problem(req{method: "GET", path: "/v1/windows/" + w.ID + "/events?after=-1"}, 422, "invalid")
	b.problem(req{method: "GET", path: "/v1/windows/" + w.ID + "/events", header: map[string]string{"Last-Event-ID": "x"}}, 422, "invalid")
}

// A stream sees what another process wrote, though nobody told it.
func TestEventsSweep(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Sweep, c.Heartbeat = 5*time.Millisecond, time.Hour })
	w := b.window("w")
	url, _ := b.serve()
	in := b.open(url+"/v1/windows/"+w.ID+"/events", nil)
	if got, _ := numbers(t, in, 1); len(got) != 1 { // the stream has caught up
		t.Fatalf("%v", got)
	}
	other := ledger.New(ledger.Config{Store: b.store, Systems: b.shelf, Clock: time.Now, Log: b.api.log, Waker: nobody{}})
	if _, err := other.Seal(t.Context(), mustID(t, w.ID), "from elsewhere"); err != nil {
		t.Fatal(err)
	}
	if got, _ := numbers(t, in, 1); len(got) != 1 || got[0] != 2 {
		t.Errorf("%v", got)
	}
}

// A stream on which nothing happens says that it lives.
func TestEventsHeartbeat(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Sweep, c.Heartbeat = time.Hour, 5*time.Millisecond })
	w := b.window("w")
	url, _ := b.serve()
	in := bufio.NewReader(b.open(url+"/v1/windows/"+w.ID+"/events?after=1", nil))
	for line := ""; line != ": alive\n"; {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
}

type nobody struct{}

func (nobody) Wake(ledger.Rollback) {}

// The events of a rollback end with it, and say so.
func TestRollbackEventsEnd(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	b.record(w.ID, b.draft("/a"))
	run := b.rollback(w.ID, nil)
	url, _ := b.serve()
	in := b.open(url+"/v1/rollbacks/"+run.ID+"/events", nil)
	ids, comments := numbers(t, in, 0)
	if len(ids) < 3 || ids[0] < 3 || len(comments) != 1 || comments[0] != ": end" {
		t.Errorf("%v %v", ids, comments)
	}
}

// The client follows a rollback from its start to its end while it runs.
func TestClientFollowsARollback(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	for i := range 20 {
		b.record(w.ID, b.draft(fmt.Sprintf("/%d", i)))
	}
	url, _ := b.serve()
	c := b.client(url)
	run, err := c.StartRollback(t.Context(), w.ID, wire.RollbackRequest{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	undone := 0
	err = c.RollbackEvents(t.Context(), run.ID, client.Watch{}, func(e wire.Event) error {
		if e.Kind == "entry.undone" {
			undone++
		}
		return nil
	})
	if err != nil || undone != 20 {
		t.Errorf("%d undone, %v", undone, err)
	}
	if run, err = c.Rollback(t.Context(), run.ID); err != nil || !run.Over() || !run.Complete {
		t.Errorf("%+v, %v", run, err)
	}
}

// A stream outlives the time in which a request has to be read, and ends when the server stops.
func TestStreamsOutliveTheReadTimeoutAndEndWithTheServer(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Heartbeat = 10 * time.Millisecond })
	w := b.window("w")
	url, srv := b.serve(func(s *http.Server) { s.ReadTimeout, s.ReadHeaderTimeout = 50*time.Millisecond, 50*time.Millisecond })
	body := b.open(url+"/v1/windows/"+w.ID+"/events?after=1", nil)
	in := bufio.NewReader(body)
	for alive := 0; alive < 20; { // 200 ms of heartbeats
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ended after %d heartbeats: %v", alive, err)
		}
		if strings.HasPrefix(line, ": alive") {
			alive++
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.api.Shutdown(ctx, srv); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
	b.problem(req{method: "GET", path: "/readyz", token: "-"}, 503, "unavailable")
}

// A client that takes nothing is dropped, by the deadline of a piece.
func TestSlowReaderIsDropped(t *testing.T) {
	w := &pieces{most: writeTimeout}
	conn := &stuckWriter{responseRecorder: newRecorder()}
	b := newBench(t)
	w.c = b.api.echo.NewContext(b.request(req{method: "GET", path: "/"}), conn)
	w.ctl = http.NewResponseController(w.c.Response())
	w.begin("text/plain", "x")
	if err := w.flush(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if d := time.Until(conn.deadline); d <= 0 || d > writeTimeout {
		t.Errorf("deadline in %s", d)
	}
}

// stuckWriter never takes a byte; it fails once a deadline is set.
type stuckWriter struct {
	*responseRecorder
	deadline time.Time
}

func (s *stuckWriter) SetWriteDeadline(t time.Time) error { s.deadline = t; return nil }

func (s *stuckWriter) Write([]byte) (int, error) {
	if s.deadline.IsZero() {
		return 0, errors.New("a write that nothing ends")
	}
	return 0, context.DeadlineExceeded
}

// A plan that fails in the middle is broken off, and the client says so; before the first piece it is a
// problem document.
func TestPlanThatBreaksOff(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	big := strings.Repeat("x", 20_000) // one step is more than a piece
	for i := range 130 {
		d := b.draft(fmt.Sprintf("/%d", i))
		d.Before = []byte(`"` + big + `"`)
		b.record(w.ID, d)
	}
	url, _ := b.serve()
	c := b.client(url)
	p, err := c.Plan(t.Context(), w.ID, client.Selection{Exclude: []string{"130"}})
	if err != nil || len(p.Steps) != 129 || p.Steps[0].Seq != 129 {
		t.Fatalf("%v", err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/windows/"+w.ID+"/plan", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.admin)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, first); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d, %v", resp.StatusCode, err)
	}
	if err := b.store.Close(); err != nil { // the next page cannot be read
		t.Fatal(err)
	}
	rest, err := io.ReadAll(resp.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the answer ends as if it were whole, after %d bytes: %v", len(rest), err)
	}
	if _, err := c.EachStep(t.Context(), w.ID, client.Selection{}, func(wire.PlanStep) error { return nil }); client.CodeOf(err) == "" {
		t.Errorf("a plan that fails before its first piece is no problem document: %v", err)
	}
}

// Recording, listing and resolving with the real client.
func TestClientAgainstTheServer(t *testing.T) {
	b := newBench(t)
	url, _ := b.serve()
	c := b.client(url)
	ctx := t.Context()
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	w, err := c.OpenWindow(ctx, wire.WindowDraft{Name: "w", Ticket: "T-1", EndsAt: &ends, Buffer: "30m", Labels: map[string]string{"site": "a"}})
	if err != nil || w.Buffer != "30m" || !w.EndsAt.Equal(ends) || w.Labels["site"] != "a" || w.Ticket != "T-1" {
		t.Fatalf("%+v, %v", w, err)
	}
	const doc = `{"z":1.0,"a":9007199254740993,"s":"\u00e9\/<&>"}`
	d := wire.EntryDraft{
		System: "shelf", Kind: "shelf", Action: "create", Resource: []byte(`{"path":"/n"}`), Before: []byte("null"), After: []byte(doc),
		PerformWithin: "90s", Undo: []byte(`{"x":1e2}`), Tag: "t", DependsOn: []string{},
	}
	e, err := c.Record(ctx, w.ID, d)
	if err != nil || string(e.Before) != "null" || string(e.After) != doc || string(e.Undo) != `{"x":1e2}` || e.PerformWithin != "90s" ||
		e.State != "intended" || e.PerformBy == nil || e.AppliedAt != nil || e.Seq != 1 {
		t.Fatalf("%+v, %v", e, err)
	}
	if e, err = c.Applied(client.WithIfMatch(ctx, e.Journal.Number), e.ID, wire.AppliedRequest{Resource: []byte(`{"id":7}`)}); err != nil ||
		e.State != "applied" || string(e.Resource) != `{"path":"/n","id":7}` || e.AppliedAt == nil {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := c.Void(ctx, e.ID, "no"); client.CodeOf(err) != client.CodeConflict {
		t.Errorf("%v", err)
	}
	if _, err := c.Seal(client.WithIfMatch(ctx, 1), w.ID, ""); client.CodeOf(err) != client.CodeStale {
		t.Errorf("%v", err)
	}
	l, err := c.RecordBatch(ctx, w.ID, []wire.EntryDraft{b.draft("/b1"), b.draft("/b2")})
	if err != nil || len(l.Items) != 2 || l.Items[1].Seq != 3 {
		t.Fatalf("%+v, %v", l, err)
	}
	n := 0
	for e, err := range c.AllEntries(ctx, w.ID, client.EntryQuery{Limit: 2, Desc: true}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if e.Seq != 4-n {
			t.Errorf("entry %d in place %d", e.Seq, n)
		}
	}
	systems, err := c.Systems(ctx)
	if err != nil || len(systems.Items) != 1 || systems.Items[0].Retry.Base != "1ms" || n != 3 {
		t.Errorf("%+v, %v", systems, err)
	}
	if v, err := c.Version(ctx); err != nil || v.Version != "1.2.3" {
		t.Errorf("%+v, %v", v, err)
	}
	if err := c.Ready(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Verify(ctx, w.ID); err != nil {
		t.Error(err)
	}
}
