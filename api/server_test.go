package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sideledger/api/wire"
	"sideledger/ledger"
)

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		30 * time.Minute: "30m", time.Hour: "1h", time.Minute: "60s", 90 * time.Second: "90s", time.Hour + time.Second: "1h0m1s",
		500 * time.Millisecond: "500ms", 0: "0s", 10 * time.Second: "10s", 26 * time.Hour: "26h", time.Hour + 10*time.Minute: "1h10m",
	} {
		if got := duration(d); got != want {
			t.Errorf("%s is written %s, want %s", d, got, want)
		}
		if back, err := time.ParseDuration(duration(d)); err != nil || back != d {
			t.Errorf("%s reads back as %s", d, back)
		}
	}
}

func TestPrefer(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"wait=5": 5 * time.Second, "respond-async, wait=7": 7 * time.Second, `wait="3"; x=1`: 3 * time.Second, "Wait=2": 2 * time.Second,
		"wait=-1": 0, "wait=x": 0, "return=minimal": 0, "": 0, "wait=999999": maxWait,
	} {
		if got := preferredWait([]string{in}); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// Every code of the domain has a status, and the contract's code.
func TestEveryCodeHasAnAnswer(t *testing.T) {
	for code, want := range map[ledger.Code]string{
		ledger.CodeInvalid: "422 invalid", ledger.CodeMalformed: "400 invalid", ledger.CodeUnauthenticated: "401 unauthenticated",
		ledger.CodeForbidden: "403 forbidden", ledger.CodeNotFound: "404 not_found", ledger.CodeConflict: "409 conflict",
		ledger.CodeStale: "412 stale", ledger.CodeTooLarge: "413 too_large", ledger.CodeRateLimited: "429 rate_limited",
		ledger.CodeUnavailable: "503 unavailable", ledger.CodeFull: "507 full", ledger.CodeInternal: "500 internal",
		"something new": "500 internal",
	} {
		p, after := problemOf(fmt.Errorf("wrapped: %w", &ledger.Error{Code: code, Op: "op", Msg: "msg", RetryAfter: 1500 * time.Millisecond}))
		if got := fmt.Sprint(p.Status, " ", p.Code); got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
		if internal := p.Status == 500; internal == (p.Detail == "msg") || !internal && after != 2 {
			t.Errorf("%s: detail %q, Retry-After %d", code, p.Detail, after)
		}
	}
	if p, _ := problemOf(errors.New("secret")); p.Status != 500 || strings.Contains(p.Detail, "secret") {
		t.Errorf("%+v", p)
	}
	if p, _ := problemOf(context.Canceled); p.Status != 503 {
		t.Errorf("%+v", p)
	}
}

// The page and the document load nothing from outside.
func TestDocs(t *testing.T) {
	b := newBench(t)
	rec := b.do(req{method: "GET", path: "/docs"}, 200, nil)
	page, policy := rec.Body.String(), rec.Header().Get("Content-Security-Policy")
	for _, not := range []string{"<script", "<link", "<img", "@import", "url(", "http://", "//cdn"} {
		if strings.Contains(page, not) {
			t.Errorf("the page has %s", not)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %s", policy)
	}
	for name, op := range b.api.spec.operations {
		if !strings.Contains(page, `id="`+op.spec.OperationID+`"`) {
			t.Errorf("%s is not on the page", name)
		}
	}
	for _, row := range answerOf {
		if n := strings.Count(page, ` id="`+row.code+`"`); n != 1 {
			t.Errorf("anchor %s stands there %d times", row.code, n)
		}
	}
	var doc struct {
		OpenAPI string         `json:"openapi"`
		Paths   map[string]any `json:"paths"`
	}
	b.do(req{method: "GET", path: "/openapi.json"}, 200, &doc)
	if doc.OpenAPI != "3.0.3" || len(doc.Paths) < 25 {
		t.Errorf("%+v", doc)
	}
}

func TestMetrics(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	b.record(w.ID, b.draft("/a"))
	b.rollback(w.ID, nil)
	b.problem(req{method: "GET", path: "/nowhere/7"}, 404, "not_found")
	b.problem(req{method: "GET", path: "/v1/windows/x"}, 404, "not_found")
	b.problem(req{method: "BREW", path: "/v1/windows"}, 405, "invalid")
	page := b.do(req{method: "GET", path: "/metrics"}, 200, nil).Body.String()
	for _, want := range []string{
		`sideledger_entries_recorded_total{state="applied"} 1`,
		`sideledger_rollbacks_asked_total 1`,
		`sideledger_http_answers_total{code="",method="POST",route="/v1/windows/{id}/entries",status="201"} 1`,
		`sideledger_http_answers_total{code="not_found",method="GET",route="unknown",status="404"} 1`,
		`sideledger_http_answers_total{code="not_found",method="GET",route="/v1/windows/{id}",status="404"} 1`,
		`sideledger_http_duration_seconds_count{method="POST",route="/v1/windows"} 1`,
		`method="other"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	if strings.Contains(page, "nowhere") || strings.Contains(page, "BREW") || strings.Contains(page, w.ID) {
		t.Error("a caller's value became a label")
	}
}

func TestReady(t *testing.T) {
	broken := errors.New("disk /dev/secret is gone")
	b := newBench(t, func(c *Config) { c.ReadyFunc = func(context.Context) error { return broken } })
	b.do(req{method: "GET", path: "/livez", token: "-"}, 200, nil)
	if p := b.problem(req{method: "GET", path: "/readyz", token: "-"}, 503, "unavailable"); strings.Contains(p.Detail, "secret") {
		t.Errorf("%+v", p)
	}
	for want, err := range map[string]error{"ok": nil, "full": &ledger.Error{Code: ledger.CodeFull}} {
		var got wire.Status
		broken = err
		if b.do(req{method: "GET", path: "/readyz", token: "-"}, 200, &got); got.Status != want {
			t.Errorf("%v: %+v", err, got)
		}
	}
}

// Failures are limited by address, as the last proxy tells it; valid tokens pass all the same.
func TestFailedAuthenticationsAreLimited(t *testing.T) {
	now := time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)
	b := newBench(t, func(c *Config) { c.BehindProxy, c.Clock = true, func() time.Time { return now } })
	bad := req{method: "GET", path: "/v1/windows", token: "wrong", remote: "10.0.0.1:4711", header: map[string]string{"X-Forwarded-For": "198.51.100.7, 203.0.113.1"}}
	for range guardBurst {
		b.problem(bad, 401, "unauthenticated")
	}
	rec := b.do(bad, 429, nil)
	if rec.Header().Get("Retry-After") != "1" {
		t.Errorf("%v", rec.Header())
	}
	bad.header["X-Forwarded-For"] = "203.0.113.2"
	b.problem(bad, 401, "unauthenticated")
	bad.header["X-Forwarded-For"], bad.token = "203.0.113.1", ""
	b.do(bad, 200, nil)
	bad.token = "wrong"
	b.problem(bad, 429, "rate_limited")
	now = now.Add(guardPause)
	b.problem(bad, 401, "unauthenticated")

	direct := newBench(t)
	spoofed := func(i int) req {
		return req{method: "GET", path: "/v1/windows", token: "-", header: map[string]string{"X-Forwarded-For": fmt.Sprintf("203.0.113.%d", i), "X-Real-Ip": fmt.Sprint(i)}}
	}
	for i := range guardBurst + 10 {
		rec := newRecorder()
		direct.api.ServeHTTP(rec, direct.request(spoofed(i)))
		if i > guardBurst+5 && rec.Code != 429 {
			t.Fatalf("a caller chooses its own address: %d", rec.Code)
		}
	}
}

func TestBatchLimits(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	path := "/v1/windows/" + w.ID + "/entries/batch"
	one := `{"system":"shelf","kind":"k","action":"create","resource":{"path":"/x"},"before":null,"after":"` + strings.Repeat("x", 8300) + `","state":"applied"}`
	batch := func(n int) req {
		return req{method: "POST", path: path, body: `{"entries":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}`}
	}
	b.problem(batch(1001), 413, "too_large")
	one = `{"system":"shelf","kind":"k","action":"create","resource":{"path":"/x"},"before":null,"after":{},"state":"applied"}`
	if p := b.problem(batch(1001), 422, "invalid"); p.Field != "/entries" {
		t.Errorf("%+v", p)
	}
	b.problem(batch(0), 422, "invalid")
	var l wire.EntryList
	b.do(batch(1000), 201, &l)
	if len(l.Items) != 1000 || l.Items[999].Seq != 1000 || l.NextCursor != "" {
		t.Errorf("%d items", len(l.Items))
	}
	bad := req{method: "POST", path: path, body: `{"entries":[` + one + `,` + strings.Replace(one, `"before":null`, `"before":1`, 1) + `]}`}
	if p := b.problem(bad, 422, "invalid"); p.Field != "/entries/1/before" {
		t.Errorf("%+v", p)
	}
	b.do(req{method: "GET", path: "/v1/windows/" + w.ID}, 200, &w)
	if w.Counts.Remaining != 1000 {
		t.Errorf("a refused batch left something: %+v", w.Counts)
	}
}

func TestServerSettings(t *testing.T) {
	b := newBench(t)
	s := b.api.Server()
	if s.ReadHeaderTimeout != 5*time.Second || s.ReadTimeout != 30*time.Second || s.IdleTimeout != 120*time.Second ||
		s.MaxHeaderBytes != 64<<10 || s.WriteTimeout != 0 || s.Handler != http.Handler(b.api) {
		t.Errorf("%+v", s)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("an API of nothing is taken")
	}
}

// Pause, resume and cancel, from the API's side.
func TestTurningARollback(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	d := b.draft("/a")
	d.State, d.PerformWithin = "intended", "1h" // the run waits for the word
	e := b.record(w.ID, d)
	var run wire.Rollback
	rec := b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/rollbacks", header: map[string]string{"Prefer": "wait=1"}}, 202, &run)
	if rec.Header().Get("Location") != "/v1/rollbacks/"+run.ID || rec.Header().Get("Preference-Applied") != "wait=1" {
		t.Errorf("%v", rec.Header())
	}
	var joined wire.Rollback
	b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/rollbacks", body: `{}`}, 202, &joined)
	if joined.ID != run.ID {
		t.Errorf("two runs: %s, %s", run.ID, joined.ID)
	}
	b.problem(req{method: "POST", path: "/v1/entries/" + e.ID + "/renew"}, 409, "conflict")
	turn := func(what string) wire.Rollback {
		var r wire.Rollback
		b.do(req{method: "POST", path: "/v1/rollbacks/" + run.ID + "/" + what}, 200, &r)
		return r
	}
	if r := turn("pause"); r.State != "paused" {
		t.Errorf("%+v", r)
	}
	turn("resume")
	b.do(req{method: "POST", path: "/v1/entries/" + e.ID + "/void", body: `{"reason":"it never ran"}`}, 200, nil)
	if r := b.rollback(w.ID, nil); r.ID != run.ID || !r.Complete || r.Counts.Void != 1 {
		t.Errorf("%+v", r)
	}
	b.problem(req{method: "POST", path: "/v1/rollbacks/" + run.ID + "/cancel"}, 409, "conflict")
}
