package remediators

import (
	"net/netip"
	"strings"
	"testing"
)

// tricks are hosts that lead, or might lead, where nobody's API is. They are refused also with
// allow_private, by the address that is dialled or because there is no such name.
var tricks = []string{
	"169.254.169.254", "169.254.169.254.", "169.254.170.2", "169.254.0.1", "100.100.100.200", "0.0.0.0", "0.0.0.1", "0.1.2.3", "0",
	"[::]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]", "[fe80::1]", "[fe80::a9fe:a9fe]", "[fec0::1]",
	"[ff02::1]", "[ff05::2]", "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.51.100.7",
	"203.0.113.9", "198.18.0.1", "198.19.255.255", "192.0.0.170", "192.88.99.1", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::7f00:1]",
	"[64:ff9b:1::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[2002:7f00:1::]", "[2001::1]", "[2001:0:7f00:1::]", "[::169.254.169.254]",
	"[::a00:1]", "[100::1]", "[2001:db8::1]", "[3fff::1]", "[5f00::1]", "[4000::1]", "2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe",
	"0251.0376.0251.0376", "169.254.43518", "metadata.google.internal.invalid", "[::ffff:0:169.254.169.254]",
}

// inside are addresses that only allow_private opens.
var inside = []string{
	"127.0.0.1", "127.0.0.1.", "127.1.2.3", "127.255.255.254", "localhost", "LOCALHOST", "[::1]", "10.0.0.1", "10.255.255.255",
	"172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "100.64.0.1", "100.127.255.255", "[fc00::1]", "[fd12:3456::1]",
	"[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::127.0.0.1]", "[64:ff9b::a00:1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1",
}

func TestAddressesAreRefused(t *testing.T) {
	try := func(host string, private bool) {
		t.Helper()
		client := newTestClient(t, SystemConfig{URL: "http://" + host + ":9", AllowPrivate: private, Credential: "env:TOKEN"})
		_, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"})
		if c := class(err); c != "denied" && (c != "not_sent" || !strings.Contains(err.Error(), "name was not found")) {
			t.Errorf("%s (private %v): %v", host, private, err)
		}
	}
	for _, host := range tricks {
		try(host, true)
		try(host, false)
	}
	for _, host := range inside {
		try(host, false)
	}
	if n := len(tricks) + len(inside); n < 60 {
		t.Errorf("only %d addresses", n)
	}
}

func TestAddresses(t *testing.T) {
	for s, want := range map[string]string{
		"8.8.8.8": "", "1.1.1.1": "", "2606:4700::1111": "", "2a00:1450::1": "", "100.128.0.1": "", "172.32.0.1": "", "11.0.0.1": "",
		"127.0.0.1": "loopback", "10.0.0.1": "private", "100.64.0.1": "shared", "::1": "loopback", "fd00::1": "unique-local",
		"169.254.169.254": "link-local", "100.100.100.200": "metadata", "fd00:ec2::254": "metadata", "fe80::1%eth0": "link-local",
		"::ffff:8.8.8.8": "IPv4-mapped", "::8.8.8.8": "IPv4-compatible", "64:ff9b::808:808": "NAT64", "64:ff9b:1::1": "NAT64",
		"2002:808:808::": "6to4", "2001::1": "Teredo", "::": "unspecified", "0.0.0.0": "unspecified", "ff02::1": "multicast", "6000::1": "global unicast",
	} {
		why := denied(netip.MustParseAddr(s), false)
		if (why == "") != (want == "") || !strings.Contains(why, want) {
			t.Errorf("%s: %q, want %q", s, why, want)
		}
	}
	for _, s := range []string{"127.0.0.1", "10.1.2.3", "::1", "fd00::1", "100.64.0.1", "192.168.1.1"} {
		if why := denied(netip.MustParseAddr(s), true); why != "" {
			t.Errorf("%s with allow_private: %s", s, why)
		}
	}
	for _, s := range []string{"169.254.169.254", "100.100.100.200", "fd00:ec2::254", "::ffff:127.0.0.1", "224.0.0.1"} {
		if why := denied(netip.MustParseAddr(s), true); why == "" {
			t.Errorf("%s is dialled with allow_private", s)
		}
	}
}

func TestCheckPath(t *testing.T) {
	for _, good := range []string{"/", "/a", "/a/", "/a/b.c", "/a%20b", "/a%2Fb", "/...", "/a..b", "/.well-known", "/a;b=1", "/@id/x:y", "/%F0%9F%90%99", "/100%25", "/a%25b", "/a%2525b"} {
		if err := CheckPath(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "a", "//evil.example", "///x", "http://evil.example/", "/..", "/../x", "/a/..", "/a/../b", "/./a", "/a/.", "/%2e%2e/x", "/%2E./x",
		"/.%2e/x", "/a/%2e", "/%252e%252e/x", "/%25252e%25252e/x", "/a%2F..%2Fb", "/a%2f%2e%2e%2fb", "/a%5C..%5Cb", "/a\\..\\b", "/..;/x", "/..;x=1/y",
		"/a\r\nX: y", "/a%0d%0aX:y", "/a\x00", "/a%00", "/a b", "/a?b", "/a#b", "/a//b", "/\\evil.example", "/%", "/%zz", "/%2", "/{{x}}", "/é", "/a|b",
		"/%25/%252e%252e", "/a%25zz%252f%252e%252e", "/100%25%252f..%252fb", "/%25%2500",
	} {
		if err := CheckPath(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"/a/b", "/%2e%2e/a", "//x", "/a%2f..", "/..;/"} {
		f.Add(s)
	}
	base, _ := parseBase("http://third.party/base")
	f.Fuzz(func(t *testing.T, path string) {
		if CheckPath(path) != nil {
			return
		}
		c := &Client{base: base}
		u := c.url(Call{Path: path})
		if u.Host != "third.party" || u.Scheme != "http" || u.User != nil || !strings.HasPrefix(u.EscapedPath(), "/base/") {
			t.Errorf("%q leads to %s", path, u)
		}
		if joined := u.JoinPath(); !strings.HasPrefix(joined.Path+"/", "/base/") {
			t.Errorf("%q cleans to %s", path, joined)
		}
	})
}
