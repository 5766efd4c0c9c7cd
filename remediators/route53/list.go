package route53

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// listPages is how many pages of 300 record sets are read.
const listPages = 50

// zoneOf reads the zone that a place says; empty: it says none.
func zoneOf(place json.RawMessage) string {
	var at struct {
		Zone string `json:"zone"`
	}
	if json.Unmarshal(place, &at) != nil || !zoneID.MatchString(strings.TrimPrefix(at.Zone, "/hostedzone/")) {
		return ""
	}
	return strings.TrimPrefix(at.Zone, "/hostedzone/")
}

// Place implements [ledger.Lister]: the zone.
func (r *Remediator) Place(_ string, place json.RawMessage) json.RawMessage {
	if zone := zoneOf(place); zone != "" {
		return encode(map[string]string{"zone": zone})
	}
	return json.RawMessage("{}")
}

// List implements [ledger.Lister]: the record sets of a zone. Route 53 does not say when they were made.
func (r *Remediator) List(ctx context.Context, kind string, place json.RawMessage) (ledger.Listing, error) {
	zone := zoneOf(place)
	if zone == "" {
		return ledger.Listing{Why: "nobody says where: it needs zone"}, nil
	}
	out := ledger.Listing{Place: r.Place(kind, place)}
	query := "maxitems=300"
	for range listPages {
		p, err := r.page(ctx, name{Zone: zone}.path(), query)
		if err != nil || p == nil {
			return out, err
		}
		for _, s := range p.Sets {
			n := name{Zone: zone, Owner: plain(s.Name), Type: s.Type, Set: s.SetIdentifier}
			out.Items = append(out.Items, ledger.Listed{Resource: n.resource(), Shows: s.image().JSON})
		}
		if !p.Truncated {
			return out, nil
		}
		query = "maxitems=300&name=" + url.QueryEscape(p.NextName) + "&type=" + url.QueryEscape(p.NextType)
		if p.NextIdentifier != "" {
			query += "&identifier=" + url.QueryEscape(p.NextIdentifier)
		}
	}
	out.Part = true
	return out, nil
}

// Rehearse implements [ledger.Rehearser]: a TXT record of its own below the name that the place says.
func (r *Remediator) Rehearse(_, label string, place json.RawMessage) ledger.Canary {
	var at struct {
		Zone string `json:"zone"`
		Name string `json:"name"`
	}
	_ = json.Unmarshal(place, &at) // what is not there is said below
	n, err := parseName(encode(name{Zone: at.Zone, Owner: label + "." + strings.TrimPrefix(at.Name, "*."), Type: "TXT"}))
	if err != nil || at.Name == "" {
		return ledger.Canary{Why: "nobody says where: it needs zone, and name for a record below it"}
	}
	return ledger.Canary{Resource: n.resource(), CallFunc: func(a ledger.Action, _ json.RawMessage) (ledger.EffectCall, error) {
		ttl, text, action := int64(60), `"made by a rehearsal"`, "CREATE"
		if a == ledger.ActionUpdate {
			text, action = `"changed by a rehearsal"`, "UPSERT"
		}
		c := n.call("a rehearsal", change{action, &set{Name: n.Owner, Type: n.Type, TTL: &ttl, ResourceRecords: []record{{text}}}})
		return ledger.EffectCall{Method: http.MethodPost, Path: c.Path, Header: c.Header, Body: c.Body}, nil
	}}
}

var (
	_ ledger.Lister       = (*Remediator)(nil)
	_ ledger.Rehearser    = (*Remediator)(nil)
	_ remediators.Deriver = (*Remediator)(nil)
)
