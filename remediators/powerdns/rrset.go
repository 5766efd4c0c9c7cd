package powerdns

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"sideledger/ledger"
)

// An rrset is what PowerDNS shows of one, or what an image says: ttl or records may be missing there.
type rrset struct {
	Name       string            `json:"name,omitempty"`
	Type       string            `json:"type,omitempty"`
	ChangeType string            `json:"changetype,omitempty"` // in what a script posted; not looked at
	TTL        *uint32           `json:"ttl,omitempty"`        // seconds
	Records    []record          `json:"records,omitempty"`    // in no order
	Comments   []json.RawMessage `json:"comments,omitempty"`   // for people; not compared
}

// A record is one of a set. One that is disabled stands in the database and is not answered with.
type record struct {
	Content  string `json:"content"`
	Disabled bool   `json:"disabled"`
	// What newer versions add, and what older scripts post: not compared.
	Modified *json.Number `json:"modified_at,omitempty"`
	SetPTR   *bool        `json:"set-ptr,omitempty"`
}

// maxTTL is the longest that there is, in seconds (RFC 2181, 8).
const maxTTL = 1<<31 - 1

// parseImage reads an image; nil for absence and for what is not known.
func parseImage(field string, i ledger.Image) (*rrset, error) {
	if !i.Known() || i.IsAbsent() {
		return nil, nil
	}
	var s rrset
	dec := json.NewDecoder(bytes.NewReader(i.JSON))
	dec.DisallowUnknownFields()
	if dec.Decode(&s) != nil {
		return nil, ledger.Invalid(field, "is not an RRset: an object with ttl and records, each with content and, if it is so, disabled")
	}
	if s.TTL != nil && *s.TTL > maxTTL {
		return nil, ledger.Invalid(field+"/ttl", "has to be at most 2147483647")
	}
	if s.Records != nil && len(s.Records) == 0 {
		return nil, ledger.Invalid(field+"/records", "is empty: an RRset without records is not there, which is null")
	}
	return &s, nil
}

// lacks names the members without which the set cannot be written where nothing stands.
func (s *rrset) lacks() string {
	switch {
	case s.TTL == nil && s.Records == nil:
		return "ttl and records"
	case s.TTL == nil:
		return "ttl"
	case s.Records == nil:
		return "records"
	default:
		return ""
	}
}

func (s *rrset) hasDisabled() bool {
	return slices.ContainsFunc(s.Records, func(r record) bool { return r.Disabled })
}

// canonical is the set in its one form: records in order, contents in theirs. An undo is built from it too.
func (s *rrset) canonical() json.RawMessage {
	out := rrset{TTL: s.TTL, Comments: s.Comments}
	for _, r := range s.Records {
		out.Records = append(out.Records, record{Content: plain(r.Content), Disabled: r.Disabled})
	}
	slices.SortFunc(out.Records, func(a, b record) int { return strings.Compare(a.Content, b.Content) })
	raw, _ := json.Marshal(out) // strings and numbers always encode
	return raw
}

// Canonical implements [ledger.Canonicalizer].
func (r *Remediator) Canonical(_ string, i ledger.Image) ledger.Image {
	s, err := parseImage("", i)
	if err != nil || s == nil {
		return i
	}
	return ledger.Image{JSON: s.canonical()}
}

// plain is a record's content in its one form, whatever its type: names in small letters without the last dot,
// addresses as they are written shortest, hexadecimal digests in small letters, the serial of an SOA as 0, since each
// change in the zone moves it. What has quotes stays as it is.
func plain(content string) string {
	if strings.Contains(content, `"`) {
		return strings.TrimSpace(content)
	}
	fields := strings.Fields(content)
	for i, f := range fields {
		ip, err := netip.ParseAddr(f)
		switch {
		case err == nil:
			fields[i] = ip.String()
		case f != "." && strings.Contains(f, "."): // base64 has no dots
			fields[i] = strings.ToLower(strings.TrimSuffix(f, "."))
		case len(f) >= shortestDigest && strings.Trim(f, "0123456789abcdefABCDEF") == "":
			fields[i] = strings.ToLower(f)
		}
	}
	if serial := serialOf(fields); serial != nil {
		*serial = "0"
	}
	return strings.Join(fields, " ")
}

// shortestDigest is how long a SHA-1 is, in hexadecimal.
const shortestDigest = 40

// serialOf returns where the serial of an SOA stands: two names and five numbers, as no other type has; nil if it is none.
func serialOf(fields []string) *string {
	if len(fields) != 7 || slices.ContainsFunc(fields[2:], func(f string) bool { return strings.Trim(f, "0123456789") != "" }) {
		return nil
	}
	return &fields[2]
}

// namesOf says, by type, which fields of a content are names, which the API takes with their last dot only.
var namesOf = map[string][]int{
	"CNAME": {0}, "DNAME": {0}, "NS": {0}, "PTR": {0}, "ALIAS": {0}, "MX": {1}, "AFSDB": {1}, "KX": {1}, "LP": {1},
	"SVCB": {1}, "HTTPS": {1}, "SRV": {3}, "SOA": {0, 1}, "RP": {0, 1},
}

// whole is a record's content as the API takes it.
func whole(kind, content string) string {
	fields := strings.Fields(content)
	if strings.Contains(content, `"`) || len(namesOf[kind]) == 0 {
		return content
	}
	for _, i := range namesOf[kind] {
		if i < len(fields) && !strings.HasSuffix(fields[i], ".") {
			fields[i] += "."
		}
	}
	return strings.Join(fields, " ")
}

// reserialed is the content of an SOA with the serial of another, so that a zone's serial does not go back.
func reserialed(content, like string) string {
	fields, from := strings.Fields(content), strings.Fields(like)
	to, serial := serialOf(fields), serialOf(from)
	if to == nil || serial == nil {
		return content
	}
	*to = *serial
	return strings.Join(fields, " ")
}
