package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A match is an effect of a profile that fits a call.
type match struct {
	kind    string
	effect  *effect
	members map[string]json.RawMessage // of the resource
}

// Derive implements [remediators.Deriver].
func (r *Remediator) Derive(ctx context.Context, c ledger.EffectCall, d *ledger.Draft) (ledger.Derived, error) {
	m, err := r.match(c, d)
	if m == nil || err != nil {
		return ledger.Derived{}, err
	}
	x := m.effect
	d.Kind = m.kind
	if d.Resource, err = joinResource(d.Resource, m.members); err != nil {
		return ledger.Derived{}, err
	}
	given := d.Action
	if d.Action = x.Action; x.Action == actionSet {
		d.Action = ledger.ActionUpdate
	}
	var now json.RawMessage
	if x.looks() {
		if now, err = r.deriveByLook(ctx, c, x, d); err != nil {
			return ledger.Derived{}, err
		}
	}
	d.After = x.expected(c.Body, now)
	if given != "" && given != d.Action {
		return ledger.Derived{}, ledger.Invalid("/entry/action", "this call is another action, says the system's profile: %s", d.Action)
	}
	out := ledger.Derived{Names: x.Answer, Success: x.Success}
	if x.location != nil {
		out.LocationFunc = func(location string) (json.RawMessage, bool) { return r.located(x.location, location) }
	}
	return out, nil
}

// match finds the effect that fits a call closest; nil: none does. Two kinds that fit as close are the caller's choice.
func (r *Remediator) match(c ledger.EffectCall, d *ledger.Draft) (*match, error) {
	if r.profile == nil {
		return nil, nil //nolint:nilnil // no profile knows no call
	}
	best, tie, lacks := r.profile.closest(c, d.Kind)
	said := d.Kind != "" && d.Action != "" && len(d.Resource) > 0
	switch {
	case tie:
		return nil, ledger.Invalid("/entry/kind", "more than one kind of the system's profile fits this call: say which")
	case best == nil && lacks != "" && !said:
		return nil, ledger.Invalid("/call", "the call cannot be undone as it stands: %s", lacks)
	}
	return best, nil
}

// closest finds the effect that fits a call closest, of one kind or, with no name, of all; nil: none does. tie: another
// kind fits as close. lacks says what a call that would fit lacks.
func (p *profile) closest(c ledger.EffectCall, only string) (best *match, tie bool, lacks string) {
	for _, kind := range slices.Sorted(maps.Keys(p.kinds)) {
		if only != "" && only != kind {
			continue
		}
		m, why := p.kinds[kind].match(kind, c)
		if why != "" {
			lacks = why
		}
		switch {
		case m == nil:
		case best == nil || m.closer(best):
			best, tie = m, false
		case !best.closer(m):
			tie = true
		}
	}
	return best, tie, lacks
}

// match finds the kind's effect that fits a call closest, the first of those that fit as close; nil: none does. why
// says what a call that would fit lacks.
func (k *profileKind) match(kind string, c ledger.EffectCall) (best *match, why string) {
	for _, x := range k.Effects {
		members, fits, lacks := x.resource(c)
		if lacks != "" {
			why = lacks
			continue
		}
		if m := (&match{kind, x, members}); fits && (best == nil || m.closer(best)) {
			best = m
		}
	}
	return best, why
}

// closer reports whether more of the call's path stands in m's pattern than in o's.
func (m *match) closer(o *match) bool { return m.effect.path.literal > o.effect.path.literal }

// joinResource adds what a call says of a resource to what the caller says, which must not differ.
func joinResource(said json.RawMessage, members map[string]json.RawMessage) (json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	if len(said) > 0 && json.Unmarshal(said, &out) != nil {
		return nil, ledger.Invalid("/entry/resource", "want an object")
	}
	for name, v := range members {
		if old, ok := out[name]; ok && string(old) != "null" {
			if !sameText(old, v) {
				return nil, ledger.Invalid("/entry/resource", "names another resource than the call")
			}
			continue // a number stays one, though a path has texts alone
		}
		out[name] = v
	}
	return json.Marshal(out)
}

func sameText(a, b json.RawMessage) bool {
	x, ok1 := text(a)
	y, ok2 := text(b)
	return ok1 && ok2 && x == y
}

// deriveByLook reads the resource for what the call alone does not say: whether it is there, which of its members a
// merge patch changes, and where it stands. It returns what is there.
func (r *Remediator) deriveByLook(ctx context.Context, c ledger.EffectCall, x *effect, d *ledger.Draft) (now json.RawMessage, err error) {
	seen, err := r.Look(ctx, &ledger.Entry{Draft: *d})
	if err != nil {
		return nil, ledger.Unseen("derive entry", d.ID.String(), err, "the resource cannot be read, so the call is not made: %s", detail(err))
	}
	now = seen.Now.JSON
	if x.Action == actionSet && seen.Now.IsAbsent() {
		d.Action = ledger.ActionCreate
	}
	if x.Merge && len(d.Owned) == 0 {
		if d.Owned, err = mergedMembers(c.Body, now); err != nil {
			return nil, err
		}
	}
	return now, r.takePlace(ctx, x, seen.Validator, d)
}

