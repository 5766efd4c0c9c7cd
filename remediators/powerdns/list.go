package powerdns

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"sideledger/ledger"
	"sideledger/remediators"
)

// zoneOf is the zone that a place names; "" if it names none.
func zoneOf(place json.RawMessage) string {
	var doc struct {
		Zone string `json:"zone"`
	}
	if json.Unmarshal(place, &doc) != nil || !domain(doc.Zone) {
		return ""
	}
	return dns.CanonicalName(doc.Zone)
}

// Place implements [ledger.Lister]: the zone.
func (r *Remediator) Place(_ string, place json.RawMessage) json.RawMessage {
	zone := zoneOf(place)
	if zone == "" {
		return json.RawMessage("{}")
	}
	raw, _ := json.Marshal(map[string]string{"zone": zone}) // a string always encodes
	return raw
}

// List implements [ledger.Lister]: the sets of a zone, those that are disabled too. A read of the whole zone has no
// pages. Newer versions say when a record was changed.
func (r *Remediator) List(ctx context.Context, kind string, place json.RawMessage) (ledger.Listing, error) {
	out := ledger.Listing{Place: r.Place(kind, place)}
	n := name{zone: zoneOf(place)}
	if n.zone == "" {
		out.Why = "nobody says where: it needs zone"
		return out, nil
	}
	reply, err := r.client.Do(ctx, get(n.zonePath(), ""))
	switch {
	case err != nil:
		return out, err
	case reply.Status == http.StatusNotFound:
		out.Why = "the zone is not there, or not visible"
		return out, nil
	}
	var doc struct {
		RRsets []rrset `json:"rrsets"`
	}
	if err := decode(reply, &doc); err != nil {
		return out, err
	}
	if doc.RRsets == nil {
		return out, remediators.Unusable(reply, "the answer is no zone")
	}
	for _, s := range doc.RRsets {
		if len(s.Records) == 0 {
			continue // comments that are left of a set
		}
		shows, _ := json.Marshal(s) // what was decoded from JSON encodes
		key := name{n.zone, dns.CanonicalName(s.Name), s.Type}.key()
		out.Items = append(out.Items, ledger.Listed{Resource: key, Changed: s.changed(), Shows: shows})
	}
	return out, nil
}

// changed is when one of its records was changed last; zero: it is not said.
func (s *rrset) changed() (last time.Time) {
	for _, r := range s.Records {
		if r.Modified == nil {
			continue
		}
		if n, err := strconv.ParseInt(r.Modified.String(), 10, 64); err == nil && n > 0 && time.Unix(n, 0).After(last) {
			last = time.Unix(n, 0).UTC()
		}
	}
	return last
}

var _ ledger.Lister = (*Remediator)(nil)
