package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// A call is what a handler is told, besides its body.
type call struct {
	actor  ledger.Actor
	id     uuid.UUID // of the thing that the path names; zero: it names none
	query  query
	header http.Header
	raw    []byte        // the body, compacted; nil: the call takes none
	fault  error         // what the reading of raw found wrong with it; nil: nothing
	schema *schema       // of the body
	prefer time.Duration // how long the caller would wait for the end (RFC 7240); 0: not at all
}

// An answer is what a handler gives back.
type answer struct {
	status  int               // 0: 200
	body    any               // written as JSON; a file as it is
	version int64             // journal number of what is shown, its ETag; 0: none
	hashed  bool              // its ETag is over its bytes
	window  uuid.UUID         // whose head is head; zero: it shows no head
	head    ledger.Head       // a record of the window's journal that the answer rests on
	header  map[string]string // further headers
}

// A file is an answer's body that is no JSON of ours.
type file struct {
	kind string
	data []byte
}

// An exec makes one call and writes its answer, unless it returns an error.
type exec func(a *API, c echo.Context, in *call) error

// reads makes a call that changes nothing.
func reads(fn func(ctx context.Context, in *call) (answer, error)) exec {
	return func(a *API, c echo.Context, in *call) error {
		ans, err := fn(c.Request().Context(), in)
		if err != nil {
			return err
		}
		return a.write(c, a.sealed(ans))
	}
}

// streams makes a call that writes its own answer in pieces. An error after the first piece breaks the
// connection off, so that nobody takes a part for the whole.
func streams(fn func(ctx context.Context, in *call, w *pieces) error) exec {
	return func(a *API, c echo.Context, in *call) error {
		w := &pieces{c: c, ctl: http.NewResponseController(c.Response()), most: a.WriteTimeout}
		err := fn(c.Request().Context(), in, w)
		if err == nil || !c.Response().Committed {
			return err
		}
		a.log.WarnContext(c.Request().Context(), "answer broke off", slog.String("err", err.Error()), slog.String("request_id", requestID(c)))
		panic(http.ErrAbortHandler)
	}
}

// changes makes a call of the ledger that changes something: at most once for its Idempotency-Key.
func changes[B, R any](run func(ctx context.Context, in *call, body *B) (R, error), render func(R) answer) exec {
	return settles(run, render, nil)
}

// settles is changes for calls whose caller may want to hear how it ends. settle waits for that and
// returns the later state; the answer that is kept for the key is the first one.
func settles[B, R any](run func(ctx context.Context, in *call, body *B) (R, error), render func(R) answer,
	settle func(ctx context.Context, in *call, r R) (R, error),
) exec {
	plain := render
	return func(a *API, c echo.Context, in *call) error {
		render := func(r R) answer { return a.sealed(plain(r)) }
		checked := func(ctx context.Context) (R, error) {
			body := new(B)
			if err := in.decode(body); err != nil {
				var none R
				return none, err
			}
			return run(expecting(ctx, in), in, body)
		}
		result, reply, err := once(c.Request().Context(), a, c, in, checked, render)
		var replay *ledger.ReplayError
		if err == nil || errors.As(err, &replay) {
			a.sayDurable(c.Response().Header(), a.durability())
		}
		if replay != nil {
			return a.replay(c, replay.Reply)
		}
		if err != nil {
			return err
		}
		if settle == nil {
			return a.send(c, *reply)
		}
		if result, err = settle(c.Request().Context(), in, result); err != nil {
			return err
		}
		ans := render(result)
		if in.prefer > 0 {
			c.Response().Header().Set("Preference-Applied", fmt.Sprintf("wait=%d", int(in.prefer.Seconds())))
		}
		return a.write(c, ans)
	}
}

// adapt puts a route behind everything that all calls have in common.
func (a *API) adapt(r route, op *operation) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := &call{header: c.Request().Header}
		ctx := c.Request().Context()
		if r.role != "" {
			actor, err := a.authenticate(c)
			if err != nil {
				return err
			}
			if err := authorize(r, actor); err != nil {
				return err
			}
			in.actor = actor
			ctx = ledger.WithActor(ctx, actor)
			c.SetRequest(c.Request().WithContext(ctx))
			if err := a.checkKept(ctx, in.header.Values(wire.HeaderHead)); err != nil {
				return err
			}
		}
		if err := in.parse(c, op); err != nil {
			return err
		}
		if err := a.bind(ctx, r, in); err != nil {
			return err
		}
		if op.body != nil {
			if err := in.take(c, op, r.limit); err != nil {
				return err
			}
		}
		if safe := a.safe(); safe != nil && r.method == http.MethodPost && !r.looks {
			return a.aside(c, r, in, safe)
		}
		return r.run(a, c, in)
	}
}

// parse reads what stands outside the body.
func (in *call) parse(c echo.Context, op *operation) error {
	if op.pathID {
		text := c.Param("id")
		id, err := uuid.Parse(text)
		if err != nil || len(text) != 36 {
			return &ledger.Error{Code: ledger.CodeNotFound, Op: "parse id"}
		}
		in.id = id
	}
	var err error
	if in.query, err = parseQuery(c.Request().URL.RawQuery, op); err != nil {
		return err
	}
	in.prefer = preferredWait(in.header.Values("Prefer"))
	return nil
}

