package etcd

import (
	"encoding/json"
	"net/http"
	"strings"

	"sideledger/ledger"
)

// putPath is where the gateway writes a key.
const putPath = "/v3/kv/put"

// Rehearse implements [ledger.Rehearser]: a key of its own, beside the one that the place names, since permissions go by
// prefix.
func (r *Remediator) Rehearse(_, name string, place json.RawMessage) ledger.Canary {
	key := name
	if beside, err := parseKey(place); err == nil {
		key = beside[:strings.LastIndex(beside, "/")+1] + name
	}
	return ledger.Canary{Resource: named(key), CallFunc: func(a ledger.Action, _ json.RawMessage) (ledger.EffectCall, error) {
		value := "made by a rehearsal"
		if a == ledger.ActionUpdate {
			value = "changed by a rehearsal"
		}
		body, err := json.Marshal(map[string]any{"key": []byte(key), "value": []byte(value)})
		return ledger.EffectCall{Method: http.MethodPost, Path: putPath, Header: map[string]string{"Content-Type": "application/json"}, Body: body}, err
	}}
}

var _ ledger.Rehearser = (*Remediator)(nil)
