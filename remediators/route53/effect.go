package route53

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strings"

	"sideledger/ledger"
)

// Derive implements [remediators.Deriver]: a batch with one change. One with more is several effects, and says so.
func (r *Remediator) Derive(ctx context.Context, c ledger.EffectCall, d *ledger.Draft) (ledger.Derived, error) {
	zone, ok := strings.CutPrefix(c.Path, "/2013-04-01/hostedzone/")
	zone, isSet := strings.CutSuffix(strings.TrimSuffix(zone, "/"), "/rrset")
	if !ok || !isSet || c.Method != http.MethodPost || d.Kind != "" && d.Kind != Kind {
		return ledger.Derived{}, nil
	}
	one, n, err := only(zone, c.Body)
	if err != nil {
		return ledger.Derived{}, err
	}
	if n.contradicts(d.Resource) {
		return ledger.Derived{}, ledger.Invalid("/entry/resource", "names another resource than the call")
	}
	given := d.Action
	d.Kind, d.Resource = Kind, n.resource()
	if d.Action, err = r.action(ctx, one.Action, d); err != nil {
		return ledger.Derived{}, err
	}
	if given != "" && given != d.Action {
		return ledger.Derived{}, ledger.Invalid("/entry/action", "this call is another action: %s", d.Action)
	}
	if d.Action != ledger.ActionDelete {
		d.After = one.Set.image()
	}
	return ledger.Derived{}, nil
}

// contradicts reports whether a resource that a script said is another one; nothing and null say nothing.
func (n name) contradicts(said json.RawMessage) bool {
	if len(said) == 0 || string(said) == "null" {
		return false
	}
	other, err := parseName(said)
	return err != nil || other != n
}

// only reads a batch that has one change, and the name of its set.
func only(zone string, body []byte) (change, name, error) {
	var b batch
	if xml.Unmarshal(body, &b) != nil || len(b.Changes) != 1 || b.Changes[0].Set == nil {
		return change{}, name{}, ledger.Invalid("/call/body", "want a batch with one change: each change is an effect of its own")
	}
	s := b.Changes[0].Set
	n, err := parseName(name{Zone: zone, Owner: s.Name, Type: s.Type, Set: s.SetIdentifier}.resource())
	if err != nil {
		return change{}, name{}, ledger.Invalid("/call/body", "its change names no record set")
	}
	return b.Changes[0], n, nil
}

// action is what a change does; an UPSERT says it only together with what is there.
func (r *Remediator) action(ctx context.Context, said string, d *ledger.Draft) (ledger.Action, error) {
	switch said {
	case "CREATE":
		return ledger.ActionCreate, nil
	case "DELETE":
		return ledger.ActionDelete, nil
	case "UPSERT":
	default:
		return "", ledger.Invalid("/call/body", "its change is none of CREATE, DELETE, UPSERT")
	}
	seen, err := r.Look(ctx, &ledger.Entry{Draft: *d})
	if err != nil {
		return "", ledger.Unseen("derive entry", d.ID.String(), err, "the record set cannot be looked at, so the call is not made")
	}
	if seen.Now.IsAbsent() {
		return ledger.ActionCreate, nil
	}
	return ledger.ActionUpdate, nil
}
