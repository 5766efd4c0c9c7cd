package api

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"sideledger/ledger"
)

// begin puts a request's id and, for calls of the API, its span into the request's context: below the one that the caller
// names, if he names one (W3C Trace Context). ended ends the span. A span holds the route and never the path, a
// query, a header or a body.
func (a *API) begin(c echo.Context, id string) (ended func()) {
	ctx := ledger.WithLogAttrs(c.Request().Context(), slog.String("request_id", id))
	route := routeName(c)
	if !strings.HasPrefix(route, "/v1/") { // probes, metrics and pages
		c.SetRequest(c.Request().WithContext(ctx))
		return func() {}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, traceparentOf(c.Request().Header))
	method := c.Request().Method
	ctx, span := a.tracer.Start(ctx, method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", method), attribute.String("http.route", route), attribute.String("sideledger.request_id", id),
	))
	if carrier := (propagation.MapCarrier{}); span.SpanContext().IsValid() {
		propagation.TraceContext{}.Inject(ctx, carrier)
		ctx = ledger.WithTrace(ctx, ledger.Trace(carrier["traceparent"]))
	}
	c.SetRequest(c.Request().WithContext(ctx))
	return func() {
		status := c.Response().Status
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if code, _ := c.Get(problemKey).(string); code != "" {
			span.SetAttributes(attribute.String("sideledger.code", code))
		}
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// traceparentOf takes the trace that a caller names, and leaves out what others say of it (tracestate): that would go on to
// third parties.
func traceparentOf(h http.Header) propagation.MapCarrier {
	return propagation.MapCarrier{"traceparent": h.Get("traceparent")}
}
