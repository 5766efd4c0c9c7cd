package remediators

import (
	"encoding/json"
	"reflect"

	"sideledger/ledger"
)

// Say fills in what a call says of its entry: which resource it changes, and how. What the caller says otherwise is a
// mistake of his, but for the kind: of another kind he says everything himself, and ok is false.
func Say(d *ledger.Draft, kind string, action ledger.Action, resource json.RawMessage) (ok bool, err error) {
	switch {
	case d.Kind != "" && d.Kind != kind:
		return false, nil
	case d.Action != "" && d.Action != action:
		return false, ledger.Invalid("/entry/action", "this call is another action: %s", action)
	case len(d.Resource) > 0 && !sameObject(d.Resource, resource):
		return false, ledger.Invalid("/entry/resource", "names another resource than the call")
	}
	d.Kind, d.Action, d.Resource = kind, action, resource
	return true, nil
}

// sameObject compares two small documents of texts.
func sameObject(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
