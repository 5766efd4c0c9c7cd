package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger/ledgertest"
)

const (
	scriptTrace   = "4bf92f3577b34da6a3ce929d0e0e4736"
	operatorTrace = "0af7651916cd43dd8448eb211c80319c"
)

func traceparent(trace string) string { return "00-" + trace + "-00f067aa0ba902b7-01" }

// tracedHouse keeps the spans of a house, and the traceparents that its third party got, by method.
type tracedHouse struct {
	*house
	spans *tracetest.InMemoryExporter
	mu    sync.Mutex
	got   map[string][]string
}

func newTracedHouse(t *testing.T, recorded bool) *tracedHouse {
	t.Helper()
	h := &tracedHouse{house: newHouse(t, false), spans: tracetest.NewInMemoryExporter(), got: map[string][]string{}}
	h.web.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.got[r.Method] = append(h.got[r.Method], r.Header.Get("traceparent"))
		h.mu.Unlock()
		h.third.ServeHTTP(w, r)
	})
	if recorded {
		h.traces = recordTo(t.Context(), sdktrace.NewSimpleSpanProcessor(h.spans))
	}
	h.serve()
	return h
}

// post makes a call under a trace.
func (h *tracedHouse) post(path, trace string, body, into any) {
	h.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		h.Fatal(err)
	}
	a, err := h.client.Send(h.Context(), client.Call{
		Method: http.MethodPost, Path: path, Body: raw, Header: map[string]string{"traceparent": traceparent(trace), "tracestate": "vendor=cnrytracestate"},
	})
	if err != nil {
		h.Fatal(err)
	}
	if err := json.Unmarshal(a.Body, into); err != nil {
		h.Fatal(err)
	}
}

// undone records an entry under the script's trace and rolls its window back under the operator's.
func (h *tracedHouse) undone(at string) (e wire.Entry, r wire.Rollback) {
	h.Helper()
	w := h.window("w")
	h.third.set(at, `{"v":"new"}`)
	h.post("/v1/windows/"+w.ID+"/entries", scriptTrace, putDraft(at), &e)
	h.post("/v1/windows/"+w.ID+"/rollbacks", operatorTrace, wire.RollbackRequest{Reason: "test"}, &r)
	h.rollBack(w.ID) // joins it, and waits for its end
	return e, r
}

