package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"sideledger/ledger"
	"sideledger/remediators"
)

func itoa(i int) string { return strconv.Itoa(i) }

// entryValues are what references of an entry read from.
func entryValues(e *ledger.Entry, seen ledger.Look) values {
	v := values{
		resource: e.Where(), before: e.Before.JSON, after: e.After.JSON,
		id: e.ID.String(), validator: seen.Validator, owned: e.Owned,
	}
	if seen.Known {
		v.now = seen.Now.JSON
	}
	return v
}

// Look implements [ledger.Remediator].
func (r *Remediator) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	p, err := r.prepareEntry(e)
	if err != nil {
		return ledger.Look{}, &ledger.CallError{Class: ledger.CallDenied, Detail: "its recipe cannot be read", Err: err}
	}
	rec := p.recipe
	if rec.read == nil {
		return ledger.Look{}, nil
	}
	v := entryValues(e, ledger.Look{})
	call, err := build("GET", rec.read.where, rec.read.headers, v)
	if err != nil {
		return ledger.Look{}, err
	}
	reply, err := r.client.Do(ctx, call)
	if err != nil {
		return ledger.Look{}, err
	}
	out := ledger.Look{Known: true, Scope: rec.scope, Patience: rec.verify.patience, Stable: rec.verify.stable}
	switch {
	case slices.Contains(rec.read.absent, reply.Status):
		out.Now = ledger.Absent
		out.Proven, err = r.prove(ctx, rec.read, v)
		return out, err
	case !slices.Contains(rec.read.present, reply.Status):
		return ledger.Look{}, remediators.Unusable(reply, "")
	}
	return rec.read.show(out, reply, v)
}

// prove asks for the parent with the same credential. A parent that is not visible, or answers nothing
// of use, proves nothing; an error means that nobody knows.
func (r *Remediator) prove(ctx context.Context, rd *reading, v values) (bool, error) {
	if rd.proof == nil {
		return false, nil
	}
	call, err := build("GET", rd.proof.where, rd.headers, v)
	if err != nil {
		return false, err
	}
	reply, err := r.client.Do(ctx, call)
	if class, status := classOf(err); class == ledger.CallAuth && status == http.StatusForbidden {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if reply.Status == http.StatusTooManyRequests || reply.Status >= 500 {
		return false, remediators.Unusable(reply, "the gone_proof answered "+itoa(reply.Status))
	}
	if !slices.Contains(rd.proof.status, reply.Status) {
		return false, nil
	}
	return rd.proof.list.lacks(reply, v)
}

// lacks reports whether the answer holds the list, and the resource is not in it. A nil listing asks for none.
func (l *listing) lacks(reply remediators.Reply, v values) (bool, error) {
	if l == nil {
		return true, nil
	}
	doc, why := remediators.Document(reply)
	if why != "" {
		return false, remediators.Unusable(reply, "the gone_proof "+why)
	}
	_, found, err := l.pick(doc, v)
	if err != nil {
		return false, remediators.Unusable(reply, "the gone_proof: "+err.Error())
	}
	return !found, nil
}

// show takes the resource out of a good answer. What the answer itself shows not to be there (no such
// element in the list, nothing at select, a null, a tombstone) is absent with proof: its parent was just read.
func (rd *reading) show(out ledger.Look, reply remediators.Reply, v values) (ledger.Look, error) {
	doc, why := remediators.Document(reply)
	if why != "" {
		return ledger.Look{}, remediators.Unusable(reply, why)
	}
	found := true
	whole := doc
	if rd.list != nil {
		var err error
		if whole, found, err = rd.list.pick(doc, v); err != nil {
			return ledger.Look{}, remediators.Unusable(reply, err.Error())
		}
	}
	if found {
		selected, err := rd.pointer(v)
		if err != nil {
			return ledger.Look{}, denied("select " + err.Error())
		}
		doc, found = at(whole, selected)
	}
	out.Validator = rd.validator(reply, whole)
	if !found || string(doc) == "null" || rd.gone.holds(doc) {
		out.Now, out.Proven = ledger.Absent, true
		return out, nil
	}
	out.Now = ledger.Image{JSON: doc}
	return out, nil
}

func (rd *reading) validator(reply remediators.Reply, whole json.RawMessage) string {
	if rd.validatorHeader != "" {
		return reply.Field(rd.validatorHeader)
	}
	v, _ := at(whole, rd.validatorPointer)
	s, _ := text(v)
	return s
}

// pick finds the one element of the list. Two that match are an error: nobody knows which is meant.
func (l *listing) pick(doc json.RawMessage, v values) (element json.RawMessage, found bool, err error) {
	items, ok := at(doc, l.items)
	var list []json.RawMessage
	if !ok || json.Unmarshal(items, &list) != nil {
		return nil, false, errNoList
	}
	want, err := l.equals.render(v)
	if err != nil {
		return nil, false, err
	}
	for _, e := range list {
		got, ok := at(e, l.pointer)
		if !ok || !same(want, got) && !sameText(want, got) { // a path brings a number as text
			continue
		}
		if found {
			return nil, false, errTwo
		}
		element, found = e, true
	}
	if !found && goesOn(doc, l.more) {
		return nil, false, errPart
	}
	return element, found, nil
}

// pointer fills the references of select.
func (rd *reading) pointer(v values) ([]string, error) {
	out := slices.Clone(rd.selected)
	for i, token := range out {
		t, err := parseText(token)
		if err == nil {
			out[i], err = t.render(v, asText)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// build renders one call. The error is a [ledger.CallError] of class CallDenied: what is missing now
// cannot be sent.
func build(method string, where location, headers []header, v values) (remediators.Call, error) {
	path, query, err := where.render(v)
	if err != nil {
		return remediators.Call{}, denied("the path " + err.Error())
	}
	call := remediators.Call{Method: method, Path: path, Query: query, Header: map[string]string{}}
	for _, h := range headers {
		value, err := h.value.render(v, asText)
		if err != nil {
			return remediators.Call{}, denied("header " + h.name + " " + err.Error())
		}
		call.Header[h.name] = value
	}
	return call, nil
}
