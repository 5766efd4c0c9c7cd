package plugin

import (
	"context"
	"encoding/json"
	"errors"

	"sideledger/ledger"
)

// An Example is the entry by which a plugin says how the conformance suite's documents are its own resources.
type Example struct {
	Kind     string          `json:"kind"`
	Resource json.RawMessage `json:"resource"`
}

// Example asks the plugin which kind and resource an entry on the document at a path has, at a third party that keeps
// documents at paths. The error says in words for the plugin's author why there is none.
func (r *Remediator) Example(ctx context.Context, path string) (Example, error) {
	asked, err := encode(map[string]string{"path": path})
	if err != nil {
		return Example{}, err
	}
	var out Example
	err = r.pool.with(ctx, asItIs, func(p *process) error {
		s, err := p.ask(ctx, message{ID: p.id(), Call: callExample, Case: asked})
		switch {
		case err != nil:
			return err
		case s.Example == nil || strict(s.Example, &out) != nil || out.Kind == "" || len(out.Resource) == 0:
			return errors.New("it answers the call example with no {kind, resource}: the suite does not know which resource a path is")
		}
		return nil
	})
	return out, err
}

// Entry makes the applied entry of an example.
func (x Example) Entry(system string, action ledger.Action, before, after ledger.Image) *ledger.Entry {
	return &ledger.Entry{State: ledger.EntryApplied, Draft: ledger.Draft{
		ID: ledger.NewID(), System: system, Kind: x.Kind, Action: action, State: ledger.EntryApplied,
		Resource: x.Resource, Before: before, After: after,
	}}
}
