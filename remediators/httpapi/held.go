package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"sideledger/remediators"
)

// Held implements [ledger.Counter]: the members of the list or object that guard.held of the configuration names.
func (r *Remediator) Held(ctx context.Context) (n int, known bool, err error) {
	if r.held == nil {
		return 0, false, nil
	}
	reply, err := r.client.Do(ctx, remediators.Call{Method: http.MethodGet, Path: r.held.Path})
	if err != nil {
		return 0, false, err
	}
	if reply.Status != http.StatusOK {
		return 0, false, remediators.Unusable(reply, "guard.held answered "+itoa(reply.Status))
	}
	doc, why := remediators.Document(reply)
	if why != "" {
		return 0, false, remediators.Unusable(reply, why)
	}
	path, _ := parsePointer(r.held.Pointer) // Factory has parsed it
	part, ok := at(doc, path)
	if !ok {
		return 0, false, remediators.Unusable(reply, "the answer has nothing where guard.held says")
	}
	var list []json.RawMessage
	var object map[string]json.RawMessage
	switch {
	case json.Unmarshal(part, &list) == nil:
		return len(list), true, nil
	case json.Unmarshal(part, &object) == nil:
		return len(object), true, nil
	}
	return 0, false, remediators.Unusable(reply, "the answer has no list or object where guard.held says")
}