// From the script's traceparent to each call of the undo there is one connected trace of the rollback, whose spans name the
// trace that the entry was recorded under; both are shown.
func TestOneTrace(t *testing.T) {
	h := newTracedHouse(t, true)
	e, r := h.undone("/hooks/1")
	if e.TraceID != scriptTrace || r.TraceID != operatorTrace {
		t.Errorf("the entry says trace %s, the rollback %s", e.TraceID, r.TraceID)
	}
	h.stop() // every span has ended
	spans := h.spans.GetSpans()
	byID := map[string]tracetest.SpanStub{}
	for _, s := range spans {
		byID[s.SpanContext.SpanID().String()] = s
	}
	var clients []string
	for _, s := range spans {
		if s.SpanContext.TraceID().String() != operatorTrace {
			continue
		}
		path, last := s.Name, s
		for {
			parent, ok := byID[last.Parent.SpanID().String()]
			if !ok {
				break
			}
			path, last = parent.Name+" > "+path, parent
		}
		if last.Parent.SpanID().String() != "00f067aa0ba902b7" {
			t.Errorf("%s hangs in the air", path)
		}
		if strings.HasSuffix(s.Name, " sys") {
			clients = append(clients, path)
		}
		if strings.HasSuffix(s.Name, " entry") && (len(s.Links) != 1 || s.Links[0].SpanContext.TraceID().String() != scriptTrace) {
			t.Errorf("%s is not linked to the recording: %v", s.Name, s.Links)
		}
	}
	const root = "POST /v1/windows/{id}/rollbacks > rollback > "
	want := []string{root + "look entry > GET sys", root + "undo entry > PUT sys", root + "undo entry > GET sys"}
	if !slices.Equal(clients, want) {
		t.Errorf("the calls of the undo:\n%s\nwant\n%s", strings.Join(clients, "\n"), strings.Join(want, "\n"))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for method, list := range h.got {
		for _, got := range list {
			if !strings.HasPrefix(got, "00-"+operatorTrace+"-") || byID[got[36:52]].Name != method+" sys" {
				t.Errorf("a %s brought traceparent %q", method, got)
			}
		}
	}
}

// Without a collector nothing is recorded, and the trace that a caller names is kept and passed on all the same.
func TestTracePassesUnrecorded(t *testing.T) {
	h := newTracedHouse(t, false)
	e, r := h.undone("/hooks/1")
	if e.TraceID != scriptTrace || r.TraceID != operatorTrace {
		t.Errorf("the entry says trace %s, the rollback %s", e.TraceID, r.TraceID)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if got := h.got["PUT"]; len(got) != 1 || got[0] != traceparent(operatorTrace) {
		t.Errorf("the undo brought %v", got)
	}
	if n := len(h.spans.GetSpans()); n > 0 {
		t.Errorf("%d spans", n)
	}
}

// The trace of entries and runs is in the journal: it is there after a rebuild, and an entry that is posted again under
// another trace is the same entry.
func TestTraceIsKept(t *testing.T) {
	h := newTracedHouse(t, false)
	w := h.window("w")
	d := putDraft("/hooks/1")
	var first, again wire.Entry
	h.post("/v1/windows/"+w.ID+"/entries", scriptTrace, d, &first)
	h.post("/v1/windows/"+w.ID+"/entries", operatorTrace, d, &again)
	if again.TraceID != scriptTrace || again.ID != first.ID || again.Seq != 1 {
		t.Errorf("posted again: %+v", again)
	}
	if journal := h.read("/v1/windows/" + w.ID + "/journal"); !strings.Contains(journal, scriptTrace) {
		t.Error("the journal does not have it")
	}
}

// No span holds what is secret, or a path of a third party's, which may be: a webhook's address is one.
func TestSpansHoldNoSecrets(t *testing.T) {
	h := newTracedHouse(t, true)
	t.Setenv("HOUSE_SECRET", "cnryspancredential")
	text, err := os.ReadFile(h.config())
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, "  keyed: {remediator: http, url: %q, allow_private: true, credential: env:HOUSE_SECRET, retry: {base: 1ms, cap: 5ms, attempts: 2}}\n", h.web.URL+"/cnryspanbase")
	if err := os.WriteFile(h.config(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	h.stop()
	h.serve()
	w := h.window("cnryspanwindow")
	for _, system := range []string{"sys", "keyed"} {
		d := putDraft("/hooks/cnryspanpath?q=cnryspanquery")
		d.System, d.Note, d.Secret = system, "cnryspannote", []string{"/v"}
		d.Before, d.After = json.RawMessage(`{"v":"cnryspanbefore"}`), json.RawMessage(`{"v":"cnryspanafter"}`)
		d.Read = json.RawMessage(`{"method":"GET","path":"/hooks/cnryspanpath","present":[200],"absent":[404]}`)
		d.Undo = json.RawMessage(`{"method":"PUT","path":"/hooks/cnryspanpath","headers":{"X-Key":"cnryspanheader"},"body":{"v":"cnryspanbody"}}`)
		var e wire.Entry
		h.post("/v1/windows/"+w.ID+"/entries", scriptTrace, d, &e)
	}
	h.third.set("/hooks/cnryspanpath", `{"v":"cnryspanafter"}`)
	h.rollBack(w.ID)
	if _, err := h.client.Send(t.Context(), client.Call{Method: http.MethodGet, Path: "/v1/windows/cnryspanid?x=cnryspanparameter"}); err == nil {
		t.Error("no such window was found")
	}
	h.stop()
	spans := h.spans.GetSpans()
	if len(spans) < 8 {
		t.Fatalf("%d spans", len(spans))
	}
	for _, s := range spans {
		text := fmt.Sprintf("%+v", s)
		if strings.Contains(text, "cnry") || strings.Contains(text, h.token) || strings.Contains(text, "/hooks") {
			t.Errorf("a span holds a secret: %s", text)
		}
	}
}

// A collector that is away, or hangs, holds up nothing and is said once, without its address: a password may stand in it.
func TestCollectorAway(t *testing.T) {
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer sick.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", strings.Replace(sick.URL, "http://", "http://user:cnrypassword@", 1))
	var out ledgertest.Buffer
	e := &env{getenv: os.Getenv, log: LogConfig{}.logger(&out)}
	tr, err := newTraces(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, span := tr.provider.Tracer("t").Start(t.Context(), "a span")
		span.End()
	}
	tr.stop()
	if text := out.String(); strings.Count(text, "takes no spans") != 1 || strings.Contains(text, "cnry") {
		t.Errorf("%s", text)
	}
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if off, err := newTraces(t.Context(), e); err != nil || fmt.Sprintf("%T", off.provider) != "noop.TracerProvider" {
		t.Errorf("%T, %v", off.provider, err)
	}
}
