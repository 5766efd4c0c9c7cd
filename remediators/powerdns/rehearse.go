package powerdns

import (
	"encoding/json"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Whoami implements [remediators.Whoamist]. A key of PowerDNS has no end.
func (r *Remediator) Whoami() *remediators.WhoamiConfig {
	return &remediators.WhoamiConfig{Path: serverPath}
}

// Rehearse implements [ledger.Rehearser]: a TXT record of its own in the zone that the place names.
func (r *Remediator) Rehearse(_, label string, place json.RawMessage) ledger.Canary {
	zone := zoneOf(place)
	if zone == "" {
		return ledger.Canary{Why: "nobody says where: it needs zone"}
	}
	n := name{zone, label + "." + zone, "TXT"}
	return ledger.Canary{Resource: n.key(), CallFunc: func(a ledger.Action, _ json.RawMessage) (ledger.EffectCall, error) {
		says := `"made by a rehearsal"`
		if a == ledger.ActionUpdate {
			says = `"changed by a rehearsal"`
		}
		ttl := uint32(60)
		call := patch(n, &rrset{TTL: &ttl, Records: []record{{Content: says}}})
		return ledger.EffectCall{Method: call.Method, Path: call.Path, Header: call.Header, Body: call.Body}, nil
	}}
}

var (
	_ ledger.Rehearser     = (*Remediator)(nil)
	_ remediators.Whoamist = (*Remediator)(nil)
)
