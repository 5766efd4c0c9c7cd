package remediators

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Whatever a third party says, the wait is within its bounds.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{
		"7", "1.5", "-3", "soon", "NaN", "Inf", "1e300", "-1e300", "86400", "Sun, 22 Nov 2026 12:00:30 GMT", "1795435200", "1795435200000", "limit=100, remaining=0, reset=8",
		`"default";r=0;t=6`, "0x1p10", "1_0", "9223372036854775807", "", " 7 ", "t=1e99", "reset=-1",
	} {
		f.Add(s, s)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, a, b string) {
		for i, names := range [][2]string{
			{"Retry-After", "RateLimit"}, {"Retry-After-Ms", "X-RateLimit-Reset"}, {"X-Ms-Retry-After-Ms", "RateLimit-Reset"}, {"X-Rate-Limit-Reset", "RateLimit"},
		} {
			h := http.Header{}
			h.Set(names[0], a)
			h.Set(names[1], b)
			if d := retryAfter(h, now); d < 0 || d > maxRetryAfter {
				t.Errorf("%d: %q, %q: %s", i, a, b, d)
			}
			limited(http.StatusForbidden, h)
		}
	})
}

// A pattern allows a path exactly if the two overlap, and one piece of a path that is not known changes
// nothing about what may be allowed after all.
func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{
		{"GET /a/*", "/a/b"},
		{"* /", "/"},
		{"PUT /a/*/on", "/a/b/c/on"},
		{"GET /*a*b*", "/xaxbx"},
		{"get /a", "/a"},
		{"GET  /a", "/a"},
		{"GET /a?b", "/a?b"},
		{"GET /**", "/"},
		{"POST /a*a", "/aa"},
		{"POST /aXa*a", "/aXa"},
		{"", ""},
		{"GET /é*", "/é"},
	} {
		f.Add(s[0], s[1], 1, 2)
	}
	f.Fuzz(func(t *testing.T, line, path string, from, to int) {
		if len(line) > 200 || len(path) > 200 {
			return
		}
		p, err := parsePattern(line)
		if err != nil {
			return
		}
		yes := glob(p.path, path)
		if strings.ContainsAny(p.path, "?# ") || !strings.HasPrefix(p.path, "/") || p.method == "" {
			t.Errorf("%q is taken as a pattern", line)
		}
		pieces := strings.Split(p.path, "*")
		if overlap(pieces, []string{path}) != yes {
			t.Errorf("%q, %q: it allows %v, and overlaps otherwise", line, path, yes)
		}
		if 0 <= from && from <= to && to <= len(path) && yes && !overlap(pieces, []string{path[:from], path[to:]}) {
			t.Errorf("%q allows %q, and not with its part from %d to %d not known", line, path, from, to)
		}
		c := &Client{allow: []pattern{p}}
		if c.Permits(Call{Method: p.method, Path: path}) == nil && (!yes || CheckPath(path) != nil) {
			t.Errorf("%q permits %q", line, path)
		}
	})
}

// An address that a third party names is below the system's own, or is not taken.
func FuzzRelative(f *testing.F) {
	for _, s := range []string{
		"https://api.example.com/v1/jobs/1?a=b", "/v1/jobs/1", "//api.example.com/v1/x", "https://evil.example/v1/x", "/v1/../x", "/v1/%2e%2e/x", `\\evil\v1`, "https:/v1/x", "file:///v1/x",
		"https://api.example.com:443/v1/x", "https://u@api.example.com/v1/x", "/v1/x#y", "", "?x", "/v1//x", "HTTPS://API.example.com/v1/x",
	} {
		f.Add(s)
	}
	base, _ := parseBase("https://api.example.com/v1")
	f.Fuzz(func(t *testing.T, location string) {
		c := &Client{base: base}
		path, query, ok := c.Relative(location)
		if !ok {
			return
		}
		u := c.url(Call{Path: path, Query: query})
		again, err := url.Parse(u.String())
		if err != nil || again.Host != "api.example.com" || again.Scheme != "https" || again.User != nil || !strings.HasPrefix(again.EscapedPath(), "/v1/") {
			t.Errorf("%q leads to %s (%v)", location, u, err)
		}
	})
}

// A system's address that is taken leads where it says, and nowhere else.
func FuzzBase(f *testing.F) {
	for _, s := range []string{"https://api.example.com/v1", "http://[::1]:80", "http://user@x", "http://x?y", "http://x/../y", "http://１２７.0.0.1", "//x", "http://x#y", "http://a\\b", "http:x", "http://x:99999"} {
		f.Add(s)
	}
	for _, c := range hostCases() {
		f.Add("http://" + c.host + "/base")
	}
	f.Fuzz(func(t *testing.T, raw string) {
		base, msg := parseBase(raw)
		if (base == nil) != (msg != "") {
			t.Fatalf("%q: %v, %s", raw, base, msg)
		}
		if base == nil {
			return
		}
		if base.User != nil || base.RawQuery != "" || base.Fragment != "" || base.Hostname() == "" || base.Scheme != "http" && base.Scheme != "https" {
			t.Errorf("%q is taken as %#v", raw, base)
		}
		SystemConfig{URL: raw}.deniedHost(base.Hostname())
		u := (&Client{base: base}).url(Call{Path: "/a"})
		if u.Host != base.Host || !strings.HasSuffix(u.EscapedPath(), "/a") {
			t.Errorf("%q leads to %s", raw, u)
		}
	})
}

// A header that is taken is none of those that belong to the client, however it is written.
func FuzzCheckHeader(f *testing.F) {
	for name, value := range smuggled() {
		f.Add(name, value)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if CheckHeader(name, value) != nil {
			return
		}
		var b strings.Builder
		h := http.Header{}
		h.Set(name, value)
		if err := h.Write(&b); err != nil || strings.Count(b.String(), "\n") != 1 {
			t.Errorf("%q: %q is written as %q", name, value, b.String())
		}
		plain := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		for _, bad := range []string{"host", "authorization", "cookie", "transfer-encoding", "content-length", "x-http-method-override", "x-original-url", "connection"} {
			if plain == bad {
				t.Errorf("%q is taken", name)
			}
		}
	})
}
