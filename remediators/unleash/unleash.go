package unleash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// The kinds.
const (
	KindToggle = "unleash.toggle"
	KindAddon  = "unleash.addon"
	KindFlag   = "unleash.flag"
)

const api = "/api/admin"

// A Remediator serves the feature flags, toggles and addons of one Unleash.
type Remediator struct {
	client *remediators.Client
}

// Factory makes the remediator of a system with remediator: unleash. Its url is what stands before /api/admin.
// It implements [remediators.Factory].
func Factory(b remediators.Binding) (ledger.Remediator, error) {
	if err := remediators.CheckBinding(b, "where Unleash answers, without /api/admin"); err != nil {
		return nil, err
	}
	return &Remediator{client: b.Client}, nil
}

// Kinds implements [ledger.Remediator].
func (r *Remediator) Kinds() []string { return []string{KindAddon, KindFlag, KindToggle} }

// Check implements [ledger.Remediator].
func (r *Remediator) Check(d *ledger.Draft) (ledger.Grading, error) {
	if err := remediators.CheckKind(d, r.Kinds()...); err != nil {
		return ledger.Grading{}, err
	}
	var g ledger.Grading
	var err error
	switch d.Kind {
	case KindToggle:
		g, err = checkToggle(d)
	case KindFlag:
		g, err = r.checkFlag(d)
	default:
		g, err = checkAddon(d)
	}
	g.Warnings = append(g.Warnings, r.warn(d)...)
	return g, err
}

// warn says what of the system's configuration will stop an undo.
func (r *Remediator) warn(d *ledger.Draft) (out []string) {
	if why := r.client.Warning(); why != "" {
		out = append(out, why)
	}
	p, field := parsePlace(d.Resource)
	if d.Kind != KindToggle || field != "" || d.State == ledger.EntryApplied && !saysStrategies(d.Before) {
		return out
	}
	for _, method := range []string{http.MethodDelete, http.MethodPatch} {
		if r.client.Permits(remediators.Call{Method: method, Path: p.environment() + "/strategies/x"}) != nil {
			out = append(out, "the system's allow list has no "+method+" on strategies: an undo that needs it will be blocked")
		}
	}
	return out
}

// Look implements [ledger.Remediator].
func (r *Remediator) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	switch e.Kind {
	case KindAddon:
		return r.lookAddon(ctx, e)
	case KindFlag:
		return r.lookFlag(ctx, e)
	default:
		return r.lookToggle(ctx, e)
	}
}

// Canonical implements [ledger.Canonicalizer].
func (r *Remediator) Canonical(kind string, i ledger.Image) ledger.Image {
	switch kind {
	case KindAddon:
		return canonicalAddon(i)
	case KindFlag:
		return canonicalFlag(i)
	default:
		return canonicalToggle(i)
	}
}

// Renamed implements [ledger.Renamer]. No effect gives a toggle or an addon another name; an undo may.
func (r *Remediator) Renamed(*ledger.Draft) json.RawMessage { return nil }

// A step is one changing call of an undo.
type step struct {
	call remediators.Call
	done int  // a status that means that it was done before; 0: none
	once bool // sent twice it does more than once
}

func newStep(method, path string, body json.RawMessage) step {
	s := step{call: remediators.Call{Method: method, Path: path, Body: body, Header: map[string]string{}}}
	if body != nil {
		s.call.Header["Content-Type"] = "application/json"
	}
	return s
}

// steps are the calls that take the entry back from what was seen, in order. The error is a
// [ledger.CallError] of class CallDenied.
func (r *Remediator) steps(e *ledger.Entry, seen ledger.Look) ([]step, error) {
	var list []step
	var err error
	switch e.Kind {
	case KindAddon:
		list, err = addonSteps(e, seen)
	case KindFlag:
		list, err = flagSteps(e, seen)
	default:
		list, err = toggleSteps(e, seen)
	}
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, remediators.Denied("nothing is left to send")
	}
	for i := range list {
		list[i].call.Fresh = list[i].once || !seen.Known
		if err := r.client.Permits(list[i].call); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Preview implements [ledger.Remediator]: the first call, and in words what follows.
func (r *Remediator) Preview(e *ledger.Entry, seen ledger.Look) (ledger.Request, error) {
	list, err := r.steps(e, seen)
	if err != nil {
		return ledger.Request{}, err
	}
	first := list[0].call
	req := ledger.Request{
		Method: first.Method, URL: r.client.URL(first), Header: first.Header, Body: first.Body, Credential: r.client.Slot(),
		Repeatable: !slices.ContainsFunc(list, func(s step) bool { return s.once }),
	}
	var more []string
	for _, s := range list[1:] {
		more = append(more, s.call.Method+" "+r.client.URL(s.call))
	}
	if e.Kind == KindToggle && !saysStrategies(seen.Now) && saysStrategies(e.Before) {
		more = append(more, "what undoes the strategies that came since")
	}
	if len(more) > 0 {
		req.Summary = "then " + strings.Join(more, ", then ")
	}
	return req, nil
}

// Undo implements [ledger.Remediator]. It sends the steps one after the other and stops at the first that does
// not succeed; the state between two of them is one that Look knows.
func (r *Remediator) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	if moved, err := r.complete(ctx, e, &seen); err != nil || moved {
		return ledger.Answer{Class: ledger.AnswerConflict, Detail: "changed since it was looked at"}, err
	}
	list, err := r.steps(e, seen)
	if err != nil {
		return ledger.Answer{}, err
	}
	if list[0].once {
		if back, err := r.addonIsBack(ctx, e); err != nil || back {
			return ledger.Answer{Class: ledger.AnswerGone, Detail: "it is back already"}, err
		}
	}
	return r.send(ctx, e, list)
}

