package main

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
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
	if len(systems) == 0 {
		return nil
	}
	whole := strings.TrimSpace(raw)
	a := readAddress(whole)
	if !l.set["globoff"] && a.pattern() {
		return &curlPlace{trouble: "a pattern in place of a host cannot be told from a configured system: write it out, or say -g"}
	}
	if a.scheme != "http" && a.scheme != "https" {
		return nil
	}
	host, ok := readAuthority(a.scheme, a.authority)
	if !ok {
		return &curlPlace{trouble: "the host cannot be read, so it cannot be told from a configured system"}
	}
	return nearest(l, a, host, systems, whole)
}

// nearest finds the system of a host below whose address the call is the furthest; nil: the host is none's.
func nearest(l *curlLine, a address, host authority, systems []wire.EffectSystem, whole string) *curlPlace {
	var best *curlPlace
	longest := -1
	for _, s := range systems {
		base, err := url.Parse(s.URL)
		if err != nil {
			continue
		}
		if its, ok := readAuthority(base.Scheme, base.Host); !ok || its != host {
			continue
		}
		at := &curlPlace{system: s.System, whole: whole}
		n := at.below(l, a, base)
		if best == nil || n > longest {
			best, longest = at, n
		}
	}
	return best
}

// below fills in the path below a system's address and returns how much of it is the address's own; -1: it is not
// below it.
func (p *curlPlace) below(l *curlLine, a address, base *url.URL) int {
	switch {
	case !l.set["globoff"] && strings.ContainsAny(a.rest, "{}[]"):
		p.trouble = "a pattern of addresses cannot be carried through the ledger: make one call for each, or say -g"
		return -1
	case strings.ContainsAny(p.whole, " \t\r\n"):
		p.trouble = "the address has a character that has to be escaped"
		return -1
	}
	u, err := url.Parse(a.scheme + "://host" + a.rest)
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
	if !ok || a.scheme != base.Scheme || rest != "" && rest[0] != '/' {
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

// An address is one that curl was given, in its parts.
type address struct {
	scheme    string // lower case
	authority string
	rest      string // path, query and fragment
}

// addressLike is how an address with a scheme begins. Curl takes one slash to three.
var addressLike = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):/{1,3}`)

// addressIn is the same in the middle of a word.
var addressIn = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*:/`)

// readAddress takes an address apart as curl does.
func readAddress(text string) address {
	a := address{scheme: "http"} // as curl guesses
	rest := text
	if m := addressLike.FindStringSubmatch(text); m != nil {
		a.scheme, rest = strings.ToLower(m[1]), text[len(m[0]):]
	}
	a.authority = rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		a.authority, a.rest = rest[:i], rest[i:]
	}
	return a
}

// pattern reports whether curl makes several hosts of it, or may: brackets stand around an IPv6 address otherwise.
func (a *address) pattern() bool {
	host := a.authority[strings.LastIndexByte(a.authority, '@')+1:]
	if inside, after, found := strings.Cut(host, "]"); found && strings.HasPrefix(inside, "[") && strings.Contains(inside, ":") {
		host = inside[1:] + after
	}
	return strings.ContainsAny(host, "{}[]")
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

// mentions reports which system's host a text has in it, in whatever spelling; "": none.
func mentions(text string, systems []wire.EffectSystem) string {
	lower := strings.ToLower(text)
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"'=,;", r) })
	for _, s := range systems {
		base, err := url.Parse(s.URL)
		if err != nil {
			continue
		}
		its, _ := readAuthority(base.Scheme, base.Host)
		local := its.host == localNames[0]
		switch {
		case strings.Contains(lower, strings.ToLower(base.Hostname())),
			local && (strings.Contains(lower, "localhost") || strings.Contains(lower, "127.") || strings.Contains(lower, "::1")),
			slices.ContainsFunc(words, func(word string) bool { return namesHost(word, authority{host: its.host}) }):
			return s.System
		}
	}
	return ""
}

// namesHost reports whether a word is an address at a host, or has one behind a colon, as that of --connect-to does. An
// empty port is any.
func namesHost(word string, want authority) bool {
	if at := addressIn.FindStringIndex(word); at != nil {
		word = word[at[0]:] // behind an option that is glued to it
	}
	a := readAddress(word)
	if a.authority == word && !strings.Contains(word, ":") {
		return false // a mere number would be an address
	}
	for text, more := a.authority, true; more; _, text, more = strings.Cut(text, ":") {
		is, ok := readAuthority(a.scheme, text)
		if ok && is.host == want.host && (want.port == "" || is.port == want.port) {
			return true
		}
	}
	return false
}

// detour returns the system that the line's calls are led to although they name another host; "": none.
func (l *curlLine) detour(systems []wire.EffectSystem) string {
	for _, s := range systems {
		base, err := url.Parse(s.URL)
		if err != nil {
			continue
		}
		its, _ := readAuthority(base.Scheme, base.Host)
		for _, r := range l.routes {
			want := its
			if r.option == "connect-to" || r.option == "resolve" {
				want.port = "" // it may be the address's own
			}
			if slices.ContainsFunc(strings.Split(r.value, ","), func(word string) bool { return namesHost(":"+word, want) }) {
				return s.System
			}
		}
	}
	return ""
}
