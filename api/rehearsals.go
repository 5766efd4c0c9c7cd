package api

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"sideledger/api/wire"
	"sideledger/ledger"
)

func (a *API) rehearse(ctx context.Context, _ *call, b *wire.RehearsalRequest) (*ledger.Rehearsal, error) {
	within, err := readDuration("/perform_within", b.PerformWithin)
	if err != nil {
		return nil, err
	}
	r := ledger.RehearsalRequest{System: b.System, Kinds: b.Kinds, Place: b.Place, Perform: within}
	if b.Window != "" {
		id, err := uuid.Parse(b.Window)
		if err != nil {
			return nil, ledger.Invalid("/window", "want the id of a window")
		}
		r.WindowID = id
	}
	return a.ledger.Rehearse(ctx, r)
}

// awaitRehearsal waits for the end of its rollback, for as long as the caller prefers.
func (a *API) awaitRehearsal(ctx context.Context, in *call, r *ledger.Rehearsal) (*ledger.Rehearsal, error) {
	if r.WindowID == uuid.Nil {
		return r, nil
	}
	back, err := a.ledger.Rollback(ctx, r.RollbackID)
	if err != nil {
		return r, err
	}
	if _, err := a.awaitRollback(ctx, in, back); err != nil {
		return r, err
	}
	return a.ledger.Rehearsed(ctx, r)
}

func (a *API) getRehearsal(ctx context.Context, in *call) (answer, error) {
	r, err := a.ledger.Rehearsal(ctx, in.id)
	if err != nil {
		return answer{}, err
	}
	return answer{body: rehearsalToWire(r)}, nil
}

func rehearsalAnswer(r *ledger.Rehearsal) answer {
	out := answer{body: rehearsalToWire(r)}
	if r.WindowID != uuid.Nil {
		out.status, out.header = http.StatusCreated, map[string]string{"Location": "/v1/windows/" + r.WindowID.String() + "/rehearsal"}
	}
	return out
}

func rehearsalToWire(r *ledger.Rehearsal) wire.Rehearsal {
	out := wire.Rehearsal{
		System: r.System, Window: maybeID(r.For), WindowID: maybeID(r.WindowID), RollbackID: maybeID(r.RollbackID), Over: r.Over, Proven: r.Proven(),
		Canaries: []wire.Canary{}, NotRehearsed: []wire.NotRehearsed{}, Earlier: []wire.EarlierRehearsal{},
	}
	for _, n := range r.Left {
		out.NotRehearsed = append(out.NotRehearsed, wire.NotRehearsed(n))
	}
	for _, e := range r.Earlier {
		earlier := wire.EarlierRehearsal{WindowID: e.WindowID.String(), State: string(e.State), Remains: []wire.Remains{}}
		for _, left := range e.Remains {
			earlier.Remains = append(earlier.Remains, remainsToWire(left))
		}
		out.Earlier = append(out.Earlier, earlier)
	}
	for i := range r.Canaries {
		out.Canaries = append(out.Canaries, canaryToWire(&r.Canaries[i]))
	}
	return out
}

func canaryToWire(c *ledger.Rehearsed) wire.Canary {
	out := wire.Canary{Kind: c.Kind, Name: c.Name, Resource: c.Resource}
	for _, s := range c.Steps {
		out.Steps = append(out.Steps, wire.RehearsalStep{Step: s.Step, Result: string(s.Result), Status: s.Status, Detail: s.Detail})
	}
	if c.Remains != nil {
		left := remainsToWire(*c.Remains)
		out.Remains = &left
	}
	return out
}

func remainsToWire(r ledger.Remains) wire.Remains {
	return wire.Remains{EntryID: r.EntryID.String(), Resource: r.Resource, Why: r.Why, Request: requestToWire(r.Request)}
}
