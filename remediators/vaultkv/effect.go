package vaultkv

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Derive implements [remediators.Deriver]: writes and deletes of a secret. A delete of the metadata is one that nothing
// takes back.
func (r *Remediator) Derive(ctx context.Context, c ledger.EffectCall, d *ledger.Draft) (ledger.Derived, error) {
	part, at, ok := secretOf(c.Path)
	if !ok || d.Kind != "" && d.Kind != Kind {
		return ledger.Derived{}, nil
	}
	given := d.Action
	switch c.Method + " " + part {
	case "POST data", "PUT data", "PATCH data":
		d.Action = ledger.ActionUpdate
	case "DELETE data":
		d.Action = ledger.ActionDelete
	case "DELETE metadata":
		d.Action = ledger.ActionDelete
		if d.Reversible == "" {
			d.Reversible = ledger.ReversibleNone
		}
	default:
		d.Action = given
		return ledger.Derived{}, nil
	}
	if at.contradicts(d.Resource) {
		return ledger.Derived{}, ledger.Invalid("/entry/resource", "names another resource than the call")
	}
	d.Kind, d.Resource = Kind, at.resource()
	if err := r.tellCreate(ctx, d); err != nil {
		return ledger.Derived{}, err
	}
	if given != "" && given != d.Action {
		return ledger.Derived{}, ledger.Invalid("/entry/action", "this call is another action: %s", d.Action)
	}
	return ledger.Derived{}, nil
}

// contradicts reports whether a resource that a script said is another one; nothing and null say nothing.
func (s secret) contradicts(said json.RawMessage) bool {
	if len(said) == 0 || string(said) == "null" {
		return false
	}
	other, err := parseSecret(said)
	return err != nil || other != s
}

// tellCreate makes an update of what is not there a create.
func (r *Remediator) tellCreate(ctx context.Context, d *ledger.Draft) error {
	if d.Action != ledger.ActionUpdate {
		return nil
	}
	seen, err := r.Look(ctx, &ledger.Entry{Draft: *d})
	if err != nil {
		return ledger.Unseen("derive entry", d.ID.String(), err, "the secret cannot be looked at, so the call is not made")
	}
	if seen.Now.IsAbsent() {
		d.Action = ledger.ActionCreate
	}
	return nil
}

// secretOf reads the part and the secret of a path /v1/MOUNT/PART/PATH.
func secretOf(path string) (part string, at secret, ok bool) {
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return "", secret{}, false
	}
	for _, part := range []string{"data", "metadata"} {
		mount, name, found := strings.Cut(rest, "/"+part+"/")
		if !found || strings.Contains(mount, "/data/") || strings.Contains(mount, "/metadata/") {
			continue
		}
		mount, errMount := url.PathUnescape("/" + mount)
		name, errName := url.PathUnescape("/" + name)
		if at := (secret{mount, name}); errMount == nil && errName == nil && at.whole() {
			return part, at, true
		}
	}
	return "", secret{}, false
}

// Rehearse implements [ledger.Rehearser]: a secret of its own beside the one that the place names.
func (r *Remediator) Rehearse(_, name string, place json.RawMessage) ledger.Canary {
	at, ok := placeOf(place)
	if !ok {
		return ledger.Canary{Why: `nobody says where: it needs mount, and path for a secret beside it: {"mount": "/secret", "path": "/shop/db"}`}
	}
	at.Path += "/" + name
	return ledger.Canary{Resource: at.resource(), CallFunc: func(a ledger.Action, _ json.RawMessage) (ledger.EffectCall, error) {
		body := `{"data":{"rehearsal":"made"}}`
		if a == ledger.ActionUpdate {
			body = `{"data":{"rehearsal":"changed"}}`
		}
		return ledger.EffectCall{Method: http.MethodPost, Path: at.at("data"), Header: map[string]string{"Content-Type": "application/json"}, Body: []byte(body)}, nil
	}}
}

var (
	_ remediators.Deriver = (*Remediator)(nil)
	_ ledger.Rehearser    = (*Remediator)(nil)
)