// take reads the body. What is wrong with one that can be read, decode says: that answer is kept for the
// call's Idempotency-Key.
func (in *call) take(c echo.Context, op *operation, limit int64) error {
	if limit == 0 {
		limit = maxBody
	}
	var err error
	in.schema = op.body
	if in.raw, err = readBody(c.Response(), c.Request(), limit); in.raw == nil {
		return err
	}
	in.fault = err
	return nil
}

// decode checks the body and reads it into a request type.
func (in *call) decode(into any) error {
	if in.fault != nil {
		return in.fault
	}
	if err := in.schema.check(in.raw); err != nil {
		return err
	}
	return decodeBody(in.raw, into)
}

const (
	requestIDKey = "request_id"
	problemKey   = "problem"
)

func requestID(c echo.Context) string {
	id, _ := c.Get(requestIDKey).(string)
	return id
}

// routeName names a route in logs and metrics without the caller's values; "unknown" where there is none.
func routeName(c echo.Context) string {
	if p := c.Path(); p != "" {
		return strings.ReplaceAll(p, ":id", "{id}")
	}
	return "unknown"
}

// around is what happens to every request, those that no route takes included.
func (a *API) around(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		id := ledger.NewID().String()
		c.Set(requestIDKey, id)
		h := c.Response().Header()
		h.Set(wire.HeaderRequestID, id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		a.warn(h)
		ended := a.begin(c, id)
		defer func() {
			ended()
			a.metrics.answered(c, time.Since(began))
			a.log.DebugContext(c.Request().Context(), "answered", slog.String("request_id", id), slog.String("route", routeName(c)),
				slog.Int("status", c.Response().Status), slog.Int64("duration_ms", time.Since(began).Milliseconds()))
		}()
		defer a.rescue(c)
		if err := next(c); err != nil {
			a.fail(err, c)
		}
		return nil
	}
}

// rescue answers for a handler that panicked. A connection that is broken off on purpose stays so.
func (a *API) rescue(c echo.Context) {
	r := recover()
	if r == nil {
		return
	}
	if err, ok := r.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(r)
	}
	a.log.ErrorContext(c.Request().Context(), "panic", slog.String("err", panicText(r)), slog.String("stack", string(debug.Stack())),
		slog.String("request_id", requestID(c)))
	if c.Response().Committed {
		panic(http.ErrAbortHandler)
	}
	a.fail(&ledger.Error{Code: ledger.CodeInternal, Op: "handle request", Err: errors.New("it panicked")}, c)
}

// panicText says what a panic was about. Only what the runtime itself says is shown: any other value may hold
// what a caller or a third party sent.
func panicText(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", v)
}

// write sends a JSON answer.
func (a *API) write(c echo.Context, ans answer) error {
	if ans.version > 0 && known(c.Request(), etag(ans.version)) {
		return a.unchanged(c, etag(ans.version))
	}
	reply, err := ans.reply()
	if err != nil {
		return err
	}
	if tag := reply.Header["ETag"]; ans.hashed && known(c.Request(), tag) {
		return a.unchanged(c, tag)
	}
	return a.send(c, reply)
}

// unchanged tells a caller that it has what it asks for.
func (a *API) unchanged(c echo.Context, tag string) error {
	c.Response().Header().Set("ETag", tag)
	a.deadline(c)
	return c.NoContent(http.StatusNotModified)
}

// reply renders an answer to the bytes that are sent, and that are kept for its Idempotency-Key.
func (ans answer) reply() (ledger.Reply, error) {
	r := ledger.Reply{Status: ans.status, Header: map[string]string{}}
	if r.Status == 0 {
		r.Status = http.StatusOK
	}
	for k, v := range ans.header {
		r.Header[k] = v
	}
	if ans.version > 0 {
		r.Header["ETag"] = etag(ans.version)
	}
	var err error
	if f, ok := ans.body.(file); ok {
		r.Header["Content-Type"], r.Body = f.kind, f.data
	} else {
		r.Header["Content-Type"] = "application/json"
		r.Body, err = encodeBody(ans.body)
	}
	if ans.hashed {
		sum := sha256.Sum256(r.Body)
		r.Header["ETag"] = `"` + hex.EncodeToString(sum[:12]) + `"`
	}
	return r, err
}

// send writes a rendered answer.
func (a *API) send(c echo.Context, r ledger.Reply) error {
	h := c.Response().Header()
	for k, v := range r.Header {
		if k != "Content-Type" {
			h.Set(k, v)
		}
	}
	a.deadline(c)
	if r.Header["Content-Type"] == wire.ProblemType {
		c.Set(problemKey, "replayed")
	}
	return c.Blob(r.Status, r.Header["Content-Type"], r.Body)
}

// deadline gives the client WriteTimeout to take the answer.
func (a *API) deadline(c echo.Context) {
	// A writer that knows no deadlines, as in a test, needs none.
	_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(a.WriteTimeout))
}
