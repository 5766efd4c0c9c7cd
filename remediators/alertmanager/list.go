package alertmanager

import (
	"context"
	"encoding/json"

	"sideledger/ledger"
)

// Place implements [ledger.Lister]: all silences are in one place.
func (r *Remediator) Place(string, json.RawMessage) json.RawMessage { return json.RawMessage("{}") }

// List implements [ledger.Lister]: the silences that are not expired. Alertmanager says when one was changed last, and
// its making is a change too.
func (r *Remediator) List(ctx context.Context, kind string, place json.RawMessage) (ledger.Listing, error) {
	out := ledger.Listing{Place: r.Place(kind, place)}
	list, visible, err := r.list(ctx)
	if err != nil {
		return out, err
	}
	if !visible {
		out.Why = "nothing of Alertmanager's API is visible"
	}
	for _, s := range list {
		out.Items = append(out.Items, ledger.Listed{Resource: named(s.ID), Changed: s.UpdatedAt.UTC(), Shows: object(s.members)})
	}
	return out, nil
}

var _ ledger.Lister = (*Remediator)(nil)
