package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// A part is one document of a draft.
type part struct {
	name  string // of the member: "before"
	raw   *json.RawMessage
	image bool
}

// parts are the documents that may have secret fields.
func (d *Draft) parts() []part {
	return []part{
		{"before", &d.Before.JSON, true},
		{"after", &d.After.JSON, true},
		{"undo", &d.Undo, false},
		{"read", &d.Read, false},
		{"guard", &d.Guard, false},
		{"async", &d.Async, false},
		{"verify", &d.Verify, false},
	}
}

// hidden are the places of a draft's secret fields.
type hidden struct {
	images  []pattern // below an image
	recipes []pattern // from the root of the entry, in its recipes
}

// placesOf reads a list of secret pointers. Each one names a place below the images, as owned and masked do;
// one that begins with /before or /after, the same place counted from the root of the entry; and one that
// begins with the name of a recipe, a place in that recipe besides.
func placesOf(pointers ...[]string) hidden {
	var h hidden
	for _, p := range slices.Concat(pointers...) {
		t := steps(p)
		h.images = append(h.images, t)
		if len(t) == 0 {
			continue
		}
		switch t[0] {
		case "before", "after":
			h.images = append(h.images, t[1:])
		case "undo", "read", "guard", "async", "verify":
			h.recipes = append(h.recipes, t)
		}
	}
	return h
}

// has reports whether a place of a part is secret. path counts from the part.
func (h hidden) has(p part, path []token) bool {
	if p.image {
		return slices.ContainsFunc(h.images, func(q pattern) bool { return q.names(path) })
	}
	full := append([]token{{name: p.name}}, path...)
	return slices.ContainsFunc(h.recipes, func(q pattern) bool { return q.names(full) })
}

// covers is has for a place in the part or around it.
func (h hidden) covers(p part, path []token) bool {
	return p.image && slices.ContainsFunc(h.images, func(q pattern) bool { return q.covers(path) })
}

// learn takes in the secret values of a draft that is in plain.
func (k *known) learn(c Cipher, d *Draft, h hidden) error {
	for _, p := range d.parts() {
		if !p.secretIn() {
			continue
		}
		r := rewriter{
			wants: func(path []token, rest []byte) bool { return h.has(p, path) && !beginsMarker(rest) },
			put: func(_ []token, value json.RawMessage) (json.RawMessage, error) {
				k.add(c, value)
				return value, nil
			},
		}
		if _, err := r.rewrite(*p.raw); err != nil {
			return err
		}
	}
	return nil
}

// secretIn reports whether the part is there: absence of a resource is no value.
func (p part) secretIn() bool { return len(*p.raw) > 0 && string(*p.raw) != "null" }

// hide encrypts the values of a draft's secret fields and puts fingerprints in their places, also where such
// a value stands unmarked: in a recipe, elsewhere in an image. The draft is in plain before and hidden
// afterwards. alias is the name that the effect gave its resource; empty: none. Codes: invalid.
func (l *Ledger) hide(d *Draft, alias json.RawMessage) (warnings []string, err error) {
	if len(d.Secret) == 0 {
		return nil, nil
	}
	if len(d.DataKey) == 0 {
		if d.DataKey, err = l.cipher.NewDataKey(d.ID); err != nil {
			return nil, err
		}
	}
	var k known
	if err := k.learn(l.cipher, d, placesOf(d.Secret)); err != nil {
		return nil, err
	}
	also, err := k.spread(d)
	if err != nil {
		return nil, err
	}
	if err := k.checkNames(d.Resource, alias); err != nil {
		return nil, err
	}
	d.Tag, d.Note, d.Source = k.hide(d.Tag), k.hide(d.Note), k.hide(d.Source)
	hits := map[string]bool{}
	if err := l.encrypt(d, &k, hits); err != nil {
		return nil, err
	}
	for _, p := range also {
		warnings = append(warnings, "the value of a secret field stands in "+p+" of the images too: it is kept secret there as well")
	}
	return append(warnings, idle(d, hits)...), nil
}

// spread adds places of the images to d.Secret at which a secret value stands unmarked, since the same places
// have to be hidden in both images and in what the third party shows, or they could not be compared.
func (k *known) spread(d *Draft) (also []string, err error) {
	h := placesOf(d.Secret)
	for _, p := range d.parts() {
		if !p.image || !p.secretIn() {
			continue
		}
		r := rewriter{wants: func(path []token, rest []byte) bool {
			if at := pointerOf(path); k.holds(rest) && !h.covers(p, path) && !slices.Contains(also, at) {
				also = append(also, at)
			}
			return false
		}}
		if _, err := r.rewrite(*p.raw); err != nil {
			return nil, err
		}
	}
	d.Secret = append(slices.Clone(d.Secret), also...)
	return also, nil
}

