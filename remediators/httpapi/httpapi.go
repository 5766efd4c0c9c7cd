package httpapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Kind is the kind whose entries carry their own recipe.
const Kind = "http.request"

// A Remediator serves http.request and the kinds of at most one profile at one system.
type Remediator struct {
	client  *remediators.Client
	profile *profile // nil: none
	clock   ledger.Clock
	held    *remediators.HeldConfig // nil: nobody asks
	secrets map[string]string       // references, by name
	getenv  func(string) string
	last    atomic.Pointer[parsed]
}

// Factory makes the remediator of a system with remediator: http. It implements [remediators.Factory].
func Factory(b remediators.Binding) (ledger.Remediator, error) {
	if b.Client == nil {
		return nil, remediators.Fieldf("url", "is missing: where the third party answers")
	}
	if len(b.Config.Commands) > 0 {
		return nil, remediators.Fieldf("commands", "belong to remediator: command")
	}
	r := &Remediator{client: b.Client, clock: b.Clock, held: b.Config.Guard.Held, secrets: b.Config.Secrets, getenv: b.Getenv}
	if r.held != nil {
		if _, ok := parsePointer(r.held.Pointer); !ok {
			return nil, remediators.Fieldf("guard.held.pointer", "is no JSON pointer: \"\" or \"/items\"")
		}
	}
	if b.Config.Profile != "" {
		p, err := loadProfile(b.Config.Profile)
		if err != nil {
			return nil, remediators.Fieldf("profile", "%s", err.Error())
		}
		r.profile = p
	}
	return r, nil
}

// Kinds implements [ledger.Remediator].
func (r *Remediator) Kinds() []string {
	kinds := []string{Kind}
	if r.profile != nil {
		kinds = append(kinds, slices.Sorted(maps.Keys(r.profile.kinds))...)
	}
	return kinds
}

// A prepared is a draft with its recipe and what its kind says of it.
type prepared struct {
	recipe   *recipe
	kind     *profileKind // nil for http.request
	variant  *variant     // of kind, chosen by action and resource; nil: none fits
	warnings []string
}

// prepare merges the entry's own fields over its profile's and reads them.
func (r *Remediator) prepare(d *ledger.Draft) (*prepared, error) {
	return r.prepareBy(documents.parse, d)
}

// prepareEntry is prepare for an entry, whose recipe is asked for several times.
func (r *Remediator) prepareEntry(e *ledger.Entry) (*prepared, error) {
	if e.Lender != nil || len(e.Secret)+len(e.Encrypted) > 0 { // it has plain values of secret fields, which are not kept
		return r.prepare(&e.Draft)
	}
	return r.prepareBy(r.parse, &e.Draft)
}

func (r *Remediator) prepareBy(parseFunc func(documents, ledger.Action) (*recipe, error), d *ledger.Draft) (*prepared, error) {
	docs := documents{read: d.Read, undo: d.Undo, guard: d.Guard, async: d.Async, verify: d.Verify}
	out := &prepared{}
	if d.Kind != Kind {
		if r.profile == nil || r.profile.kinds[d.Kind] == nil {
			return nil, ledger.Invalid("/kind", "is not served by this system; it serves %s", strings.Join(r.Kinds(), ", "))
		}
		out.kind = r.profile.kinds[d.Kind]
		out.variant = out.kind.pick(d)
		docs = docs.over(out.kind.documents(out.variant))
	}
	rec, err := parseFunc(docs, d.Action)
	if err != nil {
		return nil, err
	}
	out.recipe = rec
	if !rec.keepsSecrets(out.kind == nil || given(d.Undo)) {
		return nil, ledger.Invalid("/undo", "%s", errSecretPlace.Error())
	}
	rec.once = out.variant != nil && out.variant.Once && !given(d.Undo)
	rec.scope = ledger.Scope{Owned: d.Owned, Masked: d.Masked, Volatile: d.Volatile, Unordered: d.Unordered}
	if k := out.kind; k != nil {
		if len(rec.scope.Owned) == 0 {
			rec.scope.Owned = k.Owned
		}
		rec.scope.Masked = union(rec.scope.Masked, k.Masked)
		rec.scope.Volatile = union(rec.scope.Volatile, k.Volatile)
		rec.scope.Unordered = union(rec.scope.Unordered, k.Unordered)
	}
	// A value that shows as a mask tells nothing, whoever said so: two masks that are alike may hide what was changed.
	for _, i := range []ledger.Image{d.Before, d.After} {
		rec.scope.Masked = union(rec.scope.Masked, remediators.FindMasks(i.JSON, ""))
	}
	return out, nil
}

