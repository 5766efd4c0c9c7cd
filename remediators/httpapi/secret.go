package httpapi

import (
	"encoding/json"
	"errors"

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
	var places []tmpl
	add := func(l location, hs []header) {
		places = append(places, l.path, l.query)
		for _, h := range hs {
			places = append(places, h.value)
		}
	}
	if rd := rec.read; rd != nil {
		add(rd.where, rd.headers)
		for _, token := range rd.selected {
			t, _ := parseText(token) // it has been read
			places = append(places, t)
		}
		if rd.proof != nil {
			add(rd.proof.where, nil)
		}
		if rd.list != nil {
			places = append(places, rd.list.equals.texts()...)
		}
	}
	if u := rec.undo; u != nil {
		add(u.where, u.headers)
		if posted {
			places = append(places, u.body.texts()...)
		}
	}
	if rec.guard != nil {
		places = append(places, rec.guard.value)
	}
	if a := rec.async; a != nil && a.where != nil {
		add(*a.where, nil)
	}
	for _, t := range places {
		if t.uses(rootSecret) {
			return false
		}
	}
	return true
}

// texts are the texts with references in a body.
func (b body) texts() []tmpl {
	var out []tmpl
	for _, h := range b.holes {
		out = append(out, h.text)
	}
	return out
}
