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

// List implements [ledger.Lister]: the secrets right below a path of a mount, without those that are deleted. What lies
// deeper is listed by its own path.
func (r *Remediator) List(ctx context.Context, _ string, place json.RawMessage) (ledger.Listing, error) {
	var at secret
	if json.Unmarshal(place, &at) != nil || !(secret{at.Mount, "/x"}).whole() || at.Path != "" && !at.whole() {
		return ledger.Listing{Why: `nobody says where: it needs mount, and path for what is below one: {"mount": "/secret", "path": "/shop"}`}, nil
	}
	where, _ := json.Marshal(at) // strings always encode
	out := ledger.Listing{Place: where}
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
		if out.Part = out.Part || i >= listMost || strings.HasSuffix(key, "/"); i >= listMost || strings.HasSuffix(key, "/") {
			continue
		}
		one := secret{at.Mount, at.Path + "/" + key}
		if !one.whole() {
			out.Part = true
			continue
		}
		meta, visible, err := r.metadata(ctx, one)
		if err != nil {
			return ledger.Listing{}, err
		}
		if v := meta.at(meta.CurrentVersion); visible && v != nil && !v.Destroyed && !v.deleted(r.clock.Now()) {
			out.Items = append(out.Items, ledger.Listed{
				Resource: one.resource(), Created: meta.Created, Changed: meta.Updated, Shows: (&image{meta.CurrentVersion, v.Created}).image().JSON,
			})
		}
	}
	return out, nil
}

var _ ledger.Lister = (*Remediator)(nil)