// encrypt replaces every secret value of the draft. hits are the pointers of d.Secret that named something.
func (l *Ledger) encrypt(d *Draft, k *known, hits map[string]bool) error {
	places := placesOf(d.Secret)
	d.Encrypted = nil
	for _, p := range d.parts() {
		if !p.secretIn() {
			continue
		}
		r := rewriter{
			wants: func(path []token, rest []byte) bool { return places.has(p, path) || !p.image && k.holds(rest) },
			put: func(path []token, value json.RawMessage) (json.RawMessage, error) {
				hits[p.name+pointerOf(path)] = true
				field := "/" + p.name + pointerOf(path)
				sealed, err := l.cipher.Encrypt(Field{Entry: d.ID, Name: field, DataKey: d.DataKey}, NewSecret(string(value)))
				if err != nil {
					return nil, err
				}
				d.Encrypted = append(d.Encrypted, Encrypted{Field: field, Text: sealed})
				fp, err := fingerprintRaw(l.cipher, value)
				return marker(fp), err
			},
		}
		hiddenPart, err := r.rewrite(*p.raw)
		if err != nil {
			return err
		}
		*p.raw = hiddenPart
	}
	return nil
}

// idle warns of secret pointers that name nothing, once everything is known that they could name.
func idle(d *Draft, hits map[string]bool) []string {
	if !d.Before.Known() || !d.After.Known() {
		return nil
	}
	var out []string
	for _, s := range d.Secret {
		one := placesOf([]string{s})
		named := false
		for hit := range hits {
			name, rest, _ := strings.Cut(hit, "/")
			path := pathOf("/" + rest)
			if rest == "" {
				path = nil
			}
			named = named || one.has(part{name: name, image: name == "before" || name == "after"}, path)
		}
		if !named {
			out = append(out, fmt.Sprintf("secret %s names nothing in this entry", s))
		}
	}
	return out
}

// pathOf reads a pointer as a path; numbers count as elements.
func pathOf(p string) []token {
	var out []token
	for _, s := range steps(p) {
		out = append(out, token{name: s, element: s != "" && strings.Trim(s, "0123456789") == ""})
	}
	return out
}

// checkSecrets holds the secret pointers to what can be kept, and refuses fingerprints in place of values.
// checkPointers has seen them.
func checkSecrets(d *Draft) error {
	for _, p := range append(d.parts(), part{name: "resource", raw: &d.Resource}) {
		if at, found := hasMarker(*p.raw); found {
			return Invalid("/"+p.name+at, "is the fingerprint of a secret, not its value; say the value itself")
		}
	}
	below := slices.Concat(d.Volatile, d.Masked, d.Unordered)
	for i, s := range d.Secret {
		field := fmt.Sprintf("/secret/%d", i)
		if slices.ContainsFunc(below, func(p string) bool { return p != s && under(p, s) }) {
			return Invalid(field, "stands above a pointer of volatile, masked or unordered; name the secret fields below it")
		}
		if rest, ok := strings.CutPrefix(s, "/resource"); ok && (rest == "" || rest[0] == '/') && resourceHas(d.Resource, rest) {
			return Invalid(field, "names a part of the resource, which stands in the open: a resource names itself by something else")
		}
	}
	if member, i := d.secretName(); i >= 0 {
		return NameIsSecret(i, member)
	}
	return nil
}

func resourceHas(resource json.RawMessage, pointer string) bool {
	v, err := decode(resource)
	if err != nil {
		return false
	}
	_, ok := lookup(v, pointer)
	return ok
}

// hideReport hides what a report brings to an entry with secret fields: full is the entry with its resource
// completed, hidden as it is stored. A second report that says the same comes out the same.
func (l *Ledger) hideReport(full *Entry, c *completion) error {
	said := c.after.Known() || len(c.resource) > 0
	if len(full.Secret) == 0 || !said && len(c.alias) == 0 {
		return nil
	}
	if member, i := full.secretName(); i >= 0 {
		return Invalid("/resource"+pointerTo(member), "is marked secret by the entry; a resource names itself in the open, by something else")
	}
	p, err := l.openStored("report applied", full)
	if err != nil {
		return err
	}
	d := p.entry.Draft
	if c.after.Known() {
		d.After = c.after
	}
	warnings, err := l.hide(&d, c.alias)
	if err != nil || !said {
		return err // without what stays as it is
	}
	c.hidden, c.warnings = &d, append(c.warnings, warnings...)
	if c.after.Known() {
		c.after = d.After
	}
	return nil
}

// openStored opens a stored entry whose values are to be encrypted anew; nil: it has no secret fields. Codes: unavailable.
func (l *Ledger) openStored(op string, e *Entry) (*opened, error) {
	o := opener{cipher: l.cipher}
	p, err := o.open(e)
	if err == nil && p != nil && len(e.DataKey) == 0 { // another one would be kept nowhere
		err = errors.New("its data key is not in this ledger, which was made again without it")
	}
	if err != nil {
		return nil, &Error{Code: CodeUnavailable, Op: op, ID: e.ID.String(), Msg: "its secret fields cannot be opened with the keys of this server", Err: err}
	}
	return p, nil
}

// underID returns a stored draft under another id. Its secret values are encrypted anew, as they are bound to the
// entry that they stand in.
func (l *Ledger) underID(d Draft, id uuid.UUID) (Draft, error) {
	p, err := l.openStored("record again", &Entry{Draft: d})
	if err != nil {
		return d, err
	}
	if p == nil {
		d.ID = id
		return d, nil
	}
	again := p.entry.Draft
	again.ID, again.DataKey = id, nil
	_, err = l.hide(&again, nil)
	return again, err
}