// A parsed is a recipe as its documents say it.
type parsed struct {
	docs   documents
	action ledger.Action
	recipe recipe
}

// parse is [documents.parse], and keeps the last recipe. What it returns is shared but for its own fields.
func (r *Remediator) parse(docs documents, action ledger.Action) (*recipe, error) {
	last := r.last.Load()
	if last == nil || last.action != action || !last.docs.equal(docs) {
		rec, err := docs.parse(action)
		if err != nil {
			return nil, err
		}
		last = &parsed{docs, action, *rec}
		r.last.Store(last)
	}
	rec := last.recipe
	return &rec, nil
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// Check implements [ledger.Remediator].
func (r *Remediator) Check(d *ledger.Draft) (ledger.Grading, error) {
	for field, list := range map[string][]string{"/owned": d.Owned, "/masked": d.Masked, "/volatile": d.Volatile, "/unordered": d.Unordered} {
		for _, s := range list {
			if _, ok := parsePointer(s); !ok {
				return ledger.Grading{}, ledger.Invalid(field, "has a line that is no JSON pointer: \"\" or \"/member/0\"")
			}
		}
	}
	p, err := r.prepare(d)
	if err != nil {
		return ledger.Grading{}, err
	}
	if p.kind != nil {
		if err := p.kind.checkResource(d); err != nil {
			return ledger.Grading{}, err
		}
	}
	if err := p.checkRenamed(d); err != nil {
		return ledger.Grading{}, err
	}
	g := ledger.Grading{Reversible: p.grade(d), CanLook: p.recipe.read != nil, ResourceKey: p.key(d)}
	if g.Denied, err = r.checkReferences(d, p); err != nil {
		return ledger.Grading{}, err
	}
	g.Warnings = append(p.warn(d, g), p.warnings...)
	if why := r.client.Warning(); why != "" {
		g.Warnings = append(g.Warnings, why)
	}
	return g, nil
}

// grade says how completely the recipe takes the entry back.
func (p *prepared) grade(d *ledger.Draft) ledger.Reversibility {
	switch {
	case p.recipe.undo == nil:
		return ledger.ReversibleNone
	case p.variant != nil && p.variant.Reversible != "" && !given(d.Undo):
		return p.variant.Reversible
	case len(p.recipe.undo.renamed) > 0 || len(p.recipe.undo.tell) > 0:
		return ledger.ReversibleCompensating
	case d.Action == ledger.ActionDelete && p.recipe.undo.method == "POST":
		return ledger.ReversibleEquivalent // made again, most likely under a new id
	default:
		return ledger.ReversibleExact
	}
}

// key names the resource by the members that the profile says; "null" while one of them is missing.
func (p *prepared) key(d *ledger.Draft) json.RawMessage {
	if p.kind == nil || len(p.kind.Resource.Key) == 0 {
		return nil
	}
	out := []byte("{")
	for i, name := range p.kind.Resource.Key {
		v, ok := at(d.Resource, []string{name})
		if !ok || string(v) == "null" {
			return json.RawMessage("null")
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(name)...), ':'), keyText(v)...)
	}
	return append(out, '}')
}

// keyText is a member as it stands in a key: a whole number in one spelling, whether a third party's answer brought it as
// a number or the path of a call as text.
func keyText(v json.RawMessage) json.RawMessage {
	s, _ := text(v)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(n, 10) == s {
		return json.RawMessage(s)
	}
	return v
}

// lacks says why there is no undo.
func (p *prepared) lacks(d *ledger.Draft) string {
	switch {
	case p.kind != nil && p.kind.choose(d.Action, d.Resource) != nil:
		return p.kind.unfit(d)
	case p.kind != nil && !p.kind.complete(d.Resource, d.Action):
		return "the resource lacks " + p.kind.lacks(d.Resource, d.Action)
	default:
		return "there is no undo"
	}
}

func (p *prepared) warn(d *ledger.Draft, g ledger.Grading) []string {
	var out []string
	if p.recipe.undo == nil {
		out = append(out, "nothing takes this back: "+p.lacks(d))
	}
	if !g.CanLook {
		out = append(out, "it cannot be read back: there is no read; an undo can be accepted, never verified")
	} else if p.recipe.read.proof == nil && p.recipe.read.list == nil && (d.Action != ledger.ActionUpdate) {
		out = append(out, "a 404 proves nothing without read.gone_proof")
	}
	if p.variant != nil && !given(d.Undo) {
		out = append(out, p.variant.Warnings...)
		out = append(out, p.variant.effects()...)
	}
	return out
}
