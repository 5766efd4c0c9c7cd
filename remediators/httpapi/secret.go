package httpapi

import (
	"encoding/json"
	"errors"
	"slices"

	"sideledger/remediators"
)

// rootSecret is the root of references to secrets that nobody can read back: {{secret.MEMBER}} is the one whose name
// stands in that member of the resource. They stand in the body of a profile's undo only.
const rootSecret = "secret"

var errSecretPlace = errors.New("has a reference to a secret, which stands in the body of a profile's undo only")

// A secretError says that a secret which an undo needs cannot be had. It never holds the secret.
type secretError struct{ why string }

func (e *secretError) Error() string { return e.why }

// secret finds the secret behind a reference. A resource that names none is errMissing: an optional member is then
// left out, and the rule about masks says whether that is right.
func (r ref) secret(v values) (json.RawMessage, error) {
	if len(v.resource) == 0 {
		return nil, errUnknown
	}
	raw, _ := at(v.resource, r.path)
	name, ok := text(raw)
	if !ok {
		return nil, errMissing
	}
	if v.secretFunc == nil {
		return nil, errUnknown
	}
	s, err := v.secretFunc(name)
	if err != nil {
		return nil, err
	}
	return quote(s), nil
}

// reveal resolves the secret of this name, now.
func (r *Remediator) reveal(name string) (string, error) {
	ref, ok := r.secrets[name]
	if !ok {
		return "", &secretError{"secret_missing: the system's configuration has no secrets." + name}
	}
	s, err := remediators.Resolve(ref, r.getenv)
	if err != nil {
		return "", &secretError{"secret_missing: " + err.Error()}
	}
	return s.Reveal(), nil // it goes into a body, and nowhere else
}

// probeSecret makes sure that a secret can be had, and names it.
func (r *Remediator) probeSecret(name string) (string, error) {
	if _, err := r.reveal(name); err != nil {
		return "", err
	}
	return r.name(name)
}

// name is what a preview shows in the place of a secret.
func (r *Remediator) name(name string) (string, error) {
	if _, ok := r.secrets[name]; !ok {
		return r.reveal(name)
	}
	return "$secret:reference:" + name, nil
}

// keepsSecrets refuses references to secrets anywhere in what an entry brought, and elsewhere than in the body in
// what a profile brought.
func (rec *recipe) keepsSecrets(posted bool) bool {
	places := rec.read.texts()
	if u := rec.undo; u != nil {
		places = append(places, textsOf(u.where, u.headers)...)
		if posted {
			places = append(places, u.body.texts()...)
		}
	}
	if rec.guard != nil {
		places = append(places, rec.guard.value)
	}
	if a := rec.async; a != nil && a.where != nil {
		places = append(places, textsOf(*a.where, nil)...)
	}
	return !slices.ContainsFunc(places, func(t tmpl) bool { return t.uses(rootSecret) })
}

// texts are the texts with references in a read; nil has none.
func (rd *reading) texts() []tmpl {
	if rd == nil {
		return nil
	}
	out := textsOf(rd.where, rd.headers)
	for _, token := range rd.selected {
		t, _ := parseText(token) // it has been read
		out = append(out, t)
	}
	lists := []*listing{rd.list}
	if rd.proof != nil {
		out = append(out, textsOf(rd.proof.where, nil)...)
		lists = append(lists, rd.proof.list)
	}
	for _, l := range lists {
		if l != nil {
			out = append(out, l.equals.texts()...)
		}
	}
	return out
}

func textsOf(l location, hs []header) []tmpl {
	out := []tmpl{l.path, l.query}
	for _, h := range hs {
		out = append(out, h.value)
	}
	return out
}

// texts are the texts with references in a body.
func (b body) texts() []tmpl {
	var out []tmpl
	for _, h := range b.holes {
		out = append(out, h.text)
	}
	return out
}
