package remediators

import (
	"encoding/json"
	"slices"
	"strings"

	"sideledger/ledger"
)

// CheckBinding refuses a configuration that a remediator of one third party's API cannot work with: no url, a profile,
// commands. where says for people what the url is: "where etcd answers, without /v3". The error is a [FieldError].
func CheckBinding(b Binding, where string) error {
	switch {
	case b.Client == nil:
		return Fieldf("url", "is missing: %s", where)
	case b.Config.Profile != "":
		return Fieldf("profile", "belongs to remediator: http")
	case len(b.Config.Commands) > 0:
		return Fieldf("commands", "belong to remediator: command")
	}
	return nil
}

// CheckKind refuses a draft of a kind that is not among those served, and one that brings a recipe though its kind has
// its own. The error is CodeInvalid and names the field.
func CheckKind(d *ledger.Draft, served ...string) error {
	if !slices.Contains(served, d.Kind) {
		return ledger.Invalid("/kind", "is not served by this system; it serves %s", strings.Join(served, ", "))
	}
	for _, part := range []struct {
		field string
		raw   json.RawMessage
	}{{"/undo", d.Undo}, {"/read", d.Read}, {"/guard", d.Guard}, {"/async", d.Async}, {"/verify", d.Verify}} {
		if len(part.raw) > 0 && string(part.raw) != "null" {
			return ledger.Invalid(part.field, "leave it out: this kind knows how")
		}
	}
	return nil
}
