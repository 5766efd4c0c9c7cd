package remediators

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"sideledger/ledger"
)

// startSpan begins the span of one call, below the one that ctx has; without one nothing is recorded. It says which system was
// called and how, and nothing that may hold a secret: no path (a webhook's is one), no query, no header, no body.
func (c *Client) startSpan(ctx context.Context, call Call) (under context.Context, end func(Reply, *ledger.CallError)) {
	tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer("sideledger/remediators")
	ctx, span := tracer.Start(ctx, call.Method+" "+c.lane.name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("http.request.method", call.Method), attribute.String("server.address", c.base.Hostname()),
		attribute.String("sideledger.system", c.lane.name),
	))
	return ctx, func(r Reply, failure *ledger.CallError) {
		if failure != nil {
			span.SetStatus(codes.Error, string(failure.Class))
		} else {
			span.SetAttributes(attribute.Int("http.response.status_code", r.Status))
		}
		if r.Status >= http.StatusBadRequest {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// addTrace tells the third party under which span it is called (W3C Trace Context), unless its system is `untraced`. It comes after
// the credential: no scheme signs it, and AWS takes headers that are not signed.
func (c *Client) addTrace(req *http.Request) {
	if !c.untraced {
		propagation.TraceContext{}.Inject(req.Context(), propagation.HeaderCarrier(req.Header))
	}
}
