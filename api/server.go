package api

import (
	"bytes"
	"context"
	"log/slog"

	"github.com/google/uuid"
	"github.com/prometheus/common/expfmt"

	"sideledger/api/wire"
	"sideledger/ledger"
)

func (a *API) listSystems(ctx context.Context, in *call) (answer, error) {
	out := wire.SystemList{Items: []wire.System{}}
	warnings := map[string]string{}
	if text := in.query.Get("window"); text != "" {
		id, err := uuid.Parse(text)
		if err != nil {
			return answer{}, ledger.Invalid("window", "want the id of a window")
		}
		if warnings, err = a.ledger.CredentialWarnings(ctx, id); err != nil {
			return answer{}, err
		}
	}
	for _, s := range a.ledger.SystemList() {
		out.Items = append(out.Items, wire.System{
			Name: s.Name, Remediator: s.Remediator, Profile: s.Profile, URL: s.URL, Effects: list(s.Effects), Disabled: s.Disabled,
			Retry:   wire.Retry{Base: duration(s.Backoff.Base), Cap: duration(s.Backoff.Cap), Attempts: s.Attempts},
			Breaker: s.Breaker, OpenUntil: maybeTime(s.OpenUntil), Parked: s.Parked,
			Credential: credentialToWire(s.Credential, warnings[s.Name]),
		})
	}
	return answer{body: out, hashed: true}, nil
}

func credentialToWire(c *ledger.Credential, warning string) *wire.Credential {
	if c == nil {
		return nil
	}
	return &wire.Credential{State: string(c.State), ExpiresAt: maybeTime(c.ExpiresAt), CheckedAt: c.CheckedAt.UTC(), Detail: c.Detail, Warning: warning}
}

func (a *API) live(context.Context, *call) (answer, error) {
	return answer{body: wire.Status{Status: "ok"}}, nil
}

func (a *API) ready(ctx context.Context, _ *call) (answer, error) {
	select {
	case <-a.stop:
		return answer{}, &ledger.Error{Code: ledger.CodeUnavailable, Op: "check readiness", Msg: "the server is stopping"}
	default:
	}
	switch err := a.ReadyFunc(ctx); {
	case ledger.CodeOf(err) == ledger.CodeFull:
		return answer{body: wire.Status{Status: "full", Durability: string(a.durability())}}, nil // whoever asks must still reach it, to roll back
	case err != nil:
		a.log.WarnContext(ctx, "not ready", slog.String("err", err.Error()))
		return answer{}, &ledger.Error{Code: ledger.CodeUnavailable, Op: "check readiness", Msg: "the server is not ready; its log says why"}
	}
	if safe := a.safe(); safe != nil {
		return answer{}, safe.Err("check readiness")
	}
	return answer{body: wire.Status{Status: "ok", Durability: string(a.durability()), Warnings: a.warnings()}}, nil
}

func (a *API) version(context.Context, *call) (answer, error) {
	return answer{body: wire.Version{Version: a.Version}}, nil
}

func (a *API) openapi(context.Context, *call) (answer, error) {
	return answer{body: file{"application/json", a.spec.json}, hashed: true}, nil
}

func (a *API) showDocs(context.Context, *call) (answer, error) {
	return answer{
		body:   file{"text/html; charset=utf-8", a.docs.html},
		hashed: true,
		header: map[string]string{"Content-Security-Policy": a.docs.policy},
	}, nil
}

// showMetrics writes the metrics in Prometheus' text format.
func (a *API) showMetrics(context.Context, *call) (answer, error) {
	families, err := a.Metrics.Gather()
	if err != nil {
		return answer{}, err
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	var b bytes.Buffer
	enc := expfmt.NewEncoder(&b, format)
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return answer{}, err
		}
	}
	return answer{body: file{string(format), b.Bytes()}}, nil
}
