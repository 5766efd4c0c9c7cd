package remediators

import (
	"fmt"
	"net/netip"
	"syscall"
)

// A denial is a block of addresses and why it is refused.
type denial struct {
	block netip.Prefix
	what  string
}

// privateBlocks are refused unless a system says allow_private.
var privateBlocks = []denial{
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared (carrier-grade NAT)"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("fc00::/7"), "unique-local"},
}

// forbiddenBlocks are refused whatever a system says: nobody's API lives there, and some of them
// (metadata services, tunnels that hide another address) are how a request is led astray.
// From the IANA special-purpose address registries (RFC 6890 and its updates).
var forbiddenBlocks = []denial{
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local (metadata services)"},
	{netip.MustParsePrefix("100.100.100.200/32"), "a metadata service"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), "a metadata service"},
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved for protocols"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "an IPv4-mapped address"},
	{netip.MustParsePrefix("::/96"), "an IPv4-compatible address"},
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "NAT64"},
	{netip.MustParsePrefix("100::/64"), "discard-only"},
	{netip.MustParsePrefix("2001::/23"), "reserved for protocols (Teredo)"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// globalUnicast is the only part of IPv6 that is routed on the internet (RFC 4291).
var globalUnicast = netip.MustParsePrefix("2000::/3")

// denied says why an address is not dialled; "" means it may be.
func denied(ip netip.Addr, allowPrivate bool) string {
	ip = ip.WithZone("")
	loopback6 := netip.IPv6Loopback()
	for _, d := range forbiddenBlocks {
		if d.block.Contains(ip) && ip != loopback6 {
			return "the address is " + d.what + ", which is never dialled"
		}
	}
	for _, d := range privateBlocks {
		if d.block.Contains(ip) {
			if allowPrivate {
				return ""
			}
			return "the address is " + d.what + "; set allow_private: true if that is meant"
		}
	}
	if ip.Is6() && !globalUnicast.Contains(ip) {
		return "the address is not global unicast, which is never dialled"
	}
	return ""
}

// A deniedError is the dialler's refusal of an address.
type deniedError struct{ why string }

func (e *deniedError) Error() string { return e.why }

// guard returns the check that net.Dialer makes on every address after resolution, just before it
// connects, so that a name that changes its mind in between gains nothing.
func guard(allowPrivate bool) func(network, address string, _ syscall.RawConn) error {
	return func(network, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return &deniedError{"the address cannot be read"}
		}
		if network != "tcp4" && network != "tcp6" {
			return &deniedError{fmt.Sprintf("%s is not dialled", network)}
		}
		if why := denied(ap.Addr(), allowPrivate); why != "" {
			return &deniedError{why}
		}
		return nil
	}
}
