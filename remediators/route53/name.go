package route53

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"sideledger/ledger"
)

// A name is what an entry's resource says.
type name struct {
	Zone  string `json:"zone"` // its id: "Z1D633PJN98FT9"
	Owner string `json:"name"`
	Type  string `json:"type"`
	Set   string `json:"set,omitempty"` // its SetIdentifier, where several sets share name and type
}

var (
	zoneID     = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)
	recordType = regexp.MustCompile(`^[A-Z0-9]{1,16}$`)
	octal      = regexp.MustCompile(`\\[0-3][0-7]{2}`)
)

// parseName reads a resource. The id of the zone may have its path before it, as AWS shows it.
func parseName(raw json.RawMessage) (name, error) {
	var n name
	if strict(raw, &n) != nil {
		return name{}, ledger.Invalid("/resource", "has to be an object with zone, name and type, and with set where the record set has a SetIdentifier")
	}
	n.Zone, n.Type = strings.TrimPrefix(n.Zone, "/hostedzone/"), strings.ToUpper(n.Type)
	n.Owner = plain(n.Owner)
	switch {
	case !zoneID.MatchString(n.Zone):
		return name{}, ledger.Invalid("/resource/zone", "has to be the id of a hosted zone")
	case n.Owner == "." || len(n.Owner) > 1024 || strings.ContainsAny(n.Owner, "\x00\r\n"):
		return name{}, ledger.Invalid("/resource/name", "has to be a domain name")
	case !recordType.MatchString(n.Type):
		return name{}, ledger.Invalid("/resource/type", "has to be a type of records, as A or TXT")
	case len(n.Set) > 128:
		return name{}, ledger.Invalid("/resource/set", "has at most 128 characters")
	}
	return n, nil
}

func (n name) resource() json.RawMessage { return encode(n) }

func (n name) path() string { return "/2013-04-01/hostedzone/" + n.Zone + "/rrset" }

// query begins a list at the set.
func (n name) query() string {
	q := "name=" + url.QueryEscape(n.Owner) + "&type=" + n.Type
	if n.Set != "" {
		q += "&identifier=" + url.QueryEscape(n.Set)
	}
	return q + "&maxitems=10"
}

// is reports whether a set has this name.
func (n name) is(s *set) bool {
	return plain(s.Name) == n.Owner && s.Type == n.Type && s.SetIdentifier == n.Set
}

// plain is a domain name in its one form: small letters, the last dot, and no escapes where Route 53 writes \052 for '*'.
func plain(s string) string {
	s = octal.ReplaceAllStringFunc(s, func(code string) string {
		n, _ := strconv.ParseUint(code[1:], 8, 8) // the expression says that it is one
		return string([]byte{byte(n)})
	})
	return strings.ToLower(strings.TrimSuffix(s, ".")) + "."
}
