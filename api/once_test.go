package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sideledger/api/wire"
	"sideledger/ledger"
)

func keyed(r req, key string) req {
	r.header = map[string]string{"Idempotency-Key": key}
	return r
}

func TestSameKeySameAnswer(t *testing.T) {
	b := newBench(t)
	open := req{method: "POST", path: "/v1/windows", body: `{"name":"w"}`}
	first := b.do(keyed(open, "k1"), 201, nil)
	open.body = ` { "name" : "w" } `
	second := b.do(keyed(open, "k1"), 201, nil)
	if second.Body.String() != first.Body.String() || second.Header().Get("Location") != first.Header().Get("Location") ||
		second.Header().Get("ETag") != first.Header().Get("ETag") ||
		second.Header().Get("Idempotency-Replayed") != "true" || first.Header().Get("Idempotency-Replayed") != "" {
		t.Errorf("first %v %s\nthen %v %s", first.Header(), first.Body, second.Header(), second.Body)
	}
	open.body = `{"name":"another"}`
	b.problem(keyed(open, "k1"), 422, "invalid")
	b.do(keyed(open, "k1"), 422, nil) // the refusal is not what is kept
	open.body = `{"name":"w"}`
	if again := b.do(keyed(open, "k1"), 201, nil); again.Body.String() != first.Body.String() {
		t.Error("a refused second body has replaced the first answer")
	}
	if other := b.do(keyed(open, "k2"), 201, nil); other.Body.String() == first.Body.String() {
		t.Error("another key gets the same answer")
	}
	open.token = b.token(ledger.Token{Role: ledger.RoleOperator})
	if other := b.do(keyed(open, "k1"), 201, nil); other.Body.String() == first.Body.String() {
		t.Error("another token gets the same answer")
	}
}

// Every changing call with a key changes once.
func TestEveryChangeHappensOnce(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	d := b.draft("/a")
	d.State = "intended"
	var e wire.Entry
	entries := "/v1/windows/" + w.ID + "/entries"
	b.do(keyed(req{method: "POST", path: entries, body: d}, "k"), 201, &e)
	batch := wire.EntryBatch{Entries: []wire.EntryDraft{b.draft("/b"), b.draft("/c")}}
	entry := "/v1/entries/" + e.ID
	for _, r := range []req{
		{method: "POST", path: entries, body: d},
		{method: "POST", path: entries + "/batch", body: batch},
		{method: "POST", path: entry + "/renew"},
		{method: "POST", path: entry + "/applied", body: `{}`},
		{method: "POST", path: "/v1/windows/" + w.ID + "/seal", body: `{"reason":"r"}`},
		{method: "POST", path: "/v1/windows/" + w.ID + "/reopen"},
		{method: "POST", path: "/v1/windows/" + w.ID + "/keep"},
		{method: "POST", path: "/v1/windows/" + w.ID + "/rollbacks", body: wire.RollbackRequest{Only: []string{e.ID}}},
	} {
		one, two := recorded(b, keyed(r, "k")), recorded(b, keyed(r, "k"))
		if one.Code >= 300 || one.Code != two.Code || one.Body.String() != two.Body.String() || two.Header().Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: %d %s, then %d %s", r.path, one.Code, one.Body, two.Code, two.Body)
		}
	}
	var l wire.EntryList
	b.do(req{method: "GET", path: entries}, 200, &l)
	if len(l.Items) != 3 {
		t.Errorf("%d entries, want 3", len(l.Items))
	}
}

func recorded(b *bench, r req) *responseRecorder {
	rec := newRecorder()
	b.api.ServeHTTP(rec, b.request(r))
	return rec
}

// A refusal is the first answer too, and stays so; what is our fault, or the state of a moment, does not.
func TestRefusalsAreKept(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	d := b.draft("/a")
	d.State = "intended"
	record := req{method: "POST", path: "/v1/windows/" + w.ID + "/entries", body: d}
	b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/seal"}, 200, nil)
	first := recorded(b, keyed(record, "k"))
	b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/reopen"}, 200, nil)
	second := recorded(b, keyed(record, "k"))
	if first.Code != 409 || second.Code != 409 || second.Header().Get("Idempotency-Replayed") != "true" || first.Body.String() != second.Body.String() {
		t.Errorf("%d %s\n%d %s", first.Code, first.Body, second.Code, second.Body)
	}
	if kind := second.Header().Get("Content-Type"); kind != wire.ProblemType {
		t.Errorf("a refusal comes back as %s", kind)
	}
	b.do(keyed(record, "another"), 201, nil)

	stale := req{method: "POST", path: "/v1/windows/" + w.ID + "/seal", header: map[string]string{"Idempotency-Key": "s", "If-Match": `"1"`}}
	b.problem(stale, 412, "stale")
	delete(stale.header, "If-Match")
	b.do(stale, 200, nil)
}

