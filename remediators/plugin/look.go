package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Look implements [ledger.Remediator].
func (r *Remediator) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	d := r.dialogue(callLook, e, ledger.Look{})
	s, err := r.hold(ctx, d)
	switch {
	case err != nil:
		return ledger.Look{}, plainly(err)
	case s.Error != nil:
		return ledger.Look{}, d.unusable("the plugin says: " + d.detail(s.Error.Message))
	case s.Look.Unknown:
		return ledger.Look{}, nil
	}
	return d.seen(s.Look)
}

// unusable is the error of a look that brought nothing: what the last answer says of it comes first.
func (d *dialogue) unusable(why string) error {
	switch {
	case d.lastErr != nil:
		return d.lastErr
	case d.last != nil:
		return remediators.Unusable(*d.last, why)
	default:
		return remediators.Unusable(remediators.Reply{}, why)
	}
}

// seen makes a look of what a plugin says. Absence is proven only where something was seen with the same credential,
// and nothing at all is believed of a plugin that has asked nobody.
func (d *dialogue) seen(l *lookResult) (ledger.Look, error) {
	if d.last == nil {
		return ledger.Look{}, d.unusable("the plugin says what is there, and has not asked")
	}
	now, err := d.veil.fill(l.Now)
	if err != nil || len(now) == 0 {
		return ledger.Look{}, d.unusable("the plugin says nothing that can be read of what is there")
	}
	absent := string(now) == "null"
	if !absent && !d.good {
		return ledger.Look{}, d.unusable("the plugin says that it is there, and no answer did")
	}
	if d.lastErr != nil && !d.good {
		return ledger.Look{}, d.lastErr
	}
	e := d.veil.entry
	out := ledger.Look{
		Known: true, Now: ledger.Image{JSON: now}, Proven: absent && l.Proven && d.good, Validator: l.Validator,
		Between: l.Between, Lost: d.detail(l.Lost), Alias: alias(l.Alias),
		Scope: ledger.Scope{
			Owned: e.Owned, Masked: slices.Concat(e.Masked, l.Masked), Volatile: slices.Concat(e.Volatile, l.Volatile),
			Unordered: slices.Concat(e.Unordered, l.Unordered),
		},
	}
	if len(e.Owned) == 0 {
		out.Scope.Owned = l.Owned
	}
	return out, nil
}

// alias is the object by which a plugin names a resource anew; nil: none.
func alias(raw json.RawMessage) json.RawMessage {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	return raw
}
