package main

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"sideledger/api/wire"
)

// A curlPlace is where a call of curl goes, if that is a configured system.
type curlPlace struct {
	system  string
	path    string // below the system's address, with its query
	whole   string // the address as curl has it
	trouble string // why it cannot be carried; empty: it can
}

// placeOf finds the system at whose host an address is; nil: none. The longest address that the call is below counts.
func placeOf(l *curlLine, raw string, systems []wire.EffectSystem) *curlPlace {
	whole := strings.TrimSpace(raw)
	if !strings.Contains(whole, "://") {
		whole = "http://" + whole // as curl guesses
	}
	authority := hostPart(whole)
	if !l.set["globoff"] && strings.ContainsAny(authority, "{}") && len(systems) > 0 {
		return &curlPlace{trouble: "a pattern in place of a host cannot be told from a configured system: write it out, or say -g"}
	}
	scheme, _, _ := strings.Cut(strings.ToLower(whole), "://")
	if scheme != "http" && scheme != "https" {
		return nil
	}
	var best *curlPlace
	longest := -1
	for _, s := range systems {
		base, err := url.Parse(s.URL)
		if err != nil || canonicalHost(base.Scheme, base.Host) != canonicalHost(scheme, authority) {
			continue
		}
		at := &curlPlace{system: s.System, whole: whole}
		n := at.below(l, base)
		if best == nil || n > longest {
			best, longest = at, n
		}
	}
	return best
}

// below fills in the path below a system's address and returns how much of it is the address's own; -1: it is not
// below it.
func (p *curlPlace) below(l *curlLine, base *url.URL) int {
	switch {
	case !l.set["globoff"] && strings.ContainsAny(afterHost(p.whole), "{}[]"):
		p.trouble = "a pattern of addresses cannot be carried through the ledger: make one call for each, or say -g"
		return -1
	case strings.ContainsAny(p.whole, " \t\r\n"):
		p.trouble = "the address has a character that has to be escaped"
		return -1
	}
	u, err := url.Parse(p.whole)
	if err != nil {
		p.trouble = "the address cannot be read"
		return -1
	}
	path := u.EscapedPath()
	if !l.set["path-as-is"] {
		path = withoutDots(path)
	}
	own := strings.TrimRight(base.EscapedPath(), "/")
	rest, ok := strings.CutPrefix(path, own)
	if !ok || u.Scheme != base.Scheme || rest != "" && rest[0] != '/' {
		p.trouble = fmt.Sprintf("it is at the host of system %s and not below its address, so the ledger cannot make it", p.system)
		return -1
	}
	if rest == "" {
		rest = "/"
	}
	if p.path = rest; u.RawQuery != "" {
		p.path += "?" + u.RawQuery
	}
	return len(own)
}

func hostPart(whole string) string {
	_, rest, _ := strings.Cut(whole, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest[strings.LastIndexByte(rest, '@')+1:]
}

func afterHost(whole string) string {
	_, rest, _ := strings.Cut(whole, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return rest[i:]
	}
	return ""
}

// canonicalHost writes a host and its port in one way. Every name of this host is one: a script says localhost where
// the configuration says 127.0.0.1. The default ports of both schemes are one too, so that a call to http:// is not
// taken for one to somebody else.
func canonicalHost(scheme, authority string) string {
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		host, port = strings.Trim(authority, "[]"), ""
	}
	if plain, err := url.PathUnescape(host); err == nil {
		host = plain
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ip := net.ParseIP(host); ip != nil {
		if host = ip.String(); ip.IsLoopback() {
			host = "localhost"
		}
	}
	if port == "" || port == "80" && scheme == "http" || port == "443" && scheme == "https" {
		port = "default"
	}
	return host + " " + port
}

// withoutDots takes dot segments out of an escaped path (RFC 3986, section 5.2.4), as curl does.
func withoutDots(path string) string {
	var out []string
	segments := strings.Split(path, "/")
	for i, s := range segments {
		switch dots := strings.ReplaceAll(strings.ToLower(s), "%2e", "."); {
		case dots == "..":
			if len(out) > 1 {
				out = out[:len(out)-1]
			}
		case dots != ".":
			out = append(out, s)
			continue
		}
		if i == len(segments)-1 {
			out = append(out, "")
		}
	}
	return strings.Join(out, "/")
}

// mentions reports whether a text has the host of a system in it.
func mentions(text string, systems []wire.EffectSystem) string {
	lower := strings.ToLower(text)
	for _, s := range systems {
		base, err := url.Parse(s.URL)
		if err != nil {
			continue
		}
		host := strings.ToLower(base.Hostname())
		local := strings.HasPrefix(canonicalHost(base.Scheme, base.Host), "localhost ")
		if strings.Contains(lower, host) || local && (strings.Contains(lower, "localhost") || strings.Contains(lower, "127.") || strings.Contains(lower, "::1")) {
			return s.System
		}
	}
	return ""
}
