package powerdns

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/miekg/dns"

	"sideledger/ledger"
)

// A name is which RRset an entry is about, in the one form: small letters, with the last dot.
type name struct {
	zone, owner string
	kind        string // "CNAME"
}

// parseName reads an entry's resource.
func parseName(raw json.RawMessage) (name, error) {
	text, err := texts(raw)
	if err != nil {
		return name{}, err
	}
	n := name{dns.CanonicalName(text["zone"]), dns.CanonicalName(text["name"]), strings.ToUpper(text["type"])}
	for m, s := range map[string]string{"zone": text["zone"], "name": text["name"]} {
		if !domain(s) {
			return name{}, ledger.Invalid("/resource/"+m, "has to be a domain name, whole and not relative to its zone")
		}
	}
	if !dns.IsSubDomain(n.zone, n.owner) {
		return name{}, ledger.Invalid("/resource/name", "has to be a name in the zone, whole and not relative to it")
	}
	if n.kind == "" || n.kind == "ANY" || strings.Trim(n.kind, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return name{}, ledger.Invalid("/resource/type", "has to be the type of the records: A, CNAME, TXT, …")
	}
	return n, nil
}

// texts reads the members of a resource.
func texts(raw json.RawMessage) (map[string]string, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return nil, ledger.Invalid("/resource", "has to be an object with zone, name and type")
	}
	out := map[string]string{}
	for m, v := range members {
		var s string
		if m != "zone" && m != "name" && m != "type" {
			return nil, ledger.Invalid("/resource", "has a member that is not known here; known are zone, name and type")
		}
		if json.Unmarshal(v, &s) != nil {
			return nil, ledger.Invalid("/resource/"+m, "has to be a string")
		}
		out[m] = s
	}
	return out, nil
}

// domain reports whether a text is a domain name that needs no escapes: what has them is written in many ways.
func domain(s string) bool {
	_, ok := dns.IsDomainName(s)
	return ok && s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`\"'();@`, r) }) < 0
}

func (n name) key() json.RawMessage {
	raw, _ := json.Marshal(map[string]string{"zone": n.zone, "name": n.owner, "type": n.kind}) // strings always encode
	return raw
}

// zonePath is where the zone is, under the id that PowerDNS makes of its name.
func (n name) zonePath() string {
	var id strings.Builder
	for _, c := range []byte(n.zone) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
			id.WriteByte(c)
		default:
			_, _ = fmt.Fprintf(&id, "=%02X", c)
		}
	}
	if n.zone == "." {
		return serverPath + "/zones/=2E"
	}
	return serverPath + "/zones/" + id.String()
}

// filter asks for this RRset alone. PowerDNS shows others too: ghosts that have comments and no records.
func (n name) filter() string {
	return "rrset_name=" + url.QueryEscape(n.owner) + "&rrset_type=" + url.QueryEscape(n.kind)
}

// is reports whether a name and a type, as PowerDNS shows them, are this RRset's.
func (n name) is(owner, kind string) bool {
	return dns.CanonicalName(owner) == n.owner && strings.EqualFold(kind, n.kind)
}
