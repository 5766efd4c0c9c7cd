package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// newClient returns a client of a server that h plays. It never waits between tries.
func newClient(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := client.New(client.Config{
		URL: srv.URL, Token: "t0ken",
		PauseFunc: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", wire.ProblemType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(wire.Problem{Status: status, Code: code, Title: "No", Detail: "not now", RequestID: "r1", Field: "/name"})
}

func TestRefusesBadAddresses(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:8420", "ftp://x", "http://user:secret@host", "file:dir"} {
		if _, err := client.New(client.Config{URL: url}); err == nil {
			t.Errorf("%q is taken", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats user information: %v", err)
		}
	}
}

// A POST is sent again under the same key, with the same bytes, until there is an answer.
func TestPostIsRepeatedUnderOneKey(t *testing.T) {
	var keys, bodies []string
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		keys, bodies = append(keys, r.Header.Get("Idempotency-Key")), append(bodies, string(body))
		switch len(keys) {
		case 1: // an answer that is lost
			panic(http.ErrAbortHandler)
		case 2:
			problem(w, 503, "unavailable")
		case 3: // the first one is still being worked on
			w.Header().Set("Retry-After", "1")
			problem(w, 409, "conflict")
		default:
			w.WriteHeader(201)
			_, _ = io.WriteString(w, `{"id":"w1","name":"n"}`)
		}
	})
	win, err := c.OpenWindow(t.Context(), wire.WindowDraft{Name: "<&>"})
	if err != nil || win.ID != "w1" {
		t.Fatalf("%v, %v", win, err)
	}
	if len(keys) != 4 || keys[0] == "" || keys[0] != keys[3] || bodies[0] != `{"name":"<&>"}` || bodies[3] != bodies[0] {
		t.Errorf("keys %q, bodies %q", keys, bodies)
	}
	if _, err := c.OpenWindow(t.Context(), wire.WindowDraft{Name: "x"}); err != nil || keys[4] == keys[0] {
		t.Errorf("two calls share a key: %v", err)
	}
	if _, err := c.OpenWindow(client.WithKey(t.Context(), "mine"), wire.WindowDraft{Name: "x"}); err != nil || keys[5] != "mine" {
		t.Errorf("key %q, %v", keys[5], err)
	}
}

// Without a key a changing call is sent once, whatever happens.
func TestPostWithoutKeyIsSentOnce(t *testing.T) {
	var n atomic.Int32
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		problem(w, 503, "unavailable")
	})
	if _, err := c.Send(t.Context(), client.Call{Method: "POST", Path: "/v1/windows", Body: []byte(`{}`)}); client.CodeOf(err) != "unavailable" {
		t.Errorf("%v", err)
	}
	if _, err := c.Verify(t.Context(), "w"); client.CodeOf(err) != "unavailable" {
		t.Errorf("%v", err)
	}
	if n.Load() != 2 {
		t.Errorf("sent %d times, want 2", n.Load())
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		handler     http.HandlerFunc
		status      int
		code        string
		sent        int32
		unreachable bool
	}{
		"problem":     {func(w http.ResponseWriter, _ *http.Request) { problem(w, 422, "invalid") }, 422, "invalid", 1, false},
		"conflict":    {func(w http.ResponseWriter, _ *http.Request) { problem(w, 409, "conflict") }, 409, "conflict", 1, false},
		"internal":    {func(w http.ResponseWriter, _ *http.Request) { problem(w, 500, "internal") }, 500, "internal", 1, false},
		"unavailable": {func(w http.ResponseWriter, _ *http.Request) { problem(w, 503, "unavailable") }, 503, "unavailable", 4, true},
		"proxy":       {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<h1>Bad Gateway", http.StatusBadGateway) }, 502, "", 4, true},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, 307, "", 1, false},
		"something not": {func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, 404, "", 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int32
			cl := newClient(t, func(w http.ResponseWriter, r *http.Request) { n.Add(1); c.handler(w, r) })
			_, err := cl.Void(t.Context(), "e", "why")
			var e *client.Error
			if !errors.As(err, &e) || e.Status != c.status || client.CodeOf(err) != c.code || client.Unreachable(err) != c.unreachable {
				t.Errorf("%v: %+v", err, e)
			}
			if n.Load() != c.sent {
				t.Errorf("sent %d times, want %d", n.Load(), c.sent)
			}
		})
	}
	dead := httptest.NewServer(nil)
	dead.Close()
	c, err := client.New(client.Config{URL: dead.URL, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); !client.Unreachable(err) || client.CodeOf(err) != "" {
		t.Errorf("%v", err)
	}
}

