package httpapi

import (
	"errors"
	"strings"

	"sideledger/ledger"
)

// A probing is one place of a recipe that holds references.
type probing struct {
	field     string // as posted
	probeFunc func(v values) (root string, err error)
}

// probings lists every place of the recipe that is rendered before or without a look.
func (rec *recipe) probings() []probing {
	var out []probing
	headers := func(field string, hs []header) {
		for _, h := range hs {
			out = append(out, probing{field + "/" + escapeToken(h.posted), func(v values) (string, error) { return h.value.probe(v, asText) }})
		}
	}
	if rd := rec.read; rd != nil {
		out = append(out, probing{"/read/path", rd.where.probe})
		headers("/read/headers", rd.headers)
		if rd.proof != nil {
			out = append(out, probing{"/read/gone_proof/path", rd.proof.where.probe})
		}
		if rd.list != nil {
			out = append(out, probing{"/read/match/equals", rd.list.equals.probe})
		}
	}
	if u := rec.undo; u != nil {
		out = append(out, probing{"/undo/path", u.where.probe})
		headers("/undo/headers", u.headers)
		out = append(out, probing{"/undo/body", u.body.probe})
	}
	return out
}

// checkReferences renders what can be rendered before anything was looked at. What is not known yet is
// left for later; what can never be found is CodeInvalid. It returns what will certainly not be sent.
func (r *Remediator) checkReferences(d *ledger.Draft, p *prepared) ([]ledger.Denial, error) {
	v := values{resource: d.Resource, before: d.Before.JSON, after: d.After.JSON, id: d.ID.String(), owned: d.Owned, secretFunc: r.probeSecret}
	for _, place := range p.recipe.probings() {
		root, err := place.probeFunc(v)
		if err == nil || errors.Is(err, errUnknown) {
			continue
		}
		if secret := (*secretError)(nil); errors.As(err, &secret) {
			p.warnings = append(p.warnings, "the undo will be blocked: "+secret.why)
			continue
		}
		if errors.Is(err, errMissing) && d.State == ledger.EntryIntended && (root == "resource" || root == "after") {
			p.warnings = append(p.warnings, place.field[1:]+" refers to what /applied has to bring")
			continue
		}
		if p.kind != nil && !p.own(d, place.field) {
			place.field = "/" + root // the reference is the profile's; what it reads is the entry's
		}
		return nil, ledger.Invalid(place.field, "%s", err.Error())
	}
	denied := r.checkAllowed(d, p, v)
	r.checkMasked(d, p, v)
	return denied, nil
}

// own reports whether a field of the recipe was posted with the entry.
func (p *prepared) own(d *ledger.Draft, field string) bool {
	switch {
	case strings.HasPrefix(field, "/undo"):
		return given(d.Undo)
	case strings.HasPrefix(field, "/async"):
		return given(d.Async)
	}
	return given(d.Read)
}

// checkMasked builds the body of the undo as far as it can be built offline, to say at once that a masked
// value will keep it from being sent.
func (r *Remediator) checkMasked(d *ledger.Draft, p *prepared, v values) {
	if p.recipe.undo == nil {
		return
	}
	sent, err := p.recipe.undo.body.render(v)
	if err != nil {
		return // it needs what only a look brings
	}
	if err := p.recipe.checkMasks(d.Masked, sent, sight{before: d.Before, after: d.After}); err != nil {
		p.warnings = append(p.warnings, "the undo will be blocked: "+detail(err))
	}
}

// detail is the sentence of a [ledger.CallError].
func detail(err error) string {
	var call *ledger.CallError
	if errors.As(err, &call) {
		return call.Detail
	}
	return err.Error()
}
