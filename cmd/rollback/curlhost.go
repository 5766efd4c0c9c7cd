package main

import (
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// localNames are names of this host that resolvers and their files have.
var localNames = []string{"localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"}

// An authority is what stands between the scheme and the path of an address, read as curl and browsers read it.
type authority struct {
	host string // in its one spelling; every name of this host is localhost
	port string // "default" for the default port of its scheme
}

// readAuthority returns the one spelling of a host and its port, as inet_aton, RFC 5891 and the URL standard of WHATWG
// have it. Every name of this host is one: a script says localhost where the configuration says 127.0.0.1. The default
// ports of both schemes are one too, so that a call to http:// is not taken for one to somebody else. It fails for a
// name beyond ASCII that is no name.
func readAuthority(scheme, text string) (a authority, ok bool) {
	text = text[strings.LastIndexByte(text, '@')+1:]
	host, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		host, port = text[:i], text[i+1:]
	}
	if port != "" {
		port = strings.TrimLeft(port, "0")
	}
	if port == "" || port == "80" && scheme == "http" || port == "443" && scheme == "https" {
		port = "default"
	}
	host, ok = oneHost(host)
	return authority{host, port}, ok
}

// oneHost returns the one spelling of a host.
func oneHost(host string) (string, bool) {
	if plain, err := url.PathUnescape(host); err == nil {
		host = plain
	}
	host, ok := asciiHost(host)
	if !ok {
		return "", false
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	ip, number := readIPv4(host)
	if !number {
		bare, _, _ := strings.Cut(strings.Trim(host, "[]"), "%") // without a zone
		ip, _ = netip.ParseAddr(bare)
		ip = ip.Unmap()
	}
	switch {
	case ip.IsLoopback(), ip.IsValid() && ip.IsUnspecified(): // a call to the unspecified address arrives at this host
		return localNames[0], true
	case ip.IsValid():
		return ip.String(), true
	case slices.Contains(localNames, host), strings.HasSuffix(host, ".localhost"): // RFC 6761, section 6.3
		return localNames[0], true
	}
	if own, err := os.Hostname(); err == nil && strings.EqualFold(own, host) {
		return localNames[0], true
	}
	return host, true
}

// asciiHost maps a name beyond ASCII as a look-up of it does: widths, cases, rings and full stops of other scripts.
// Curl tries the older mapping where the newer refuses.
func asciiHost(host string) (string, bool) {
	if !strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
		return host, true
	}
	for _, older := range []bool{false, true} {
		plain, err := idna.New(idna.MapForLookup(), idna.Transitional(older), idna.StrictDomainName(false)).ToASCII(host)
		if err == nil {
			return plain, true
		}
	}
	return "", false
}

// readIPv4 reads an address as inet_aton does: one to four numbers, decimal, octal or hexadecimal, of which the last
// fills what is left.
func readIPv4(host string) (netip.Addr, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var whole uint64
	for i, part := range parts {
		n, ok := readNumber(part)
		room := 8
		if i == len(parts)-1 {
			room = 8 * (5 - len(parts))
		}
		if !ok || n >= 1<<room {
			return netip.Addr{}, false
		}
		whole = whole<<room | n
	}
	return netip.AddrFrom4([4]byte{byte(whole >> 24), byte(whole >> 16), byte(whole >> 8), byte(whole)}), true
}

func readNumber(text string) (uint64, bool) {
	base := 10
	if rest, hex := strings.CutPrefix(text, "0x"); hex {
		text, base = "0"+rest, 16
	} else if len(text) > 1 && text[0] == '0' {
		base = 8
	}
	n, err := strconv.ParseUint(text, base, 64)
	return n, err == nil
}
