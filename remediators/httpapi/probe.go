package httpapi

import "errors"

// A probe renders piece by piece and says which root the first failing reference had. Failures that
// only mean "not known yet" give way to others.

func (t tmpl) probe(v values, escape func(r ref, s string) (string, error)) (root string, err error) {
	for _, p := range t {
		if p.ref == nil {
			continue
		}
		_, e := tmpl{p}.render(v, escape)
		if e != nil && (err == nil || errors.Is(err, errUnknown)) {
			root, err = p.ref.root, e
		}
	}
	return root, err
}

func (l location) probe(v values) (string, error) {
	root, err := l.path.probe(v, asSegment)
	if err != nil && !errors.Is(err, errUnknown) {
		return root, err
	}
	if r, e := l.query.probe(v, asQuery); e != nil {
		return r, e
	}
	return root, err
}

func (b body) probe(v values) (root string, err error) {
	for _, h := range b.holes {
		var (
			r string
			e error
		)
		if len(h.text) == 1 && h.text[0].ref != nil && !h.text[0].ref.multi {
			r = h.text[0].ref.root
			_, e = h.text[0].ref.find(v)
		} else {
			r, e = h.text.probe(v, asText)
		}
		if h.member >= 0 && errors.Is(e, errMissing) {
			continue // the member is left out
		}
		if e != nil && (err == nil || errors.Is(err, errUnknown)) {
			root, err = r, e
		}
	}
	return root, err
}