func TestHeaders(t *testing.T) {
	var got http.Header
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		_, _ = io.WriteString(w, `{"id":"r","state":"finished"}`)
	})
	r, err := c.StartRollback(client.WithIfMatch(t.Context(), 7), "w", wire.RollbackRequest{}, 5*time.Second)
	if err != nil || !r.Over() {
		t.Fatalf("%v, %v", r, err)
	}
	if got.Get("Prefer") != "wait=5" || got.Get("If-Match") != `"7"` || got.Get("Authorization") != "Bearer t0ken" {
		t.Errorf("%v", got)
	}
}

func TestPages(t *testing.T) {
	var queries []string
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.RawQuery)
		if r.URL.Query().Get("cursor") == "" {
			_, _ = io.WriteString(w, `{"items":[{"seq":1},{"seq":2}],"next_cursor":"abc"}`)
			return
		}
		_, _ = io.WriteString(w, `{"items":[{"seq":3}],"next_cursor":""}`)
	})
	var seqs []int
	for e, err := range c.AllEntries(t.Context(), "w", client.EntryQuery{States: []string{"stuck"}, Only: []string{"tag=a b"}, Desc: true, Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, e.Seq)
	}
	want := []string{"limit=2&only=tag%3Da+b&order=desc&state=stuck", "cursor=abc&limit=2&only=tag%3Da+b&order=desc&state=stuck"}
	if d := cmp.Diff([]int{1, 2, 3}, seqs) + cmp.Diff(want, queries); d != "" {
		t.Error(d)
	}
}

const planBody = `{"window_id":"w","computed_at":"2026-01-02T03:04:05Z","steps":[{"seq":2,"verdict":"undo","now":null},{"seq":1,"verdict":"void"}],"counts":{"undo":1},"fingerprint":"f"}`

func TestPlan(t *testing.T) {
	body := planBody
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	p, err := c.Plan(t.Context(), "w", client.Selection{})
	if err != nil || len(p.Steps) != 2 || p.Steps[0].Verdict != "undo" || string(p.Steps[0].Now) != "null" || p.Steps[1].Now != nil || p.Fingerprint != "f" {
		t.Fatalf("%+v, %v", p, err)
	}
	body = strings.Replace(planBody, `,"fingerprint":"f"`, "", 1)
	if p, err := c.Plan(t.Context(), "w", client.Selection{}); err == nil {
		t.Errorf("a plan without its end is taken: %+v", p)
	}
	for i := range len(planBody) - 1 {
		body = planBody[:i]
		if p, err := c.Plan(t.Context(), "w", client.Selection{}); err == nil {
			t.Fatalf("a plan cut after %q is taken: %+v", body, p)
		}
	}
}

// Records are seen once and in order over lost connections; the run's end ends it.
func TestEventsReconnect(t *testing.T) {
	var from []string
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.Header.Get("Last-Event-ID"))
		if len(from) == 2 {
			problem(w, 503, "unavailable")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		if len(from) == 1 {
			_, _ = io.WriteString(w, ": hello\n\nid: 4\nevent: a\ndata: {\"number\":4}\n\nid: 5\nevent: b\ndata: {\"nu")
			return
		}
		for n := 4; n <= 6; n++ { // one too many: the client has it already
			_, _ = fmt.Fprintf(w, "id: %d\nevent: b\ndata: {\"number\":%d}\n\n", n, n)
		}
		_, _ = io.WriteString(w, ": end\n\n")
	})
	var seen []int64
	var lost int
	err := c.RollbackEvents(t.Context(), "r", client.Watch{After: 3, LostFunc: func(error) { lost++ }}, func(e wire.Event) error {
		if string(e.Data) != fmt.Sprintf(`{"number":%d}`, e.ID) {
			t.Errorf("event %d carries %s", e.ID, e.Data)
		}
		seen = append(seen, e.ID)
		return nil
	})
	if d := cmp.Diff([]int64{4, 5, 6}, seen) + cmp.Diff([]string{"3", "4", "4"}, from); err != nil || d != "" || lost != 2 {
		t.Errorf("%v, lost %d\n%s", err, lost, d)
	}
}

func TestEventsEnd(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "none") {
			problem(w, 404, "not_found")
			return
		}
		_, _ = io.WriteString(w, "id: 1\nevent: a\ndata: {}\n\n")
	})
	if err := c.WindowEvents(t.Context(), "none", client.Watch{}, func(wire.Event) error { return nil }); client.CodeOf(err) != "not_found" {
		t.Errorf("%v", err)
	}
	mine := errors.New("mine")
	if err := c.WindowEvents(t.Context(), "w", client.Watch{}, func(wire.Event) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := c.WindowEvents(ctx, "w", client.Watch{}, func(wire.Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
