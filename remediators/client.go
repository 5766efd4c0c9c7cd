package remediators

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-resty/resty/v2"

	"sideledger/ledger"
)

// The limits of every call.
const (
	dialTimeout = 10 * time.Second
	callTimeout = 30 * time.Second
	maxHeaders  = 64 << 10
	maxBody     = 1 << 20 // of an answer, also after decompression
	userAgent   = "sideledger"
)

// A Client makes the calls of one system; it is the only way out for a remediator. It is safe for
// concurrent use. Connections are kept between calls but never shared between systems, since each
// system has its own rules about which addresses may be dialled.
type Client struct {
	lane       *Lane
	base       *url.URL
	credential string
	auth       AuthConfig
	more       map[string]string // further credentials: references, by header
	allow      []pattern         // empty: everything below base
	effects    []pattern         // calls of scripts that are made; empty: none
	// allowPrivate is for warnings; what is dialled is decided by the transports' guard.
	allowPrivate bool
	salt         [32]byte // of credentialMark
	getenv       func(string) string
	kept         *http.Transport // connections are used again
	fresh        *http.Transport // one connection for each call
	rest         *resty.Client
	warning      atomic.Pointer[string] // why the address will be refused, as far as that is known
}

// A Call is one request, relative to the system's URL.
type Call struct {
	Method string
	Path   string            // escaped, see [CheckPath]
	Query  string            // escaped, without '?'; empty: none
	Header map[string]string // see [CheckHeader]
	Body   []byte            // nil: none
	// Fresh asks for a connection of its own. A kept connection may turn out dead just when it is used,
	// and then nobody knows whether the call arrived: worth a handshake where that cannot be found out.
	Fresh bool
	// ReadyFunc is called once it is the call's turn, last before anything leaves; its error keeps the call from being
	// sent and is returned as it is. nil: nothing is asked.
	ReadyFunc func() error
}

// changing reports whether the call may change something at the third party.
func (c Call) changing() bool { return c.Method != http.MethodGet && c.Method != http.MethodHead }

// A Reply is what a third party answered, whatever the status (but 401 and 403).
type Reply struct {
	Status     int
	Header     http.Header
	Trailer    http.Header // Caddy sends its ETag there
	Body       []byte
	BodyErr    error         // the answer is there but its body is not: too large, cut off, not decodable
	RetryAfter time.Duration // 0: it did not say
}

// Field returns a header of the answer, or the trailer of that name; "" if there is neither.
func (r Reply) Field(name string) string {
	if v := r.Header.Get(name); v != "" {
		return v
	}
	return r.Trailer.Get(name)
}

// A clientEnv is what a client needs of the process.
type clientEnv struct {
	getenv func(string) string
	dial   DialFunc // nil: the network
}

// newClient binds a client to a system whose configuration has been validated.
func newClient(lane *Lane, base *url.URL, c SystemConfig, env clientEnv) *Client {
	cl := &Client{
		lane: lane, base: base, credential: c.Credential, auth: c.Auth, more: maps.Clone(c.Credentials), getenv: env.getenv, allowPrivate: c.AllowPrivate,
		kept: newTransport(c.AllowPrivate, env.dial), fresh: newTransport(c.AllowPrivate, env.dial),
	}
	_, _ = rand.Read(cl.salt[:]) // it never fails
	cl.warn(c.deniedHost(base.Hostname()))
	cl.fresh.DisableKeepAlives = true
	for _, a := range c.Allow {
		p, _ := parsePattern(a) // Validate has parsed it
		cl.allow = append(cl.allow, p)
	}
	cl.effects = c.effectPatterns(func(string, string) {}) // Validate has read them
	cl.rest = resty.NewWithClient(&http.Client{
		Transport:     cl,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	cl.rest.SetRetryCount(0).SetDebug(false).SetDisableWarn(true).SetDoNotParseResponse(true).SetLogger(silent{})
	cl.rest.SetPreRequestHook(cl.finish)
	return cl
}

// newTransport makes a transport with no proxy, HTTP/1.1 alone (HTTP/2 sends again by itself in more
// cases than can be told apart) and every address checked when it is dialled.
func newTransport(allowPrivate bool, dial DialFunc) *http.Transport {
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, Control: guard(allowPrivate)}).DialContext
	}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: maxHeaders,
		DisableCompression:     true,
	}
}

// silent keeps resty from writing anything anywhere.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}

// Warning says why this system's address will be refused when it is dialled; "" if that is not known.
func (c *Client) Warning() string { return *c.warning.Load() }

func (c *Client) warn(why string) { c.warning.Store(&why) }

// URL returns the address of a call as a person would type it.
func (c *Client) URL(call Call) string { return c.url(call).String() }

func (c *Client) url(call Call) *url.URL {
	u := *c.base
	raw := strings.TrimRight(u.EscapedPath(), "/") + call.Path
	u.Path, u.RawPath = raw, raw
	if plain, err := url.PathUnescape(raw); err == nil {
		u.Path = plain
	}
	u.RawQuery = call.Query
	return &u
}

