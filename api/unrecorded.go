package api

import (
	"context"
	"encoding/json"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// listUnrecorded asks third parties each time: what they hold has no ETag.
func (a *API) listUnrecorded(ctx context.Context, in *call) (answer, error) {
	q := in.query
	u, err := a.ledger.Unrecorded(ctx, ledger.UnrecordedRequest{
		WindowID: in.id, System: q.Get("system"), Kinds: q.Values["kind"], Place: json.RawMessage(q.Get("place")), All: q.Get("all") == "true",
	})
	if err != nil {
		return answer{}, err
	}
	out := wire.Unrecorded{Since: u.Since, Items: []wire.Foreign{}, Lists: []wire.Enumeration{}}
	for _, f := range u.Items {
		out.Items = append(out.Items, wire.Foreign{
			System: f.System, Kind: f.Kind, Resource: f.Resource, Created: maybeTime(f.Created), Changed: maybeTime(f.Changed),
			Sign: string(f.Sign), Canary: f.Canary,
		})
	}
	for _, l := range u.Lists {
		out.Lists = append(out.Lists, wire.Enumeration(l))
	}
	return answer{body: out}, nil
}
