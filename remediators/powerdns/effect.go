package powerdns

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"github.com/miekg/dns"

	"sideledger/ledger"
	"sideledger/remediators"
)

// zoneInPath returns the zone under whose id a path ends; "" if it is another path.
func zoneInPath(path string) string {
	id, ok := strings.CutPrefix(path, serverPath+"/zones/")
	if !ok || strings.ContainsAny(id, "/%") {
		return ""
	}
	plain := escaped.ReplaceAllStringFunc(id, func(s string) string {
		b, _ := hex.DecodeString(s[1:]) // the pattern has found two hexadecimal digits
		return string(b)
	})
	if !domain(plain) {
		return ""
	}
	return dns.CanonicalName(plain)
}

var escaped = regexp.MustCompile(`=[0-9A-Fa-f]{2}`)

// Derive implements [remediators.Deriver]: a PATCH of one set that is replaced or deleted. One of several sets has no
// entry of its own, and what EXTEND and PRUNE leave is not known before; of these the caller says what they are.
func (r *Remediator) Derive(ctx context.Context, c ledger.EffectCall, d *ledger.Draft) (ledger.Derived, error) {
	var doc struct {
		RRsets []rrset `json:"rrsets"`
	}
	zone := zoneInPath(c.Path)
	if zone == "" || c.Method != http.MethodPatch || json.Unmarshal(c.Body, &doc) != nil || len(doc.RRsets) == 0 {
		return ledger.Derived{}, nil
	}
	if len(doc.RRsets) > 1 && d.Kind == "" {
		return ledger.Derived{}, ledger.Invalid("/call/body", "changes several sets of records: make one call for each, so that each has its entry")
	}
	s := doc.RRsets[0]
	key, err := parseName(name{zone, s.Name, s.Type}.key())
	if err != nil || len(doc.RRsets) > 1 {
		return ledger.Derived{}, nil //nolint:nilerr // PowerDNS says what is wrong with it
	}
	switch s.ChangeType {
	case "DELETE":
		_, err = remediators.Say(d, Kind, ledger.ActionDelete, key.key())
		return ledger.Derived{}, err
	case "REPLACE":
		return ledger.Derived{}, r.replaces(ctx, key, &s, d)
	default:
		return ledger.Derived{}, nil
	}
}

// replaces reads whether the set is there: then the call changes it, else it makes it.
func (r *Remediator) replaces(ctx context.Context, n name, s *rrset, d *ledger.Draft) error {
	if d.Kind != "" && d.Kind != Kind {
		return nil
	}
	seen, err := r.Look(ctx, &ledger.Entry{Draft: ledger.Draft{Kind: Kind, Resource: n.key()}})
	if err != nil {
		return ledger.Unseen("derive entry", d.ID.String(), err, "the records cannot be read, so the call is not made")
	}
	action := ledger.ActionUpdate
	switch {
	case len(s.Records) == 0:
		action = ledger.ActionDelete // PowerDNS takes it so
	case seen.Now.IsAbsent():
		action = ledger.ActionCreate
	}
	_, err = remediators.Say(d, Kind, action, n.key())
	return err
}

var _ remediators.Deriver = (*Remediator)(nil)