// A store whose commits have no known outcome: 503, nothing kept, and the same key works afterwards.
func TestFailuresAreNotKept(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	r := keyed(req{method: "POST", path: "/v1/windows/" + w.ID + "/entries", body: b.draft("/a")}, "k")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec := newRecorder()
	b.api.ServeHTTP(rec, b.request(r).WithContext(ctx))
	if rec.Code != 503 && rec.Code != 201 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	b.do(r, 201, nil)
}

// While the first request with a key is under way, another one is told so.
func TestKeyInProgress(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	actor, err := b.ledger.Authenticate(t.Context(), b.admin)
	if err != nil {
		t.Fatal(err)
	}
	k := ledger.ReplyKey{TokenID: actor.TokenID, Method: "POST", Path: "/v1/windows/" + w.ID + "/seal", Key: "k"}
	if !b.api.progress.begin(k) {
		t.Fatal("somebody is at it")
	}
	r := keyed(req{method: "POST", path: "/v1/windows/" + w.ID + "/seal"}, "k")
	b.problem(r, 409, "conflict")
	if rec := recorded(b, r); rec.Header().Get("Retry-After") != "1" {
		t.Errorf("%v", rec.Header())
	}
	b.api.progress.end(k)
	b.do(r, 200, nil)
}

// Fifty at once under one key: one entry, and everybody gets it or is told to ask again.
func TestKeyAtOnce(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	r := keyed(req{method: "POST", path: "/v1/windows/" + w.ID + "/entries", body: b.draft("/a")}, "k")
	var wg sync.WaitGroup
	var mu sync.Mutex
	bodies, codes := map[string]int{}, map[int]int{}
	for range 50 {
		hr := b.request(r)
		wg.Go(func() {
			rec := newRecorder()
			b.api.ServeHTTP(rec, hr)
			mu.Lock()
			defer mu.Unlock()
			codes[rec.Code]++
			if rec.Code == 201 {
				bodies[rec.Body.String()]++
			}
		})
	}
	wg.Wait()
	if len(bodies) != 1 || codes[201] == 0 || codes[201]+codes[409] != 50 {
		t.Errorf("%d answers, codes %v", len(bodies), codes)
	}
	var l wire.EntryList
	b.do(req{method: "GET", path: "/v1/windows/" + w.ID + "/entries"}, 200, &l)
	if len(l.Items) != 1 {
		t.Errorf("%d entries", len(l.Items))
	}
}

// A belated store does not find the first answer of a key until a change was refused over it, as a replica does not whose transaction
// began before that of another one had ended.
type belated struct {
	ledger.Store
	refused atomic.Bool
}

type belatedTx struct{ ledger.Tx }

func (belatedTx) FindReply(ledger.ReplyKey) (*ledger.Reply, error) { return nil, nil } //nolint:nilnil // no answer yet is no error

func (s *belated) Open(ctx context.Context, w ledger.Window, fn func(ledger.Tx) error) error {
	err := s.Store.Open(ctx, w, func(tx ledger.Tx) error { return fn(belatedTx{tx}) })
	s.refused.Store(err != nil)
	return err
}

func (s *belated) GetReply(ctx context.Context, k ledger.ReplyKey) (*ledger.Reply, error) {
	if !s.refused.Load() {
		return nil, nil //nolint:nilnil // as above
	}
	return s.Store.GetReply(ctx, k)
}