// takePlace adds to the resource what a validator says of where it stands. What is missing then is said by name.
func (r *Remediator) takePlace(ctx context.Context, x *effect, validator string, d *ledger.Draft) (err error) {
	if x.place == nil {
		return nil
	}
	found, ok := x.place.find(validator)
	if !ok {
		return nil
	}
	var more map[string]json.RawMessage
	if err := json.Unmarshal(d.Resource, &more); err != nil {
		return err
	}
	for name, s := range found {
		if _, said := more[name]; !said {
			more[name] = quote(s)
		}
	}
	if _, said := found[x.lastMember()]; said {
		x.Last.forget(ctx, r.client, more)
	}
	d.Resource, err = json.Marshal(more)
	return err
}

// expected is what the resource is once the call has been made, from what the call asks for; not known where that does
// not tell.
func (x *effect) expected(body []byte, now json.RawMessage) ledger.Image {
	if x.after != nil {
		return ledger.Image{JSON: x.after}
	}
	doc, why := remediators.Document(remediators.Reply{Body: body})
	if why != "" || len(body) == 0 || string(doc) == "null" {
		return ledger.Image{}
	}
	switch {
	case x.Append && len(now) > 0 && now[0] == '[':
		return ledger.Image{JSON: appended(now, doc)}
	case x.Whole:
		return ledger.Image{JSON: doc}
	case x.Merge && len(now) > 0 && string(now) != "null":
		return ledger.Image{JSON: mergePatch(now, doc)}
	default:
		return ledger.Image{}
	}
}

// appended returns a list with one more element.
func appended(list, element json.RawMessage) json.RawMessage {
	head := bytes.TrimSuffix(list, []byte("]"))
	if len(head) > 1 {
		head = slices.Concat(head, []byte(","))
	}
	return slices.Concat(head, element, []byte("]"))
}

// mergedMembers lists the members that a merge patch changes, as JSON pointers: down to what is no object in the
// patch, or not there in the resource.
func mergedMembers(patch, now json.RawMessage) ([]string, error) {
	var out []string
	var walk func(at string, patch, now json.RawMessage)
	walk = func(at string, patch, now json.RawMessage) {
		var p, n map[string]json.RawMessage
		if json.Unmarshal(patch, &p) != nil || p == nil || at != "" && (json.Unmarshal(now, &n) != nil || n == nil) {
			out = append(out, at)
			return
		}
		_ = json.Unmarshal(now, &n) // of the whole resource: what is no object has no members
		for _, name := range slices.Sorted(maps.Keys(p)) {
			walk(at+"/"+escapeToken(name), p[name], n[name])
		}
	}
	if walk("", patch, now); len(out) == 0 || out[0] == "" {
		return nil, ledger.Invalid("/call/body", "want a merge patch: a JSON object with what it changes")
	}
	return out, nil
}

// mergePatch applies a merge patch (RFC 7396, section 2).
func mergePatch(now, patch json.RawMessage) json.RawMessage {
	var p, n map[string]json.RawMessage
	if json.Unmarshal(patch, &p) != nil || p == nil {
		return patch
	}
	if json.Unmarshal(now, &n) != nil || n == nil {
		n = map[string]json.RawMessage{}
	}
	for name, v := range p {
		if string(v) == "null" {
			delete(n, name)
			continue
		}
		n[name] = mergePatch(n[name], v)
	}
	return object(n)
}

// located takes the members of the resource out of a Location header, which may be an address or a path.
func (r *Remediator) located(p *placed, location string) (json.RawMessage, bool) {
	path, _, ok := r.client.Relative(location)
	if !ok {
		return nil, false
	}
	found, ok := p.find(path)
	if !ok {
		return nil, false
	}
	members := map[string]json.RawMessage{}
	for name, s := range found {
		members[name] = quote(s)
	}
	raw, err := json.Marshal(members)
	return raw, err == nil
}

// EffectHeaders implements [remediators.Headed].
func (r *Remediator) EffectHeaders() map[string]string {
	if r.profile == nil {
		return nil
	}
	out := map[string]string{}
	for name, value := range r.profile.Headers {
		if s, ok := value.(string); ok { // another is refused when the profile is read
			out[name] = s
		}
	}
	return out
}

var (
	_ remediators.Deriver = (*Remediator)(nil)
	_ remediators.Headed  = (*Remediator)(nil)
)
