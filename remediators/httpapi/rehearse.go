package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"sideledger/ledger"
)

// A rehearsal says in a profile how a harmless resource of the kind is made and changed. How it is taken back is what
// the kind says of any.
type rehearsal struct {
	Not      string            `yaml:"not"`      // why there is none; then nothing else stands here
	Resource map[string]string `yaml:"resource"` // members that the canary brings itself, from {{id}}, its name
	Create   any               `yaml:"create"`   // a call as in undo: method, path, headers, content_type, body
	Update   any               `yaml:"update"`   // likewise; it may use what the answer to create says

	create, update *undoing
	own            map[string]tmpl
	place          []string // members of the resource that say where the canary is to stand, sorted
}

// check reads the calls as if an entry had brought them, and finds out what has to be said of the place.
func (h *rehearsal) check(k *profileKind) error {
	if h.Not != "" {
		if h.Create != nil || h.Update != nil || len(h.Resource) > 0 {
			return errors.New("rehearse: says not, and how")
		}
		return nil
	}
	if h.Create == nil || h.Update == nil {
		return errors.New("rehearse: it needs create and update, or not")
	}
	if err := errors.Join(h.readCalls(), h.readOwn(k)); err != nil {
		return err
	}
	return h.findPlace(k)
}

func (h *rehearsal) readCalls() error {
	p := &parser{}
	for _, c := range []struct {
		doc  any
		into **undoing
	}{{h.Create, &h.create}, {h.Update, &h.update}} {
		raw, err := json.Marshal(c.doc)
		if err != nil {
			return err
		}
		*c.into = p.undoing(p.object("/rehearse", raw), ledger.ActionUpdate)
	}
	return p.err
}

func (h *rehearsal) readOwn(k *profileKind) error {
	h.own = map[string]tmpl{}
	for name, text := range h.Resource {
		t, err := parseText(text)
		if err != nil || !slices.Contains(k.members, name) {
			return fmt.Errorf("rehearse: resource.%s is no member of the resource, or no text", name)
		}
		h.own[name] = t
	}
	return nil
}

// findPlace lists the members that the call which makes the canary takes from its place.
func (h *rehearsal) findPlace(k *profileKind) error {
	for _, r := range h.create.references() {
		switch {
		case r.root == "id":
		case r.root != "resource" || len(r.path) != 1 || !slices.Contains(k.members, r.path[0]):
			return errors.New("rehearse: create refers to members of resource and to id alone")
		case h.own[r.path[0]] == nil && !slices.Contains(h.place, r.path[0]):
			h.place = append(h.place, r.path[0])
		}
	}
	slices.Sort(h.place)
	return nil
}

// references lists those of a call.
func (u *undoing) references() (out []*ref) {
	for _, t := range slices.Concat(textsOf(u.where, u.headers), u.body.texts()) {
		for _, p := range t {
			if p.ref != nil {
				out = append(out, p.ref)
			}
		}
	}
	return out
}

// Rehearse implements [ledger.Rehearser].
func (r *Remediator) Rehearse(kind, name string, place json.RawMessage) ledger.Canary {
	if kind == Kind {
		return ledger.Canary{Why: "its entries carry their own recipe, so there is no resource that stands for them"}
	}
	if r.profile == nil || r.profile.kinds[kind] == nil {
		return ledger.Canary{Why: "this system does not serve the kind"}
	}
	h := r.profile.kinds[kind].Rehearse
	switch {
	case h == nil:
		return ledger.Canary{Why: "its profile does not say how a resource is made for a rehearsal"}
	case h.Not != "":
		return ledger.Canary{Why: h.Not}
	}
	resource, lacks := h.resource(name, place)
	if lacks != "" {
		return ledger.Canary{Why: "nobody says where: it needs " + lacks + " (--place, or entries of the window that is named)"}
	}
	chosen := slices.DeleteFunc(slices.Clone(r.profile.kinds[kind].Resource.Key), func(m string) bool { return has(resource, m) })
	return ledger.Canary{Resource: resource, Chosen: chosen, CallFunc: func(a ledger.Action, at json.RawMessage) (ledger.EffectCall, error) {
		u := h.create
		if a == ledger.ActionUpdate {
			u = h.update
		}
		return u.effectCall(values{resource: at, id: name})
	}}
}

// resource puts together what names the canary before it is made. lacks names what the place does not say.
func (h *rehearsal) resource(name string, place json.RawMessage) (resource json.RawMessage, lacks string) {
	at, lacks := pick(place, h.place)
	if lacks != "" {
		return nil, lacks
	}
	members := map[string]json.RawMessage{}
	_ = json.Unmarshal(at, &members) // pick made it
	for m, t := range h.own {
		s, err := t.render(values{resource: place, id: name}, asText)
		if err != nil {
			return nil, "a place for " + m
		}
		members[m] = quote(s)
	}
	resource, _ = json.Marshal(members) // they were read from JSON, or quoted
	return resource, ""
}

// effectCall renders a call of a profile as one that a script might make.
func (u *undoing) effectCall(v values) (ledger.EffectCall, error) {
	call, err := build(u.method, u.where, u.headers, v)
	if err != nil {
		return ledger.EffectCall{}, err
	}
	out := ledger.EffectCall{Method: call.Method, Path: call.Path, Query: call.Query, Header: call.Header}
	body, err := u.body.render(v)
	if err != nil {
		return ledger.EffectCall{}, denied("the body " + err.Error())
	}
	if out.Body, err = wire(u.contentType, body); err != nil {
		return ledger.EffectCall{}, denied("the body " + err.Error())
	}
	if out.Body != nil {
		out.Header["Content-Type"] = u.contentType
		if u.contentType == "" {
			out.Header["Content-Type"] = "application/json"
		}
	}
	return out, nil
}

var _ ledger.Rehearser = (*Remediator)(nil)