// One key at two replicas at once: the slower one gives the answer of the other, also where no window's fence keeps them apart.
func TestKeyAtTwoReplicas(t *testing.T) {
	b := newBench(t)
	var err error
	other := ledger.New(ledger.Config{Store: &belated{Store: b.store}, Systems: b.shelf, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
	slower := *b
	if slower.api, err = New(Config{Ledger: other, Log: slog.New(slog.DiscardHandler), Clock: time.Now}); err != nil {
		t.Fatal(err)
	}
	r := keyed(req{method: "POST", path: "/v1/windows", body: map[string]any{"name": "w"}}, "k")
	first, second := recorded(b, r), recorded(&slower, r)
	if second.Code != 201 || second.Body.String() != first.Body.String() || second.Header().Get(wire.HeaderReplayed) != "true" {
		t.Errorf("%d %s\n%d %s", first.Code, first.Body, second.Code, second.Body)
	}
}

// The caller's own id is enough to ask again safely, without a key.
func TestOwnID(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	d := b.draft("/a")
	d.ID = ledger.NewID().String()
	r := req{method: "POST", path: "/v1/windows/" + w.ID + "/entries", body: d}
	var one, two wire.Entry
	b.do(r, 201, &one)
	b.do(r, 200, &two)
	if one.ID != d.ID || two.ID != d.ID || one.Seq != two.Seq {
		t.Errorf("%+v, %+v", one, two)
	}
	d.After = []byte(`{"v":3}`)
	r.body = d
	b.problem(r, 409, "conflict")
	d.ID = "5f0c0fd2-9d3d-4f0e-8a4e-0a3c8a0f1a11" // a version 4
	r.body = d
	if p := b.problem(r, 422, "invalid"); p.Field != "/id" {
		t.Errorf("%+v", p)
	}
}

func TestETags(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	e := b.record(w.ID, b.draft("/a"))
	run := b.rollback(w.ID, nil)
	for _, path := range []string{"/v1/windows/" + w.ID, "/v1/entries/" + e.ID, "/v1/rollbacks/" + run.ID} {
		tag := b.do(req{method: "GET", path: path}, 200, nil).Header().Get("ETag")
		if !strings.HasPrefix(tag, `"`) {
			t.Fatalf("%s: ETag %s", path, tag)
		}
		for _, given := range []string{tag, "W/" + tag, `"0", ` + tag, "*"} {
			rec := b.do(req{method: "GET", path: path, header: map[string]string{"If-None-Match": given}}, 304, nil)
			if rec.Body.Len() > 0 || rec.Header().Get("ETag") != tag {
				t.Errorf("%s: %v %s", path, rec.Header(), rec.Body)
			}
		}
		b.do(req{method: "GET", path: path, header: map[string]string{"If-None-Match": `"0"`}}, 200, nil)
	}
	w = b.window("w")
	seal := req{method: "POST", path: "/v1/windows/" + w.ID + "/seal", header: map[string]string{}}
	for _, stale := range []string{`"0"`, `W/"1"`, "1", `"x"`} {
		seal.header["If-Match"] = stale
		b.problem(seal, 412, "stale")
	}
	seal.header["If-Match"] = `"1"`
	tag := b.do(seal, 200, nil).Header().Get("ETag")
	if tag != `"2"` {
		t.Errorf("ETag %s after the second record", tag)
	}
	start := req{method: "POST", path: "/v1/windows/" + w.ID + "/rollbacks", header: map[string]string{"If-Match": `"1"`}}
	b.problem(start, 412, "stale")
	start.header["If-Match"] = tag
	if rec := recorded(b, start); rec.Code != http.StatusAccepted && rec.Code != http.StatusOK {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestCursors(t *testing.T) {
	b := newBench(t)
	var w wire.Window
	var windows, want []string
	for i := range 7 {
		w = b.window(fmt.Sprint(i))
		windows = append([]string{w.ID}, windows...)
	}
	for i := range 7 {
		want = append(want, b.record(w.ID, b.draft(fmt.Sprintf("/%d", i))).ID)
	}
	walk := func(path string) (ids []string, pages int) {
		for path != "" {
			var l struct {
				Items []struct {
					ID string `json:"id"`
				} `json:"items"`
				NextCursor string `json:"next_cursor"`
			}
			rec := b.do(req{method: "GET", path: path}, 200, &l)
			for _, item := range l.Items {
				ids = append(ids, item.ID)
			}
			pages++
			link := rec.Header().Get("Link")
			if (link == "") != (l.NextCursor == "") || len(l.Items) > 3 {
				t.Fatalf("%s: %d items, Link %s, next_cursor %s", path, len(l.Items), link, l.NextCursor)
			}
			path, _ = strings.CutPrefix(strings.TrimSuffix(link, `>; rel="next"`), "<")
		}
		return ids, pages
	}
	entries := "/v1/windows/" + w.ID + "/entries"
	for path, wantIDs := range map[string][]string{
		"/v1/windows?limit=3":                            windows,
		"/v1/windows?limit=3&state=open":                 windows,
		"/v1/windows?limit=3&state=kept":                 nil,
		entries + "?limit=3":                             want,
		entries + "?limit=3&order=desc":                  reversed(want),
		entries + "?limit=3&state=applied&state=stuck":   want,
		entries + "?limit=3&state=stuck":                 nil,
		entries + "?limit=3&only=2&only=5&only=6":        {want[1], want[4], want[5]},
		entries + "?limit=3&exclude=2&only=system=shelf": append([]string{want[0]}, want[2:]...),
	} {
		ids, pages := walk(path)
		if strings.Join(ids, " ") != strings.Join(wantIDs, " ") || pages != max(1, (len(wantIDs)+2)/3) {
			t.Errorf("%s: %d pages, %v, want %v", path, pages, ids, wantIDs)
		}
	}
	var l wire.EntryList
	b.do(req{method: "GET", path: entries + "?limit=2"}, 200, &l)
	b.problem(req{method: "GET", path: entries + "?order=desc&cursor=" + l.NextCursor}, 422, "invalid")
	b.problem(req{method: "GET", path: "/v1/windows?cursor=" + l.NextCursor}, 422, "invalid")
}

func reversed(in []string) []string {
	out := make([]string, 0, len(in))
	for i := len(in) - 1; i >= 0; i-- {
		out = append(out, in[i])
	}
	return out
}
