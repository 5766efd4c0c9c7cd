package vaultkv

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// listMost is how many secrets of one list are looked at.
const listMost = 200

// Place implements [ledger.Lister]: a mount, and a path in it that ends with a slash.
func (r *Remediator) Place(_ string, place json.RawMessage) json.RawMessage {
	at, ok := placeOf(place)
	if !ok {
		return json.RawMessage("{}")
	}
	at.Path += "/"
	return at.resource()
}

// List implements [ledger.Lister]: the secrets right below a path of a mount, beside the one that the place names, without those that are deleted. What lies
// deeper is listed by its own path.
func (r *Remediator) List(ctx context.Context, kind string, place json.RawMessage) (ledger.Listing, error) {
	at, ok := placeOf(place)
	if !ok {
		return ledger.Listing{Why: `nobody says where: it needs mount, and path for what is beside a secret, or below a path that ends with a slash: {"mount": "/secret", "path": "/shop/"}`}, nil
	}
	out := ledger.Listing{Place: r.Place(kind, place)}
	reply, err := r.client.Do(ctx, remediators.Call{Method: http.MethodGet, Path: at.at("metadata") + "/", Query: "list=true"})
	if err != nil || reply.Status == http.StatusNotFound {
		return out, err
	}
	var doc struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	if err := decode(reply, &doc); err != nil {
		return ledger.Listing{}, err
	}
	for i, key := range doc.Data.Keys {
		one := secret{at.Mount, at.Path + "/" + key}
		if i >= listMost || !one.whole() { // a key that ends with a slash is a place of its own
			out.Part = true
			continue
		}
		if err := r.listed(ctx, one, &out); err != nil {
			return ledger.Listing{}, err
		}
	}
	return out, nil
}

// listed adds a secret to a list, if it is there.
func (r *Remediator) listed(ctx context.Context, at secret, out *ledger.Listing) error {
	meta, visible, err := r.metadata(ctx, at)
	if err != nil || !visible {
		return err
	}
	if v := meta.at(meta.CurrentVersion); v != nil && !v.Destroyed && !v.deleted(r.clock.Now()) {
		out.Items = append(out.Items, ledger.Listed{
			Resource: at.resource(), Created: meta.Created, Changed: meta.Updated, Shows: (&image{meta.CurrentVersion, v.Created}).image().JSON,
		})
	}
	return nil
}

// placeOf reads where secrets are: a mount, and the part of a path up to its last slash, which may be none. So a secret names
// the place that it is in.
func placeOf(place json.RawMessage) (at secret, ok bool) {
	if json.Unmarshal(place, &at) != nil || !(secret{at.Mount, "/x"}).whole() {
		return at, false
	}
	at.Path = at.Path[:max(strings.LastIndex(at.Path, "/"), 0)]
	return at, at.Path == "" || at.whole()
}

var _ ledger.Lister = (*Remediator)(nil)
