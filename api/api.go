// Package api serves the ledger over HTTP: JSON under /v1, problem documents for every error, journals
// as server-sent events.
//
// A handler is a function from a call to an answer behind one adapter, which authenticates, checks the
// role, parses, validates, keeps first answers and writes. What may be called by whom, and which handler
// answers, stands in one table (routes); what requests look like is compiled from openapi.yaml.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"sideledger/ledger"
)

// Times that protect the server from slow clients.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	idleTimeout   = 120 * time.Second
	writeTimeout  = 30 * time.Second // for an answer, or for one piece of a stream
	maxHeader     = 64 << 10
)

// Config is what an API needs. Ledger, Log and Clock are required.
type Config struct {
	Ledger  *ledger.Ledger
	Log     *slog.Logger
	Clock   ledger.Clock
	Version string // shown at /version; empty: "dev"
	// ReadyFunc returns an error while the server cannot work; its text is logged, not shown. CodeFull: it can, but takes
	// nothing new. nil: always ready.
	ReadyFunc func(ctx context.Context) error
	// DurableFunc says what an answered record survives; it asks nobody. nil: nothing is said.
	DurableFunc func() ledger.Durability
	// Vigil watches over what the ledger once had; nil: nobody does.
	Vigil Vigil
	// BehindProxy takes the caller's address from X-Forwarded-For: the last one in it that no proxy of ours
	// can have, those being on loopback, link-local and private addresses.
	BehindProxy bool
	// Metrics gets the API's collectors and is what /metrics shows; nil: a registry of its own.
	Metrics *prometheus.Registry
	// Traces makes the spans of requests; nil: none are recorded. The trace that a caller names is kept and passed on all the same.
	Traces trace.TracerProvider
	// WriteTimeout is how long a client may take for an answer, or for one piece of a stream; 0: 30 s.
	WriteTimeout time.Duration
	// ResolveWait is how long resolve waits for its entry to be acted on; 0: 3 s.
	ResolveWait time.Duration
	// Heartbeat is the pause between comments on a silent stream of events; 0: 10 s.
	Heartbeat time.Duration
	// Sweep is how often a stream reads the journal without having been told; 0: 1 s.
	Sweep time.Duration
}

func (c *Config) validate() error {
	if c.Ledger == nil || c.Log == nil || c.Clock == nil {
		return errors.New("api: Ledger, Log and Clock are required")
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.ReadyFunc == nil {
		c.ReadyFunc = func(context.Context) error { return nil }
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Traces == nil {
		c.Traces = noop.NewTracerProvider()
	}
	c.WriteTimeout = orElse(c.WriteTimeout, writeTimeout)
	c.ResolveWait = orElse(c.ResolveWait, 3*time.Second)
	c.Heartbeat = orElse(c.Heartbeat, 10*time.Second)
	c.Sweep = orElse(c.Sweep, time.Second)
	return nil
}

func orElse(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}

// An API is the HTTP handler. It is safe for concurrent use. Make one with New.
type API struct {
	Config
	ledger   *ledger.Ledger
	log      *slog.Logger
	echo     *echo.Echo
	spec     *description
	docs     page
	metrics  *metrics
	tracer   trace.Tracer
	guard    *guard
	progress *progress
	stop     chan struct{} // closed when streams have to end
	stopOnce sync.Once
}

// New returns the API. An error is a mistake in the configuration or in openapi.yaml. It makes no call.
func New(c Config) (*API, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	spec, err := describe()
	if err != nil {
		return nil, err
	}
	a := &API{
		Config: c, ledger: c.Ledger, log: c.Log, spec: spec, echo: echo.New(),
		tracer: c.Traces.Tracer("sideledger/api"), guard: newGuard(c.Clock), progress: newProgress(), stop: make(chan struct{}),
	}
	if a.docs, err = renderDocs(spec.doc); err != nil {
		return nil, err
	}
	if a.metrics, err = newMetrics(c.Metrics); err != nil {
		return nil, err
	}
	return a, a.mount()
}

// mount puts the routes into the router.
func (a *API) mount() error {
	e := a.echo
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(discard{})
	e.IPExtractor = echo.ExtractIPDirect()
	if a.BehindProxy {
		e.IPExtractor = echo.ExtractIPFromXFFHeader()
	}
	e.HTTPErrorHandler = a.fail
	e.Use(a.around)
	for _, r := range a.routes() {
		op := a.spec.operations[r.method+" "+r.path]
		if op == nil {
			return fmt.Errorf("api: %s %s is not in openapi.yaml", r.method, r.path)
		}
		h := a.adapt(r, op)
		e.Add(r.method, r.path, h)
		if r.method == http.MethodGet && !r.stream {
			e.Add(http.MethodHead, r.path, h)
		}
	}
	return nil
}

// discard takes what Echo itself would log: the API logs with its own logger.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.echo.ServeHTTP(w, r) }

// Server returns an HTTP server of this API that does not wait for slow clients. There is no write
// timeout, since streams are long; each answer, and each piece of a stream, has a deadline of its own.
func (a *API) Server() *http.Server {
	return &http.Server{
		Handler:           a,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return context.Background() },
	}
}

// Shutdown ends the streams of events and the waits, and then the server after what is in flight. It
// returns the context's error if that takes too long; the connections that are left are closed then.
func (a *API) Shutdown(ctx context.Context, srv *http.Server) error {
	a.stopOnce.Do(func() { close(a.stop) })
	err := srv.Shutdown(ctx)
	if err != nil {
		_ = srv.Close()
	}
	return err
}
