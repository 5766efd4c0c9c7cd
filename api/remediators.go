package api

import (
	"context"
	"errors"

	"sideledger/api/wire"
	"sideledger/ledger"
)

func (a *API) listRemediators(ctx context.Context, _ *call) (answer, error) {
	out := wire.RemediatorList{Items: []wire.Remediator{}}
	for _, d := range a.ledger.Remediators(ctx) {
		out.Items = append(out.Items, remediatorOf(d))
	}
	return answer{body: out, hashed: true}, nil
}

func remediatorOf(d ledger.Described) wire.Remediator {
	about := d.Description
	out := wire.Remediator{
		System: d.System.Name, Remediator: d.System.Remediator, Profile: d.System.Profile, Plugin: about.Name, SHA256: about.SHA256,
		Page: about.Page, BackedBy: about.BackedBy, Kinds: []wire.Kind{}, Broken: brokenBy(d.Err),
	}
	for _, k := range about.Kinds {
		kind := wire.Kind{Kind: k.Kind, Says: k.Says, Actions: []string{}, Reversible: string(k.Reversible), Resource: []wire.Member{}}
		for _, action := range k.Actions {
			kind.Actions = append(kind.Actions, string(action))
		}
		for _, m := range k.Resource {
			kind.Resource = append(kind.Resource, wire.Member(m))
		}
		out.Kinds = append(out.Kinds, kind)
	}
	return out
}

// brokenBy is what may be said of why a remediator could not describe itself.
func brokenBy(err error) string {
	var call *ledger.CallError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &call) && call.Detail != "":
		return call.Detail
	default:
		return "it could not be asked; the server's log says why"
	}
}