// complete reads the strategies of a toggle whose look did not show them, as its after-image does not say them.
// moved reports that they are not any more what the look accepted.
func (r *Remediator) complete(ctx context.Context, e *ledger.Entry, seen *ledger.Look) (moved bool, err error) {
	if e.Kind != KindToggle || saysStrategies(seen.Now) || !saysStrategies(e.Before) {
		return false, nil
	}
	full, err := r.readToggle(ctx, e)
	if err != nil || full == nil {
		return full == nil, err
	}
	seen.Now = full.image()
	return !full.madeBySwitchingOn(parseToggle(e.Before.JSON)), nil
}

// send sends the steps.
func (r *Remediator) send(ctx context.Context, e *ledger.Entry, list []step) (ledger.Answer, error) {
	var ans ledger.Answer
	for _, s := range list {
		reply, err := r.client.Do(ctx, s.call)
		if err != nil {
			return ledger.Answer{}, err
		}
		if ans, err = s.classify(reply); err != nil || ans.Class != ledger.AnswerAccepted {
			return ans, err
		}
		if e.Kind == KindAddon {
			ans = renamedAddon(ans, e, reply)
		}
	}
	return ans, nil
}

// classify says what the answer to a step means. An archived feature flag answers 400, and takes no change
// until somebody revives it.
func (s step) classify(reply remediators.Reply) (ledger.Answer, error) {
	if reply.Status == s.done && s.done != 0 {
		return ledger.Answer{Class: ledger.AnswerAccepted, Status: reply.Status}, nil
	}
	var problem struct {
		Name string `json:"name"`
	}
	if reply.Status == http.StatusBadRequest && json.Unmarshal(reply.Body, &problem) == nil && problem.Name == "ArchivedFeatureError" {
		return ledger.Answer{}, errArchived
	}
	return remediators.Classify(reply)
}

// errArchived is what an operator is told of an archived feature flag.
var errArchived = &ledger.CallError{
	Class:  ledger.CallDenied,
	Detail: "the feature flag is archived: Unleash changes nothing of it until somebody revives it; revive it and retry, or waive",
}

// get reads one document; found is false for 404.
func (r *Remediator) get(ctx context.Context, path string) (doc json.RawMessage, found bool, err error) {
	reply, err := r.client.Do(ctx, remediators.Call{Method: http.MethodGet, Path: path})
	switch {
	case err != nil:
		return nil, false, err
	case reply.Status == http.StatusNotFound:
		return nil, false, nil
	case reply.Status != http.StatusOK:
		return nil, false, remediators.Unusable(reply, "")
	}
	doc, why := remediators.Document(reply)
	if why != "" {
		return nil, false, remediators.Unusable(reply, why)
	}
	return doc, true, nil
}

// forbidden reports whether a call was answered 403: then it proves nothing.
func forbidden(err error) bool {
	var call *ledger.CallError
	return errors.As(err, &call) && call.Class == ledger.CallAuth && call.Status == http.StatusForbidden
}

// members reads an object; nil if it is none.
func members(raw json.RawMessage) map[string]json.RawMessage {
	var out map[string]json.RawMessage
	if json.Unmarshal(raw, &out) != nil {
		return nil
	}
	return out
}

func says(m map[string]json.RawMessage, name string) bool {
	v, ok := m[name]
	return ok && string(v) != "null"
}

// object writes members without touching their bytes, in the order of their names.
func object(m map[string]json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(text(name))
		b.WriteByte(':')
		b.Write(m[name])
	}
	b.WriteByte('}')
	return b.Bytes()
}

// text writes a JSON string.
func text(s string) json.RawMessage {
	raw, _ := json.Marshal(s) // a string always encodes
	return raw
}

// same reports whether two documents are equal as the ledger compares them.
func same(a, b json.RawMessage) bool {
	c := ledger.Compare(ledger.Image{JSON: a}, ledger.Image{}, ledger.Image{JSON: b}, ledger.Scope{Owned: []string{""}})
	return c.Before || string(a) == "null" && string(b) == "null"
}

func segment(s string) string { return url.PathEscape(s) }
