package remediators

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sideledger/ledger"
)

// A Deriver is a [ledger.Remediator] that knows what calls of its third party do, so that a script need not say it.
type Deriver interface {
	// Derive fills in what a call says of its entry; see [ledger.Effector]. A call that it does not know it leaves
	// alone.
	Derive(ctx context.Context, c ledger.EffectCall, d *ledger.Draft) (ledger.Derived, error)
}

// A Headed is a [ledger.Remediator] whose third party wants headers on every call, a version of its API.
type Headed interface {
	// EffectHeaders returns them. A script's own go before them.
	EffectHeaders() map[string]string
}

// effectMethods are the methods that a script's call may have.
var effectMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// effectHeaders are the headers that a script may pass on. Whatever else a call carries is the client's own, above all
// the credential.
var effectHeaders = []string{
	"Accept", "Accept-Language", "Content-Type", "Idempotency-Key", "If-Match", "If-Modified-Since", "If-None-Match",
	"If-Unmodified-Since", "Prefer", "X-Idempotency-Key",
}

// answerHeaders are the headers of an answer that a script gets.
var answerHeaders = []string{
	"Content-Language", "Content-Type", "Date", "Etag", "Last-Modified", "Location", "Retry-After", "Warning", "X-Request-Id",
}

// admits says whether a script's call may be made: by its form, by the system's allow list, and by its list of
// effects, without which no call is.
func (c *Client) admits(e ledger.EffectCall) error {
	if !slices.Contains(effectMethods, e.Method) {
		return ledger.Invalid("/call/method", "is one of %s", strings.Join(effectMethods, ", "))
	}
	for name := range e.Header {
		if !slices.Contains(effectHeaders, http.CanonicalHeaderKey(name)) {
			return ledger.Invalid("/call/headers", "a call passes on %s and no other header; the credential is the system's own", strings.Join(effectHeaders, ", "))
		}
	}
	if e.Reads() && e.Body != nil {
		return ledger.Invalid("/call/body", "a call that reads has none")
	}
	call := callOf(e)
	if !slices.ContainsFunc(c.effects, func(p pattern) bool { return p.allows(e.Method, e.Path) }) {
		return &ledger.Error{
			Code: ledger.CodeForbidden, Op: "admit call", Field: "/call/path",
			Msg: "this call is not in the system's list of effects (systems.NAME.effects in the server's configuration)",
		}
	}
	if err := c.Permits(call); err != nil {
		return ledger.Invalid("/call", "%s", denialOf(err))
	}
	return nil
}

func denialOf(err error) string {
	if call, ok := err.(*ledger.CallError); ok { //nolint:errorlint // Permits returns nothing else
		return call.Detail
	}
	return "is not permitted"
}

func callOf(e ledger.EffectCall) Call {
	header := map[string]string{}
	for name, value := range e.Header {
		header[http.CanonicalHeaderKey(name)] = value
	}
	return Call{Method: e.Method, Path: e.Path, Query: e.Query, Header: header, Body: e.Body, Fresh: !e.Reads()}
}

// effect makes a script's call once.
func (c *Client) effect(ctx context.Context, e ledger.EffectCall, readyFunc func() error) (ledger.EffectAnswer, error) {
	call := callOf(e)
	call.ReadyFunc = readyFunc
	reply, err := c.Exchange(ctx, call)
	if err != nil {
		return ledger.EffectAnswer{}, err
	}
	hide := c.hidden()
	out := ledger.EffectAnswer{Status: reply.Status, Header: map[string]string{}, Body: hide(reply.Body)}
	for _, name := range answerHeaders {
		if v := reply.Field(name); v != "" {
			out.Header[name] = string(hide([]byte(v)))
		}
	}
	if reply.BodyErr != nil {
		out.Broken = reply.BodyErr.Error()
	}
	return out, nil
}

const leastHidden = 4 // bytes; what is shorter stands everywhere by chance

// hidden returns what takes the system's credential out of an answer: a third party may echo a request, and the script
// does not know the credential.
func (c *Client) hidden() func([]byte) []byte {
	if c.credential == "" {
		return func(b []byte) []byte { return b }
	}
	list, ok := c.secretTexts()
	if !ok { // it was there when the call was made, and is not known now
		return func([]byte) []byte { return nil }
	}
	forms := formsOf(list)
	return func(b []byte) []byte {
		for _, f := range forms {
			b = bytes.ReplaceAll(b, f, []byte("[redacted]"))
		}
		return b
	}
}

// formsOf lists the spellings of credentials and of their secret parts, the longest first.
func formsOf(parts []string) [][]byte {
	var out [][]byte
	for _, p := range parts {
		if len(p) < leastHidden {
			continue
		}
		quoted, _ := json.Marshal(p) // a string always encodes
		out = append(
			out, []byte(p), bytes.Trim(quoted, `"`), []byte(url.QueryEscape(p)), []byte(url.PathEscape(p)), []byte(hex.EncodeToString([]byte(p))),
			[]byte(base64.StdEncoding.EncodeToString([]byte(p))), []byte(base64.RawURLEncoding.EncodeToString([]byte(p))),
		)
	}
	slices.SortStableFunc(out, func(a, b []byte) int { return len(b) - len(a) })
	return out
}

// effectPatterns reads the list of effects; a line that is not inside allow is a mistake.
func (c SystemConfig) effectPatterns(add func(field, msg string)) []pattern {
	var out []pattern
	for _, line := range c.Effects {
		p, err := parsePattern(line)
		switch {
		case err != nil:
			add("effects", err.Error())
		case c.URL == "":
			add("effects", "without a url there is nobody to call; leave it out")
		case len(c.Allow) > 0 && !slices.ContainsFunc(c.Allow, func(a string) bool { return p.inside(a) }):
			add("effects", "has a line that is not inside a line of allow")
		default:
			out = append(out, p)
		}
	}
	return out
}

// inside reports whether whatever p takes is taken by a line of the allow list too.
func (p pattern) inside(line string) bool {
	outer, err := parsePattern(line)
	return err == nil && (outer.method == "*" || outer.method == p.method) && glob(outer.path, p.path) // a '*' fits only a '*'
}

// Admits implements [ledger.Effector].
func (s *sheltered) Admits(c ledger.EffectCall) error {
	if s.client == nil {
		return ledger.Invalid("/entry/system", "this system has no url and takes no calls")
	}
	return s.client.admits(c)
}

// Derive implements [ledger.Effector]; a remediator that is no [Deriver] leaves everything to the caller.
func (s *sheltered) Derive(ctx context.Context, c ledger.EffectCall, d *ledger.Draft) (out ledger.Derived, err error) {
	deriver, ok := s.inner.(Deriver)
	if !ok {
		return ledger.Derived{}, nil
	}
	defer func() {
		if v := recover(); v != nil {
			s.say(v)
			err = ledger.Invalid("/call", "its remediator cannot read this call; the server's log says where")
		}
	}()
	return deriver.Derive(ctx, c, d)
}

// Send implements [ledger.Effector].
func (s *sheltered) Send(ctx context.Context, c ledger.EffectCall, readyFunc func() error) (ledger.EffectAnswer, error) {
	if h, ok := s.inner.(Headed); ok {
		header := map[string]string{}
		for name, value := range h.EffectHeaders() {
			header[http.CanonicalHeaderKey(name)] = value
		}
		for name, value := range c.Header {
			header[http.CanonicalHeaderKey(name)] = value
		}
		c.Header = header
	}
	return s.client.effect(ctx, c, readyFunc)
}
