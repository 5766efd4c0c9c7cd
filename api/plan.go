package api

import (
	"context"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// planWindow streams a plan: each step as soon as it is known, and after the last one what is known only
// then. A plan that fails in the middle ends in the middle. It has no ETag: it tells what third parties show
// at that moment, and whoever asks again wants them to be asked again. Its fingerprint is what a rollback takes.
func (a *API) planWindow(ctx context.Context, in *call, w *pieces) error {
	q := in.query
	sel, err := a.ledger.Select(ctx, in.id, ledger.SelectRequest{
		Only: q.Values["only"], Exclude: q.Values["exclude"], ToEntry: q.Get("to_entry"), ToTag: q.Get("to_tag"),
	})
	if err != nil {
		return err
	}
	plan := a.ledger.Plan
	if q.Get("restore_snapshot") == "true" {
		plan = a.ledger.PlanRestore
	}
	w.begin("application/json", `{"window_id":"`+in.id.String()+`","steps":[`)
	separator := ""
	sum, err := plan(ctx, in.id, sel, func(s ledger.Step) error {
		body, err := encodeBody(stepToWire(s))
		if err != nil {
			return err
		}
		w.add(separator)
		separator = ","
		return w.send(body)
	})
	if err != nil {
		return err
	}
	end := struct {
		Counts      map[string]int `json:"counts"`
		ComputedAt  string         `json:"computed_at"`
		Fingerprint string         `json:"fingerprint"`
	}{Counts: map[string]int{}, ComputedAt: sum.ComputedAt.UTC().Format("2006-01-02T15:04:05.999999Z07:00"), Fingerprint: sum.Fingerprint}
	for verdict, n := range sum.Counts {
		end.Counts[string(verdict)] = n
	}
	tail, err := encodeBody(end)
	if err != nil {
		return err
	}
	w.add("],")
	if err := w.send(tail[1:]); err != nil {
		return err
	}
	return w.flush()
}

func stepToWire(s ledger.Step) wire.PlanStep {
	out := wire.PlanStep{
		EntryID: s.Entry.ID.String(), Seq: s.Entry.Seq, System: s.Entry.System, Kind: s.Entry.Kind, Resource: s.Entry.Resource,
		Verdict: string(s.Verdict), Detail: s.Detail, Now: s.Now.JSON, NowDigest: s.Digest, Next: s.Next(), Waits: s.Waits,
		Restore: s.Entry.Restore, BeforeRestore: s.Entry.BeforeRestore,
	}
	if o := s.Overlap; o != nil {
		out.Overlap = &wire.Overlap{
			WindowID: o.WindowID.String(), Window: o.Window, EntryID: o.EntryID.String(), Seq: o.Seq, State: string(o.Entry), Waits: o.Wait,
		}
	}
	out.Request = requestToWire(s.Request)
	return out
}

// requestToWire returns nil where nothing would be sent.
func requestToWire(r ledger.Request) *wire.PlanRequest {
	if r.Method == "" && r.Summary == "" {
		return nil
	}
	out := &wire.PlanRequest{
		Method: r.Method, URL: r.URL, Headers: r.Header, Body: r.Body, Summary: r.Summary, Repeatable: r.Repeatable,
	}
	if r.Header == nil {
		out.Headers = map[string]string{}
	}
	if slot := r.Credential; slot.Variable != "" {
		out.Credential = &wire.CredentialSlot{Variable: slot.Variable, Header: slot.Header, Prefix: slot.Prefix}
	}
	for _, slot := range r.More {
		out.More = append(out.More, wire.CredentialSlot{Variable: slot.Variable, Header: slot.Header, Prefix: slot.Prefix})
	}
	return out
}

// verifyWindow compares every closed or applied entry with its recorded state.
func (a *API) verifyWindow(ctx context.Context, in *call, _ *struct{}) ([]ledger.Checked, error) {
	return a.ledger.Verify(ctx, in.id)
}

func verified(list []ledger.Checked) answer {
	out := wire.VerifyResult{Items: make([]wire.Verified, 0, len(list))}
	for _, c := range list {
		out.Items = append(out.Items, wire.Verified{EntryID: c.EntryID.String(), Seq: c.Seq, Verdict: c.Verdict, Detail: c.Detail})
	}
	return answer{body: out}
}
