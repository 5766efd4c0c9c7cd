// Package client talks to the API of ledgerd: for upgrade scripts written in Go, and for cmd/rollback.
//
// Every changing call carries an Idempotency-Key, its own unless the context has one ([WithKey]), so it
// may be sent again after a lost answer: the server answers a second time with what it answered first.
// A call that failed without any such answer may or may not have happened; ask with the same key, or read.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/google/uuid"

	"sideledger/api/wire"
)

// Limits of the client.
const (
	maxAnswer    = 64 << 20 // bytes of an answer that is held in memory
	maxProblem   = 1 << 20
	callTimeout  = 60 * time.Second // one send, unless the call is a stream or asks the server to wait
	defaultTries = 4
	maxPause     = 10 * time.Second
)

// Config is what a Client needs. URL is required.
type Config struct {
	URL   string // "http://127.0.0.1:8420"; a path below it is kept
	Token string // empty: only calls that need none
	// Tries is how often one call is sent at most; 0: 4. Only what is safe to repeat is sent again: reads,
	// and changing calls under their Idempotency-Key.
	Tries int
	// Transport makes the calls; nil: a transport of its own, without environment proxies.
	Transport http.RoundTripper
	// PauseFunc waits between tries and returns early with the context's error; nil: a timer.
	PauseFunc func(ctx context.Context, d time.Duration) error
	UserAgent string // empty: "sideledger"
	// Traceparent is the span that the calls are made under (W3C Trace Context); empty: none.
	Traceparent string
	Heads       Heads // nil: none are kept
	// WarnFunc is told what the server warns of (Ledger-Warning), with every answer; nil: nobody is.
	WarnFunc func(text string)
}

func (c *Config) validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("the server's address must be http://HOST[:PORT] or https://HOST[:PORT]")
	}
	if u.User != nil {
		return errors.New("the server's address must not carry user information: a token goes elsewhere")
	}
	return nil
}

// A Client calls one server. It is safe for concurrent use.
type Client struct {
	rest  *resty.Client
	base  string
	tries int
	pause func(context.Context, time.Duration) error
	heads Heads
	warn  func(string)
}

// New returns a client. It makes no call.
func New(c Config) (*Client, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	t := c.Transport
	if t == nil {
		t = &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true}
	}
	cl := &Client{base: strings.TrimRight(c.URL, "/"), tries: c.Tries, pause: c.PauseFunc, heads: c.Heads, warn: c.WarnFunc}
	if cl.tries <= 0 {
		cl.tries = defaultTries
	}
	if cl.pause == nil {
		cl.pause = pause
	}
	agent := c.UserAgent
	if agent == "" {
		agent = "sideledger"
	}
	cl.rest = resty.NewWithClient(&http.Client{Transport: t}).
		SetRetryCount(0).
		SetRedirectPolicy(resty.NoRedirectPolicy()).
		SetHeader("User-Agent", agent)
	if c.Traceparent != "" {
		cl.rest.SetHeader("traceparent", c.Traceparent)
	}
	if c.Token != "" {
		cl.rest.SetHeader("Authorization", "Bearer "+c.Token)
	}
	return cl, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

type contextKey int

const (
	keyKey contextKey = iota
	matchKey
)

// WithKey makes the one changing call under ctx use this Idempotency-Key instead of a fresh one.
func WithKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyKey, key)
}

// WithIfMatch makes the one changing call under ctx fail with code stale (412) unless the thing it
// changes was last touched by this journal record: Journal.Number of an entry, Head.Number of a window,
// and for a rollback Head.Number of its window.
func WithIfMatch(ctx context.Context, number int64) context.Context {
	return context.WithValue(ctx, matchKey, `"`+strconv.FormatInt(number, 10)+`"`)
}

// A Call is one request as it stands, for callers that kept it somewhere and send it later.
type Call struct {
	Method string
	Path   string          // with its query: "/v1/windows"
	Key    string          // Idempotency-Key; empty: a changing call is sent once only
	Body   json.RawMessage // empty: none
	Header map[string]string
	// Timeout of one send; 0: 60 s.
	Timeout time.Duration
}

// An Answer is the success that a Call got.
type Answer struct {
	Status   int
	Header   http.Header
	Body     []byte
	Replayed bool // the same call was answered before, and this is that answer
}

// Send makes a call. An answer that is not a success is an [*Error]; no answer at all is an error that
// is none.
func (c *Client) Send(ctx context.Context, call Call) (*Answer, error) {
	var last error
	for try := range c.tries {
		if try > 0 {
			if err := c.pause(ctx, pauseAfter(last, try)); err != nil {
				return nil, errors.Join(last, err)
			}
		}
		answer, err := c.once(ctx, call)
		if err == nil {
			return answer, nil
		}
		last = err
		if ctx.Err() != nil || !call.repeatable() || !again(err) {
			break
		}
	}
	return nil, last
}

