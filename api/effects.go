package api

import (
	"context"
	"net/http"
	"strings"
	"unicode/utf8"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// effectEntry is what is recorded of a call.
func effectEntry(b *wire.EffectEntry) (ledger.Draft, error) {
	return draftOf("/entry", &wire.EntryDraft{
		ID: b.ID, System: b.System, Kind: b.Kind, Action: b.Action, Resource: b.Resource, Before: b.Before,
		Undo: b.Undo, Read: b.Read, Guard: b.Guard, Async: b.Async, Verify: b.Verify,
		PerformWithin: b.PerformWithin, OnRollback: b.OnRollback, DependsOn: b.DependsOn,
		Owned: b.Owned, Masked: b.Masked, Volatile: b.Volatile, Unordered: b.Unordered, Secret: b.Secret,
		Reversible: b.Reversible, Tag: b.Tag, Note: b.Note, Source: b.Source, BeforeRestore: b.BeforeRestore,
	})
}

func effectCall(b *wire.EffectCall) (ledger.EffectCall, error) {
	path, query, _ := strings.Cut(b.Path, "?")
	out := ledger.EffectCall{Method: b.Method, Path: path, Query: query, Header: b.Headers, Body: b.Bytes, Names: b.Names}
	if b.Body != nil {
		if b.Bytes != nil {
			return out, ledger.Invalid("/call/body_base64", "give body or body_base64, not both")
		}
		out.Body = []byte(*b.Body)
	}
	return out, nil
}

func (a *API) makeEffect(ctx context.Context, in *call, b *wire.EffectRequest) (*ledger.Effected, error) {
	d, err := effectEntry(&b.Entry)
	if err != nil {
		return nil, err
	}
	c, err := effectCall(&b.Call)
	if err != nil {
		return nil, err
	}
	out, err := a.ledger.Effect(ctx, in.id, d, c)
	if err == nil && out.Entry != nil && out.Outcome != ledger.EffectReplayed {
		a.metrics.records.WithLabelValues(string(ledger.EntryIntended)).Inc()
	}
	return out, err
}

// shownEffect shows the answer as it came. What is kept of it for the Idempotency-Key may be less.
func (a *API) shownEffect(_ context.Context, _ *call, e *ledger.Effected) (*ledger.Effected, error) {
	return e, nil
}

func effectMade(e *ledger.Effected) answer {
	out := wire.Effect{Outcome: string(e.Outcome), Failure: e.Failure, Detail: e.Detail, Answer: effectAnswerToWire(e.Answer)}
	if e.Entry == nil {
		return answer{body: out}
	}
	entry := entryToWire(e.Entry)
	out.Entry = &entry
	ans := answer{body: out, window: e.Entry.WindowID, head: e.Entry.Journal, header: map[string]string{"Location": "/v1/entries/" + entry.ID}}
	if e.Outcome != ledger.EffectReplayed {
		ans.status = http.StatusCreated
	}
	return ans
}

func effectAnswerToWire(a *ledger.EffectAnswer) *wire.EffectAnswer {
	if a == nil {
		return nil
	}
	out := &wire.EffectAnswer{Status: a.Status, Headers: a.Header, Broken: a.Broken}
	if !utf8.Valid(a.Body) {
		out.Bytes = a.Body
		return out
	}
	text := string(a.Body)
	out.Body = &text
	return out
}

// listEffects says at which addresses calls can be made: whoever sends calls has to know which are a system's.
func (a *API) listEffects(ctx context.Context, in *call) (answer, error) {
	if _, err := a.ledger.Window(ctx, in.id); err != nil {
		return answer{}, err
	}
	out := wire.EffectSystems{Items: []wire.EffectSystem{}}
	for _, s := range a.ledger.SystemList() {
		if s.URL != "" {
			out.Items = append(out.Items, wire.EffectSystem{System: s.Name, URL: s.URL, Effects: list(s.Effects)})
		}
	}
	return answer{body: out, hashed: true}, nil
}
