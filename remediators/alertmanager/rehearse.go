package alertmanager

import (
	"encoding/json"
	"net/http"
	"time"

	"sideledger/ledger"
)

// Rehearse implements [ledger.Rehearser]: a silence that begins in an hour, for an alert that nobody has.
func (r *Remediator) Rehearse(_, name string, _ json.RawMessage) ledger.Canary {
	start := r.clock().UTC().Add(time.Hour).Truncate(time.Second)
	return ledger.Canary{Resource: json.RawMessage("{}"), CallFunc: func(a ledger.Action, resource json.RawMessage) (ledger.EffectCall, error) {
		body := map[string]any{
			"matchers": []any{map[string]any{"name": "alertname", "value": name, "isRegex": false, "isEqual": true}},
			"startsAt": start, "endsAt": start.Add(time.Minute), "createdBy": "sideledger", "comment": name + ": made by a rehearsal",
		}
		call := ledger.EffectCall{Method: http.MethodPost, Path: silencesPath, Header: map[string]string{"Content-Type": "application/json"}}
		if a == ledger.ActionUpdate {
			body["id"], body["comment"] = idOf(resource), name+": changed by a rehearsal"
		} else {
			call.Names = map[string]string{"id": "/silenceID"}
		}
		var err error
		call.Body, err = json.Marshal(body)
		return call, err
	}}
}

var _ ledger.Rehearser = (*Remediator)(nil)
