package remediators

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sideledger/ledger"
)

// Permits says whether a call may be made at all: its path, headers and the system's allow list. The
// error is a [ledger.CallError] of class CallDenied.
func (c *Client) Permits(call Call) error {
	if err := CheckPath(call.Path); err != nil {
		return deniedCall(err.Error())
	}
	if why := checkQuery(call.Query); why != "" {
		return deniedCall(why)
	}
	if err := c.permitsHeaders(call.Header); err != nil {
		return err
	}
	for _, p := range c.allow {
		if p.allows(call.Method, call.Path) {
			return nil
		}
	}
	if len(c.allow) > 0 {
		return outside(call.Method)
	}
	return nil
}

// Excludes says why no call can ever be made with this method and a path that is the pieces with anything,
// or nothing, between them; nil: some can. It is [Client.Permits] for a path of which parts are not known.
func (c *Client) Excludes(method string, pieces []string) error {
	for _, p := range c.allow {
		if p.takes(method) && overlap(strings.Split(p.path, "*"), pieces) {
			return nil
		}
	}
	if len(c.allow) > 0 {
		return outside(method)
	}
	return nil
}

func outside(method string) error {
	return deniedCall(method + " on this path is not in the system's allow list")
}

func deniedCall(why string) error { return &ledger.CallError{Class: ledger.CallDenied, Detail: why} }

func (c *Client) permitsHeaders(headers map[string]string) error {
	seen := map[string]bool{}
	for name, value := range headers {
		if err := CheckHeader(name, value); err != nil {
			return deniedCall("header " + name + " " + err.Error())
		}
		plain := plainHeader(name)
		if c.auth.Scheme == schemeHeader && plain == plainHeader(c.auth.Name) || c.carries(plain) {
			return deniedCall("header " + name + " carries the credential; a call does not set it")
		}
		if seen[plain] {
			return deniedCall("header " + name + " stands there twice, in two spellings")
		}
		seen[plain] = true
	}
	return nil
}

// steeringQueries are parameters by which frameworks take another method than the one that was sent.
var steeringQueries = []string{"_method", "x-http-method-override", "x-http-method", "x-method-override", "$httpmethod"}

// checkQuery says what is wrong with an escaped query; "": nothing.
func checkQuery(query string) string {
	if strings.ContainsAny(query, " #\r\n\x00") {
		return "the query has a character that has to be escaped"
	}
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && slices.Contains(steeringQueries, strings.ToLower(strings.TrimSpace(plain))) {
			return "the query has a parameter that overrides the method"
		}
	}
	return ""
}

// steeringHeaders make a third party, or what stands before it, act on another method, path or host than
// the one that was sent and checked. So do all that begin with a steeringPrefix.
var (
	steeringHeaders = []string{
		"Forwarded", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Override-Url", "X-Host", "X-Http-Host-Override",
		"Http-Host", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "X-Proxy-Url", "X-Http-Destinationurl", "Alt-Used",
	}
	steeringPrefixes = []string{"X-Forwarded-", "X-Original-", "X-Rewrite-", "X-Envoy-"}
)

func steeringHeader(plain string) bool {
	return slices.Contains(steeringHeaders, plain) ||
		slices.ContainsFunc(steeringPrefixes, func(p string) bool { return strings.HasPrefix(plain, p) })
}

// plainHeader is a header's name as a careless server reads it: no case, and '_' as good as '-' (CGI).
func plainHeader(name string) string {
	return http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
}
