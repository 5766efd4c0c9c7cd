package httpapi

import (
	"errors"
	"net/http"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A request is one call that a recipe makes, with the place where it is posted.
type request struct {
	field   string // "/undo"
	what    string // for people
	method  string
	where   location
	headers []header
}

// requests lists the calls of the recipe whose address stands in it; the address of a Location header is
// checked when it is called, like all others.
func (rec *recipe) requests() []request {
	var out []request
	if u := rec.undo; u != nil {
		out = append(out, request{"/undo", "the undo", u.method, u.where, u.headers})
	}
	if rd := rec.read; rd != nil {
		out = append(out, request{"/read", "the read", http.MethodGet, rd.where, rd.headers})
		if rd.proof != nil {
			out = append(out, request{"/read/gone_proof", "the gone_proof", http.MethodGet, rd.proof.where, rd.headers})
		}
	}
	if a := rec.async; a != nil && a.where != nil {
		out = append(out, request{"/async/poll", "the poll", http.MethodGet, *a.where, nil})
	}
	return out
}

// checkAllowed holds every request of the recipe to what the system allows, as far as it is known before
// anything was looked at. What will certainly be blocked is a warning, and a [ledger.Denial].
func (r *Remediator) checkAllowed(d *ledger.Draft, p *prepared, v values) []ledger.Denial {
	var out []ledger.Denial
	for _, q := range p.recipe.requests() {
		err := r.blocked(q, v)
		if err == nil {
			continue
		}
		p.warnings = append(p.warnings, q.what+" will be blocked: "+detail(err))
		field := q.field + "/path"
		if p.kind != nil && !p.own(d, q.field) {
			field = "/resource" // the request is the profile's; where it goes is the entry's
		}
		out = append(out, ledger.Denial{Field: field, Msg: q.what + " would never be sent: " + detail(err) +
			"; name a request that the system's configuration allows, or have an administrator extend systems." + d.System + ".allow"})
	}
	return out
}

// blocked says why a request will certainly not be sent; nil: it may be.
func (r *Remediator) blocked(q request, v values) error {
	pieces := q.where.path.pieces(v)
	if len(pieces) > 1 {
		return r.client.Excludes(q.method, pieces)
	}
	call := remediators.Call{Method: q.method, Path: pieces[0], Header: map[string]string{}}
	if query, err := q.where.query.render(v, asQuery); err == nil {
		call.Query = query
	}
	for _, h := range q.headers {
		if value, err := h.value.render(v, asText); err == nil {
			call.Header[h.name] = value
		}
	}
	return r.client.Permits(call)
}

// pieces renders a path up to what is not known yet: the known texts, with something between them.
func (t tmpl) pieces(v values) []string {
	out := []string{""}
	for _, p := range t {
		s, err := tmpl{p}.render(v, asSegment)
		last := &out[len(out)-1]
		switch {
		case err == nil && p.ref != nil && p.ref.multi:
			*last = strings.TrimSuffix(*last, "/") + s
		case err == nil:
			*last += s
		case errors.Is(err, errUnknown), errors.Is(err, errMissing):
			if p.ref.multi {
				*last = strings.TrimSuffix(*last, "/")
			}
			out = append(out, "")
		default:
			out = append(out, "") // refused elsewhere
		}
	}
	return out
}
