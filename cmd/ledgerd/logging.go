package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"sideledger/ledger"
)

// LogConfig says what is logged, to standard error.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn, error; default info
	Format string `yaml:"format"` // json, text; default json
}

func (c LogConfig) validate() error {
	var level slog.Level
	if c.Level != "" && level.UnmarshalText([]byte(c.Level)) != nil {
		return errors.New("log.level: want debug, info, warn or error")
	}
	if c.Format != "" && c.Format != "json" && c.Format != "text" {
		return errors.New("log.format: want json or text")
	}
	return nil
}

// logger returns the logger of a valid configuration.
func (c LogConfig) logger(to io.Writer) *slog.Logger {
	var level slog.Level // info
	if c.Level != "" {
		_ = level.UnmarshalText([]byte(c.Level)) // validate has read it
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(contextual{slog.NewTextHandler(to, options)})
	}
	return slog.New(contextual{slog.NewJSONHandler(to, options)})
}

// contextual adds to every line what its context knows: the trace, the request, the window and the run that it is about.
type contextual struct{ slog.Handler }

// Handle implements [slog.Handler]. A line that says one of them itself keeps its own.
func (h contextual) Handle(ctx context.Context, r slog.Record) error {
	said := map[string]bool{}
	r.Attrs(func(a slog.Attr) bool {
		said[a.Key] = true
		return true
	})
	add := func(a slog.Attr) {
		if !said[a.Key] {
			r.AddAttrs(a)
		}
	}
	for _, a := range ledger.LogAttrs(ctx) {
		add(a)
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		add(slog.String("trace_id", span.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h contextual) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextual{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h contextual) WithGroup(name string) slog.Handler { return contextual{h.Handler.WithGroup(name)} }
