package ledger

import (
	"context"
	"encoding/hex"
	"strings"
)

// A Trace names the span that something was done under, as W3C Trace Context writes it in a `traceparent`:
// "00-TRACE-SPAN-FLAGS". Empty: nobody named one. It is kept, shown and passed on, and decides nothing.
type Trace string

// ID returns the 32 hex digits of the trace; "" unless t is a traceparent.
func (t Trace) ID() string {
	parts := strings.Split(string(t), "-")
	if len(parts) != 4 || len(parts[1]) != 32 {
		return ""
	}
	if _, err := hex.DecodeString(parts[1]); err != nil {
		return ""
	}
	return parts[1]
}

// WithTrace says under which span a call is made: entries and runs that it makes keep it.
func WithTrace(ctx context.Context, t Trace) context.Context {
	if t.ID() == "" {
		return ctx
	}
	return context.WithValue(ctx, traceKey, t)
}

// TraceOf returns the span that a call is made under; empty: none.
func TraceOf(ctx context.Context) Trace {
	t, _ := ctx.Value(traceKey).(Trace)
	return t
}