// repeatable reports whether sending it twice does no more than sending it once.
func (c Call) repeatable() bool { return c.Method == http.MethodGet || c.Key != "" }

// again reports whether a failed call is worth another try: there was no answer, or one that says so.
func again(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return true
	}
	switch e.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusConflict:
		return e.RetryAfter > 0 // the first sending of the same key is still in progress
	default:
		return false
	}
}

// pauseAfter returns full jitter between 0 and a limit that doubles, and never less than the server asked for.
func pauseAfter(err error, try int) time.Duration {
	limit := min(200*time.Millisecond<<try, maxPause)
	d := rand.N(limit) //nolint:gosec // jitter needs no secrecy
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > d {
		d = min(e.RetryAfter, maxPause)
	}
	return d
}

func (c *Client) request(ctx context.Context, call Call) *resty.Request {
	req := c.rest.R().SetContext(ctx).SetDoNotParseResponse(true).SetHeaders(call.Header)
	if len(call.Body) > 0 {
		req.SetHeader("Content-Type", "application/json").SetBody([]byte(call.Body))
	}
	if call.Key != "" {
		req.SetHeader(wire.HeaderIdempotencyKey, call.Key)
	}
	c.sendHeads(call.Path, req.Header)
	return req
}

func (c *Client) once(ctx context.Context, call Call) (*Answer, error) {
	timeout := call.Timeout
	if timeout == 0 {
		timeout = callTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.open(ctx, call)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%s %s: the answer broke off: %w", call.Method, pathOnly(call.Path), err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("%s %s: the answer is larger than %d bytes", call.Method, pathOnly(call.Path), maxAnswer)
	}
	return &Answer{
		Status: resp.StatusCode, Header: resp.Header, Body: body,
		Replayed: resp.Header.Get(wire.HeaderReplayed) == "true",
	}, nil
}

// open sends a call once and returns its response, a success; the caller closes the body.
func (c *Client) open(ctx context.Context, call Call) (*http.Response, error) {
	r, err := c.request(ctx, call).Execute(call.Method, c.base+call.Path)
	if err != nil && r != nil && r.RawResponse != nil { // a redirect, which is not followed
		_ = r.RawResponse.Body.Close()
		if s := r.RawResponse.StatusCode; s >= 300 && s < 400 {
			return nil, &Error{Status: s, Method: call.Method, Path: pathOnly(call.Path), Problem: wire.Problem{
				Status: s, Title: http.StatusText(s), Detail: "the server sent a redirect, which is never followed: check its address",
			}}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", call.Method, pathOnly(call.Path), err)
	}
	c.saw(r.RawResponse.Header)
	if resp := r.RawResponse; resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer r.RawResponse.Body.Close()
	return nil, errorOf(call, r.RawResponse)
}

func pathOnly(path string) string {
	p, _, _ := strings.Cut(path, "?")
	return p
}

// get reads path into out.
func (c *Client) get(ctx context.Context, path string, out any) error {
	return c.call(ctx, Call{Method: http.MethodGet, Path: path}, out)
}

// post sends in, unless it is nil, and reads the answer into out.
func (c *Client) post(ctx context.Context, path string, in, out any) error {
	call := Call{Method: http.MethodPost, Path: path}
	if in != nil {
		body, err := Encode(in)
		if err != nil {
			return fmt.Errorf("encode the body of %s: %w", path, err)
		}
		call.Body = body
	}
	return c.call(ctx, call, out)
}

func (c *Client) call(ctx context.Context, call Call, out any) error {
	if call.Method != http.MethodGet && call.Key == "" {
		call.Key = keyOf(ctx)
	}
	if match, ok := ctx.Value(matchKey).(string); ok {
		if call.Header == nil {
			call.Header = map[string]string{}
		}
		call.Header["If-Match"] = match
	}
	answer, err := c.Send(ctx, call)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		return fmt.Errorf("read the answer of %s %s: %w", call.Method, pathOnly(call.Path), err)
	}
	return nil
}

func keyOf(ctx context.Context) string {
	if key, ok := ctx.Value(keyKey).(string); ok {
		return key
	}
	return NewKey()
}

// NewKey returns a fresh Idempotency-Key.
func NewKey() string { return uuid.NewString() }

// Encode writes a body as the client sends it: compact, and with the bytes of raw fields untouched.
func Encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
