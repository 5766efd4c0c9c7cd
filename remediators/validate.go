package remediators

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"
)

var (
	systemName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	envName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	schemes    = []string{"", schemeBearer, schemeBasic, schemeHeader, schemeHMAC, schemeSigV4, schemeAzure}
)

// Validate checks everything that can be known of a system without calling anybody. The error joins a
// [FieldError] for each mistake; it never holds a value of the configuration that could be a secret.
// Which plugin and which profile there are is checked by [NewRegistry].
func (c SystemConfig) Validate(name string) error {
	var bad []error
	add := func(field, msg string) {
		bad = append(bad, &FieldError{System: name, Field: field, Msg: msg})
	}
	if !systemName.MatchString(name) {
		add("", "a system's name has letters, digits, '.', '_' and '-', at most 64")
	}
	if c.Remediator == "" {
		add("remediator", "say which plugin serves it: http, alertmanager, unleash, powerdns, etcd, ssm, vaultkv, route53, command, manual or plugin")
	}
	if c.URL != "" {
		if _, msg := parseBase(c.URL); msg != "" {
			add("url", msg)
		}
	}
	c.validateAuth(add)
	for _, secret := range slices.Sorted(maps.Keys(c.Secrets)) {
		if msg := checkReference(c.Secrets[secret]); msg != "" || !systemName.MatchString(secret) {
			add("secrets", strings.TrimPrefix(msg+"; a name has letters, digits, '.', '_' and '-', at most 64", "; "))
		}
	}
	for _, a := range c.Allow {
		if _, err := parsePattern(a); err != nil {
			add("allow", err.Error())
		}
	}
	c.effectPatterns(add)
	c.validateLimits(add)
	c.validatePlugin(add)
	c.Guard.validate(add)
	c.Whoami.Validate(add)
	c.Rehearse.validate(add)
	c.validateDNSUpdate(add)
	return errors.Join(bad...)
}

func (c SystemConfig) validateAuth(add func(field, msg string)) {
	if c.Credential != "" {
		if msg := checkReference(c.Credential); msg != "" {
			add("credential", msg)
		}
		if c.URL == "" {
			add("credential", "without a url there is nobody to show it to; leave it out")
		}
	}
	if c.Auth != (AuthConfig{}) && c.Credential == "" {
		add("auth", "it needs a credential: env:NAME or file:/path")
	}
	c.Auth.validate(add)
	c.validateCredentials(add)
}

func (a AuthConfig) validate(add func(field, msg string)) {
	if !slices.Contains(schemes, a.Scheme) {
		add("auth.scheme", "is one of bearer, basic, header, hmac, sigv4, azure")
	}
	if a.Scheme == schemeHeader && a.Name == "" {
		add("auth.name", "say which header carries the credential")
	}
	if a.Name != "" && (!httpguts.ValidHeaderFieldName(a.Name) || transportHeader(a.Name)) {
		add("auth.name", "is not a header that can carry a credential")
	}
	if !httpguts.ValidHeaderFieldValue(a.Prefix) {
		add("auth.prefix", "has a character that no header may have")
	}
	if a.Scheme == schemeSigV4 && (a.Region == "" || a.Service == "") {
		add("auth", "sigv4 needs region and service")
	}
}

func (c SystemConfig) validateLimits(add func(field, msg string)) {
	if c.Retry.Base < 0 || c.Retry.Cap < 0 || (c.Retry.Cap != 0 && c.Retry.Cap < c.Retry.backoff().Base) {
		add("retry", "base and cap are durations, and cap is not below base (500ms unless you set it)")
	}
	if c.Retry.Attempts < 0 {
		add("retry.attempts", "is at least 1; leave it out for 8")
	}
	if c.Rate.PerSecond < 0 || (c.Rate.PerSecond > 0 && c.Rate.PerSecond < 0.01) {
		add("rate.per_second", "is at least 0.01; leave it out for unpaced")
	}
	if c.Rate.Concurrent < 0 {
		add("rate.concurrent", "is at least 1; leave it out for no limit")
	}
}

// parseBase reads a system's address; msg says what is wrong with it, without repeating it.
func parseBase(raw string) (u *url.URL, msg string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, "is not an address; write it as https://host[:port][/path]"
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, "has to begin with https:// or http://"
	case u.User != nil:
		return nil, "must not carry a user or password; use credential and auth"
	case strings.ContainsAny(raw, "?#"):
		return nil, "ends with the path; no query, no fragment"
	case strings.ContainsAny(raw, "\\ \t\r\n\x00"):
		return nil, "has a character that no address may have"
	}
	if path := strings.TrimRight(u.EscapedPath(), "/"); path != "" && CheckPath(path) != nil {
		return nil, "has a path with empty or dot segments"
	}
	return u, ""
}

// warnings says what will be refused or is unwise once calls are made.
func (c SystemConfig) warnings(name string) []Warning {
	u, msg := parseBase(c.URL)
	if c.URL == "" || msg != "" {
		return nil
	}
	out := c.dnsWarnings(name)
	if why := c.deniedHost(u.Hostname()); why != "" {
		out = append(out, Warning{name, "url", why})
	}
	if u.Scheme == "http" && c.Credential != "" && !c.AllowPrivate {
		out = append(out, Warning{name, "url", "the credential travels unencrypted; use https"})
	}
	return out
}

// deniedHost says why a host that is written as an address, or is localhost, will be refused when it
// is dialled; "" when that cannot be known without asking a name server.
func (c SystemConfig) deniedHost(host string) string {
	ip, ok := literalHost(host)
	if !ok {
		return ""
	}
	return denied(ip.Unmap(), c.AllowPrivate) // as the dialler takes it
}

// literalHost returns the address that a host is written as, also in the forms that only resolvers of the
// C library take (decimal, octal, hexadecimal, short), in full-width digits and with a trailing dot.
func literalHost(host string) (netip.Addr, bool) {
	if plain, err := idna.Lookup.ToASCII(host); err == nil { // as net/http does
		host = plain
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip, true
	}
	return legacyAddr(host)
}

// legacyAddr reads an IPv4 address as inet_aton does: one to four numbers in any base, of which the last
// fills what is left.
func legacyAddr(host string) (netip.Addr, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 0, 32)
		if err != nil || strings.ContainsAny(p, "_bo") {
			return netip.Addr{}, false
		}
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		if n >= 1<<bits {
			return netip.Addr{}, false
		}
		sum = sum<<bits | n
	}
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], uint32(sum))
	return netip.AddrFrom4(a), true
}