// Relative turns an address that the third party named (a Location) into the path and query of a call.
// It reports false for another host, another scheme, or a path that is not below the system's URL.
func (c *Client) Relative(location string) (path, query string, ok bool) {
	u, err := url.Parse(location)
	if err != nil || u.User != nil || u.Opaque != "" || strings.Contains(location, `\`) {
		return "", "", false
	}
	if u.Scheme != "" && u.Host == "" || u.Host != "" && (u.Host != c.base.Host || (u.Scheme != "" && u.Scheme != c.base.Scheme)) {
		return "", "", false
	}
	path, ok = strings.CutPrefix(u.EscapedPath(), strings.TrimRight(c.base.EscapedPath(), "/"))
	return path, u.RawQuery, ok && CheckPath(path) == nil
}

// Do makes one call, sent at most once. Any answer but 401 and 403 is a [Reply]; the error is always a
// [ledger.CallError]: CallDenied and CallAway (nothing was sent), CallNotSent (no connection was made),
// CallAuth, or CallAmbiguous (sent, no answer; a read has changed nothing even so).
func (c *Client) Do(ctx context.Context, call Call) (Reply, error) {
	reply, err := c.Exchange(ctx, call)
	if err != nil {
		return Reply{}, err
	}
	if (reply.Status == http.StatusUnauthorized || reply.Status == http.StatusForbidden) && !limited(reply.Status, reply.Header) {
		return Reply{}, &ledger.CallError{Class: ledger.CallAuth, Status: reply.Status, Detail: "the system refused our credential"}
	}
	if limited(reply.Status, reply.Header) {
		reply.Status = http.StatusTooManyRequests
	}
	return reply, nil
}

// Exchange is [Client.Do] for whoever passes the answer on: any status is a [Reply], as it was answered.
func (c *Client) Exchange(ctx context.Context, call Call) (Reply, error) {
	if err := c.Permits(call); err != nil {
		return Reply{}, err
	}
	leave, err := c.lane.Enter(ctx, call.changing())
	if err != nil {
		return Reply{}, err
	}
	result := ResultNothing
	defer func() { leave(result) }()
	if call.ReadyFunc != nil {
		if err := call.ReadyFunc(); err != nil {
			return Reply{}, err
		}
	}
	reply, connected, err := c.send(ctx, call)
	if err != nil {
		var failure *ledger.CallError
		failure, result = explain(ctx, err, connected)
		return Reply{}, failure
	}
	result = ResultAnswered
	if errors.Is(reply.BodyErr, errBodySlow) && ctx.Err() == nil {
		result = ResultSilent // an answer that never ends is none, as far as the breaker is concerned
	}
	return reply, nil
}

// An outgoing request carries its call in its context, for the hook that finishes it.
type callKey struct{}

// send makes the exchange. connected says whether a connection was there to send anything on.
func (c *Client) send(ctx context.Context, call Call) (reply Reply, connected bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var got atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { got.Store(true) }})
	ctx = context.WithValue(ctx, callKey{}, call)
	resp, err := c.rest.R().SetContext(ctx).Execute(call.Method, c.URL(call))
	if err != nil {
		if resp != nil && resp.RawBody() != nil {
			_ = resp.RawBody().Close()
		}
		return Reply{}, got.Load(), err
	}
	raw := resp.RawResponse
	defer raw.Body.Close()
	reply = Reply{Status: raw.StatusCode, Header: raw.Header}
	if raw.StatusCode != http.StatusSwitchingProtocols { // what follows a 101 is no body, and heeds no deadline
		reply.Body, reply.BodyErr = readBody(ctx, raw)
	}
	reply.Trailer = raw.Trailer
	reply.RetryAfter = c.retryAfter(reply)
	return reply, true, nil
}

// retryAfter reads the wait only from answers that ask for one: many servers send their quota always.
func (c *Client) retryAfter(r Reply) time.Duration {
	if r.Status < 400 && r.Status/100 != 3 {
		return 0
	}
	h := r.Header
	if r.Status != http.StatusServiceUnavailable && !limited(r.Status, r.Header) {
		h = http.Header{"Retry-After": r.Header["Retry-After"]}
	}
	return retryAfter(h, c.lane.clock.Now())
}

// finish is the last to touch a request: it pins the address, puts body and headers in place, makes sure
// that the transport cannot send a changing call again by itself, and adds the credential.
func (c *Client) finish(_ *resty.Client, req *http.Request) error {
	call, _ := req.Context().Value(callKey{}).(Call)
	req.URL = c.url(call)
	req.Host = ""
	req.Header = http.Header{"User-Agent": {userAgent}, "Accept": {"application/json, */*;q=0.5"}, "Accept-Encoding": {"identity"}}
	for name, value := range call.Header {
		req.Header.Set(name, value)
	}
	// net/http sends a request again on a fresh connection when a kept one turns out dead and the request
	// counts as replayable: no body, or a GetBody, and a safe method or one of two headers under exactly
	// these names. Written in small letters they mean the same to the third party and nothing to net/http.
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if v, ok := req.Header[name]; ok {
			delete(req.Header, name)
			req.Header[strings.ToLower(name)] = v
		}
	}
	req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, int64(len(call.Body))
	if len(call.Body) > 0 {
		req.Body = io.NopCloser(bytes.NewReader(call.Body))
	}
	if err := c.authorize(req, call.Body, c.lane.clock.Now()); err != nil {
		return &credentialError{err}
	}
	return nil
}

// RoundTrip implements [http.RoundTripper]: it chooses the connection.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	if call, _ := req.Context().Value(callKey{}).(Call); call.Fresh {
		return c.fresh.RoundTrip(req)
	}
	return c.kept.RoundTrip(req)
}

// close gives idle connections back. A nil client has none.
func (c *Client) close() {
	if c != nil {
		c.kept.CloseIdleConnections()
	}
}
