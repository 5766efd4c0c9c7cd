package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"sideledger/ledger"
	"sideledger/ledger/runner"
)

const traceStop = 3 * time.Second // for the spans that are left when the server stops

// traces makes spans and hands them to a collector. Nothing waits for it: what it does not take in time is dropped.
type traces struct {
	provider trace.TracerProvider
	stop     func()
}

// untraced records no spans. A trace that a caller names is kept with what he records and passed on all the same.
func untraced() *traces { return &traces{provider: noop.NewTracerProvider(), stop: func() {}} }

// newTraces reads OpenTelemetry's own variables. Without OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, with
// OTEL_SDK_DISABLED=true or with OTEL_TRACES_EXPORTER=none nothing is recorded.
func newTraces(ctx context.Context, e *env) (*traces, error) {
	endpoint := e.getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") + e.getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	exporter := e.getenv("OTEL_TRACES_EXPORTER")
	if endpoint == "" || exporter == "none" || strings.EqualFold(e.getenv("OTEL_SDK_DISABLED"), "true") {
		return untraced(), nil
	}
	if exporter != "" && exporter != "otlp" {
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: this server knows otlp and none")
	}
	out, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_…: %w", err)
	}
	return recordTo(ctx, sdktrace.NewBatchSpanProcessor(&quietExporter{SpanExporter: out, log: e.log})), nil
}

// recordTo records spans to a processor. The service is called sideledger unless OTEL_SERVICE_NAME says otherwise.
func recordTo(ctx context.Context, p sdktrace.SpanProcessor) *traces {
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "sideledger"), attribute.String("service.version", versionText()),
	), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		about = resource.Default() // a variable that cannot be read in part
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p), sdktrace.WithResource(about))
	return &traces{provider: provider, stop: func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), traceStop)
		defer cancel()
		_ = provider.Shutdown(ctx) // spans that nobody takes are lost
	}}
}

// quietExporter says once in a row that spans are lost. The error of an exporter may hold its address, with a password in
// it, or what the collector answered, so it is left out.
type quietExporter struct {
	sdktrace.SpanExporter
	log  *slog.Logger
	lost atomic.Bool
}

// ExportSpans implements [sdktrace.SpanExporter].
func (q *quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := q.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && !q.lost.Swap(true):
		q.log.WarnContext(ctx, "the collector takes no spans; they are dropped until it does", slog.Int("spans", len(spans)))
	case err == nil && q.lost.Swap(false):
		q.log.InfoContext(ctx, "the collector takes spans again")
	}
	return nil
}

// observer puts the spans of rollbacks around another observer.
func (t *traces) observer(next runner.Observer) runner.Observer {
	return spans{next, t.provider.Tracer("sideledger/runner")}
}

// spans are the spans of rollbacks. It implements [runner.Observer].
type spans struct {
	runner.Observer
	tracer trace.Tracer
}

// remote returns the span that a stored trace names.
func remote(t ledger.Trace) trace.SpanContext {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": string(t)})
	return trace.SpanContextFromContext(ctx)
}

// Claimed implements [runner.Observer]: a span below the call that asked for the run, for as long as the lease is held.
func (s spans) Claimed(ctx context.Context, l *ledger.Lease) (context.Context, func(error)) {
	run := &l.Rollback
	if asked := remote(run.Trace); asked.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, asked)
	}
	ctx, span := s.tracer.Start(ctx, "rollback", trace.WithAttributes(
		attribute.String("sideledger.window_id", run.WindowID.String()), attribute.String("sideledger.rollback_id", run.ID.String()),
		attribute.Int64("sideledger.epoch", l.Epoch),
	))
	ctx, done := s.Observer.Claimed(ctx, l)
	return ctx, func(err error) {
		done(err)
		span.SetAttributes(attribute.String("sideledger.state", string(l.Rollback.State)))
		if err != nil {
			span.SetStatus(codes.Error, "interrupted")
		}
		span.End()
	}
}

// Called implements [runner.Observer]: a span below the run's, linked to the call that recorded the entry.
func (s spans) Called(ctx context.Context, e *ledger.Entry, c runner.Call) (context.Context, func(string)) {
	var links []trace.Link
	if recorded := remote(e.Trace); recorded.IsValid() {
		links = append(links, trace.Link{SpanContext: recorded})
	}
	ctx, span := s.tracer.Start(ctx, string(c)+" entry", trace.WithLinks(links...), trace.WithAttributes(
		attribute.String("sideledger.entry_id", e.ID.String()), attribute.Int("sideledger.seq", e.Seq),
		attribute.String("sideledger.system", e.System), attribute.String("sideledger.kind", e.Kind),
	))
	ctx, done := s.Observer.Called(ctx, e, c)
	return ctx, func(result string) {
		done(result)
		span.SetAttributes(attribute.String("sideledger.result", result))
		if result != "seen" && result != string(ledger.AnswerAccepted) && result != string(ledger.AnswerGone) {
			span.SetStatus(codes.Error, result)
		}
		span.End()
	}
}
