package route53

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strings"

	"sideledger/ledger"
)

// A set is a record set as Route 53 writes it in XML and its command line in JSON. The order is that of the API's schema.
type set struct {
	XMLName                 xml.Name  `xml:"ResourceRecordSet" json:"-"`
	Name                    string    `json:",omitempty"`                  // not in images: the resource says it
	Type                    string    `json:",omitempty"`                  // likewise
	SetIdentifier           string    `xml:",omitempty" json:",omitempty"` // likewise
	Weight                  *int64    `xml:",omitempty" json:",omitempty"`
	Region                  string    `xml:",omitempty" json:",omitempty"`
	GeoLocation             *location `xml:",omitempty" json:",omitempty"`
	Failover                string    `xml:",omitempty" json:",omitempty"`
	MultiValueAnswer        *bool     `xml:",omitempty" json:",omitempty"`
	TTL                     *int64    `xml:",omitempty" json:",omitempty"` // seconds; an alias has none
	ResourceRecords         []record  `xml:"ResourceRecords>ResourceRecord,omitempty" json:",omitempty"`
	AliasTarget             *alias    `xml:",omitempty" json:",omitempty"`
	HealthCheckID           string    `xml:"HealthCheckId,omitempty" json:"HealthCheckId,omitempty"`
	TrafficPolicyInstanceID string    `xml:"TrafficPolicyInstanceId,omitempty" json:"TrafficPolicyInstanceId,omitempty"`
	CidrRoutingConfig       *cidr     `xml:",omitempty" json:",omitempty"`
	GeoProximityLocation    *near     `xml:",omitempty" json:",omitempty"`
	Rest                    []unknown `xml:",any" json:"-"` // what is not known here, and would be lost
}

type (
	record struct{ Value string }
	alias  struct {
		HostedZoneID         string `xml:"HostedZoneId" json:"HostedZoneId"`
		DNSName              string
		EvaluateTargetHealth bool
		Rest                 []unknown `xml:",any" json:"-"`
	}
	location struct {
		ContinentCode   string    `xml:",omitempty" json:",omitempty"`
		CountryCode     string    `xml:",omitempty" json:",omitempty"`
		SubdivisionCode string    `xml:",omitempty" json:",omitempty"`
		Rest            []unknown `xml:",any" json:"-"`
	}
	cidr struct {
		CollectionID string `xml:"CollectionId" json:"CollectionId"`
		LocationName string
		Rest         []unknown `xml:",any" json:"-"`
	}
	near struct {
		AWSRegion      string       `xml:",omitempty" json:",omitempty"`
		LocalZoneGroup string       `xml:",omitempty" json:",omitempty"`
		Coordinates    *coordinates `xml:",omitempty" json:",omitempty"`
		Bias           *int64       `xml:",omitempty" json:",omitempty"`
		Rest           []unknown    `xml:",any" json:"-"`
	}
	coordinates struct{ Latitude, Longitude string }
	unknown     struct{ XMLName xml.Name }
)

// strange reports whether it has a part that is not known here.
func (s *set) strange() bool {
	return len(s.Rest) > 0 || s.AliasTarget != nil && len(s.AliasTarget.Rest) > 0 || s.GeoLocation != nil && len(s.GeoLocation.Rest) > 0 ||
		s.CidrRoutingConfig != nil && len(s.CidrRoutingConfig.Rest) > 0 || s.GeoProximityLocation != nil && len(s.GeoProximityLocation.Rest) > 0
}

// parseImage reads an image; nil for absence and for what is not known.
func parseImage(field string, i ledger.Image) (*set, error) {
	if !i.Known() || i.IsAbsent() {
		return nil, nil
	}
	var s set
	if strict(i.JSON, &s) != nil {
		return nil, ledger.Invalid(field, "is no record set as `aws route53 list-resource-record-sets` shows it: an object with TTL and ResourceRecords, or with AliasTarget")
	}
	if s.TTL != nil && (*s.TTL < 0 || *s.TTL > 1<<31-1) {
		return nil, ledger.Invalid(field+"/TTL", "has to be between 0 and 2147483647")
	}
	return &s, nil
}

// lacks names what a set needs to be made where nothing stands.
func (s *set) lacks() string {
	switch {
	case s.AliasTarget != nil:
		return ""
	case s.TTL == nil:
		return "TTL"
	case len(s.ResourceRecords) == 0:
		return "ResourceRecords"
	default:
		return ""
	}
}

// image is the set in its one form: without its name, records in order, the alias's name in small letters with its dot.
func (s *set) image() ledger.Image {
	out := *s
	out.Name, out.Type, out.SetIdentifier = "", "", ""
	out.ResourceRecords = slices.Clone(s.ResourceRecords)
	slices.SortFunc(out.ResourceRecords, func(a, b record) int { return strings.Compare(a.Value, b.Value) })
	if s.AliasTarget != nil {
		to := *s.AliasTarget
		to.DNSName = plain(to.DNSName)
		out.AliasTarget = &to
	}
	return ledger.Image{JSON: encode(&out)}
}

// encode writes JSON without escaping what HTML would need.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // strings, numbers and flags always encode
	return bytes.TrimSpace(b.Bytes())
}

// Canonical implements [ledger.Canonicalizer].
func (r *Remediator) Canonical(_ string, i ledger.Image) ledger.Image {
	s, err := parseImage("", i)
	if err != nil || s == nil {
		return i
	}
	return s.image()
}

// strict reads a document and refuses members that are not known.
func strict(raw json.RawMessage, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}
