package remediators

import (
	"net"
	"strconv"

	"github.com/miekg/dns"
)

// DNSUpdateConfig says where a system's name server takes updates (RFC 2136), and how they are signed.
type DNSUpdateConfig struct {
	Address    string `yaml:"address"`    // host:port, spoken to over TCP; empty: none
	Key        string `yaml:"key"`        // TSIG: the key's name; empty: updates are not signed
	Algorithm  string `yaml:"algorithm"`  // TSIG: default hmac-sha256
	Credential string `yaml:"credential"` // TSIG: env:NAME or file:/path, where the key's secret is, in base64
}

// tsigAlgorithms are those that are taken, by their names in configurations. MD5 and SHA-1 are not.
var tsigAlgorithms = map[string]string{
	"": dns.HmacSHA256, "hmac-sha256": dns.HmacSHA256, "hmac-sha224": dns.HmacSHA224, "hmac-sha384": dns.HmacSHA384, "hmac-sha512": dns.HmacSHA512,
}

func (c SystemConfig) validateDNSUpdate(add func(field, msg string)) {
	d := c.DNSUpdate
	if d == (DNSUpdateConfig{}) {
		return
	}
	if c.Remediator != "powerdns" {
		add("dnsupdate", "belongs to remediator: powerdns")
	}
	host, port, err := net.SplitHostPort(d.Address)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		add("dnsupdate.address", "is host:port, where the name server takes updates")
	}
	d.validateKey(add)
}

func (d DNSUpdateConfig) validateKey(add func(field, msg string)) {
	if (d.Key == "") != (d.Credential == "") {
		add("dnsupdate", "signed updates need both key, the name, and credential, where its secret is")
	}
	if _, ok := dns.IsDomainName(d.Key); d.Key != "" && !ok {
		add("dnsupdate.key", "is the name of a TSIG key")
	}
	if _, ok := tsigAlgorithms[d.Algorithm]; !ok || d.Algorithm != "" && d.Key == "" {
		add("dnsupdate.algorithm", "is, of a key, one of hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512")
	}
	if d.Credential != "" {
		if msg := checkReference(d.Credential); msg != "" {
			add("dnsupdate.credential", msg)
		}
	}
}

// dnsWarnings says what will be refused once updates are sent.
func (c SystemConfig) dnsWarnings(name string) []Warning {
	host, _, err := net.SplitHostPort(c.DNSUpdate.Address)
	if err != nil {
		return nil
	}
	if why := c.deniedHost(host); why != "" {
		return []Warning{{name, "dnsupdate.address", why}}
	}
	return nil
}
