package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

var (
	errNoList = errors.New("the answer has no list where read.list says")
	errTwo    = errors.New("two elements of the list match")
	errPart   = errors.New("the list is not whole, and what is there of it lacks the resource")
)

// A sending is an undo that is ready to be sent.
type sending struct {
	recipe  *recipe
	call    remediators.Call
	guarded bool // conditional on what was seen
}

// ready builds the undo from what was seen. The error is a [ledger.CallError] of class CallDenied.
// reveal resolves a secret of the configuration by its name, or names it for a preview.
func (r *Remediator) ready(e *ledger.Entry, seen ledger.Look, reveal func(name string) (string, error)) (*sending, error) {
	p, err := r.prepareEntry(e)
	if err != nil {
		return nil, &ledger.CallError{Class: ledger.CallDenied, Detail: "its recipe cannot be read", Err: err}
	}
	u := p.recipe.undo
	if u == nil {
		return nil, denied("nothing takes this back: there is no undo")
	}
	if why := p.asks(e); why != "" {
		return nil, denied(why)
	}
	v := entryValues(e, seen)
	v.secretFunc = reveal
	if e.Action == ledger.ActionUpdate && u.merges() {
		v.update, v.mine = true, pointersOf(p.recipe.scope.Owned)
	}
	s := &sending{recipe: p.recipe}
	if s.call, err = build(u.method, u.where, u.headers, v); err != nil {
		return nil, err
	}
	if err := s.fill(v, e, seen); err != nil {
		return nil, err
	}
	if err := s.guard(v, seen); err != nil {
		return nil, err
	}
	s.call.Fresh = !s.repeatable() || p.recipe.read == nil
	return s, r.client.Permits(s.call)
}

// fill puts the body together, and its content type.
func (s *sending) fill(v values, e *ledger.Entry, seen ledger.Look) error {
	u := s.recipe.undo
	body, err := u.body.render(v)
	if err != nil {
		return denied(bodyProblem(err))
	}
	if err := s.recipe.checkMasks(e.Masked, body, sight{e.Before, e.After, seen.Now}); err != nil {
		return err
	}
	if s.call.Body, err = wire(u.contentType, body); err != nil {
		return denied("the body " + err.Error())
	}
	if s.call.Body != nil {
		kind := u.contentType
		if kind == "" {
			kind = "application/json"
		}
		s.call.Header["Content-Type"] = kind
	}
	return nil
}

// bodyProblem says why a body cannot be put together.
func bodyProblem(err error) string {
	var secret *secretError
	if errors.As(err, &secret) {
		return secret.why
	}
	return "the body " + err.Error()
}

// pointersOf splits pointers that have been checked.
func pointersOf(list []string) (out [][]string) {
	for _, s := range list {
		tokens, _ := parsePointer(s)
		out = append(out, tokens)
	}
	return out
}

// guard makes the call conditional. A resource that is not there has no validator: a PUT that brings it
// back is made conditional on its absence where the guard is If-Match (RFC 9110, section 13.1.2), other
// calls go without. A resource that is there without the validator that its guard needs is not touched.
func (s *sending) guard(v values, seen ledger.Look) error {
	g := s.recipe.guard
	if g == nil {
		return nil
	}
	byValidator := g.value.uses("validator")
	value, err := g.value.render(v, asText)
	switch {
	case errors.Is(err, errUnknown) && byValidator:
		return s.guardAbsence(seen)
	case err != nil:
		return denied("the guard " + err.Error())
	case g.header != "":
		s.call.Header[g.header] = value
	default:
		s.call.Query = strings.TrimPrefix(s.call.Query+"&"+url.QueryEscape(g.query)+"="+url.QueryEscape(value), "&")
	}
	s.guarded = byValidator
	return nil
}

func (s *sending) guardAbsence(seen ledger.Look) error {
	if !seen.Known || !seen.Now.IsAbsent() {
		return denied("the third party showed no validator, and the undo is to be sent only with one")
	}
	if strings.EqualFold(s.recipe.guard.header, "If-Match") && s.call.Method == http.MethodPut {
		s.call.Header["If-None-Match"] = "*"
	}
	return nil
}

// repeatable says that sending it twice does no more than once: by the method's own definition (RFC
// 9110, section 9.2.2) or because the second would find its condition broken.
func (s *sending) repeatable() bool {
	idempotent := s.call.Method == http.MethodPut || s.call.Method == http.MethodDelete
	return s.guarded || idempotent && !s.recipe.once
}

// Preview implements [ledger.Remediator].
func (r *Remediator) Preview(e *ledger.Entry, seen ledger.Look) (ledger.Request, error) {
	s, err := r.ready(e, seen, r.name)
	if err != nil {
		return ledger.Request{}, err
	}
	return ledger.Request{
		Method: s.call.Method, URL: r.client.URL(s.call), Header: s.call.Header, Body: s.shown(),
		Credential: r.client.Slot(), Repeatable: s.repeatable(),
	}, nil
}

func (s *sending) shown() json.RawMessage {
	if s.call.Body == nil {
		return nil
	}
	return shown(s.recipe.undo.contentType, s.call.Body)
}

// Undo implements [ledger.Remediator].
func (r *Remediator) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	s, err := r.ready(e, seen, r.reveal)
	if err != nil {
		return ledger.Answer{}, err
	}
	reply, err := r.client.Do(ctx, s.call)
	if err != nil {
		return ledger.Answer{}, err
	}
	if a := s.recipe.async; a != nil && slices.Contains(a.status, reply.Status) {
		return r.await(ctx, a, reply, entryValues(e, seen))
	}
	ans, err := s.classify(reply)
	return s.recipe.undo.consequences(ans, e, reply), err
}

// classify says what an answer means: first by what the entry says, then by what HTTP says.
func (s *sending) classify(reply remediators.Reply) (ledger.Answer, error) {
	u := s.recipe.undo
	answer := func(class ledger.AnswerClass, detail string) (ledger.Answer, error) {
		return ledger.Answer{Class: class, Status: reply.Status, RetryAfter: reply.RetryAfter, Detail: detail}, nil
	}
	status := "answered " + itoa(reply.Status)
	if err := u.waits(reply); err != nil {
		return ledger.Answer{}, err
	}
	switch {
	case slices.Contains(u.retry, reply.Status):
		return answer(ledger.AnswerRetry, status)
	case slices.Contains(u.success, reply.Status):
		return s.believe(reply)
	case slices.Contains(u.conflict, reply.Status):
		return answer(ledger.AnswerConflict, status)
	case slices.Contains(u.gone, reply.Status):
		return answer(ledger.AnswerGone, status)
	}
	switch {
	case reply.Status < 300:
		return answer(ledger.AnswerFailed, status+", which undo.success does not list")
	case reply.Status == http.StatusNotFound, reply.Status == http.StatusGone,
		reply.Status == http.StatusConflict, reply.Status == http.StatusPreconditionFailed:
		return answer(ledger.AnswerRefused, status) // the entry's own words about gone and conflict did not name it
	}
	return remediators.Classify(reply)
}

// believe holds a successful status against the predicate on its body. A body that contradicts it is a
// refusal; where the call was guarded it is the third party's way to say that the condition did not
// hold (Consul answers 200 false), a conflict. An answer that is not whole says nothing: the look decides.
func (s *sending) believe(reply remediators.Reply) (ledger.Answer, error) {
	want := s.recipe.undo.predicate
	out := ledger.Answer{Class: ledger.AnswerAccepted, Status: reply.Status}
	if reply.BodyErr != nil {
		return ledger.Answer{}, &ledger.CallError{
			Class: ledger.CallAmbiguous, Status: reply.Status, Detail: "answered " + itoa(reply.Status) + ", and " + reply.BodyErr.Error(),
		}
	}
	if want == nil {
		return out, nil
	}
	doc, why := remediators.Document(reply)
	if why != "" {
		out.Class, out.Detail = ledger.AnswerFailed, "answered "+itoa(reply.Status)+", and "+why
		return out, nil
	}
	if got, ok := at(doc, want.pointer); ok && same(want.equals, got) {
		return out, nil
	}
	out.Class, out.Detail = ledger.AnswerRefused, "answered "+itoa(reply.Status)+" with a body that undo.success does not accept"
	if s.guarded {
		out.Class = ledger.AnswerConflict
	}
	return out, nil
}

// await polls until an undo that was only begun is done. If that cannot be found out, the call is
// ambiguous: the look afterwards decides.
func (r *Remediator) await(ctx context.Context, a *asyncing, first remediators.Reply, v values) (ledger.Answer, error) {
	unknown := func(why string) (ledger.Answer, error) {
		return ledger.Answer{}, &ledger.CallError{Class: ledger.CallAmbiguous, Status: first.Status, Detail: why}
	}
	call, why := r.pollCall(a, first, v)
	if why != "" {
		return unknown(why)
	}
	deadline := time.NewTimer(a.most)
	defer deadline.Stop()
	for {
		wait := a.every
		reply, err := r.client.Do(ctx, call)
		switch class, _ := classOf(err); class {
		case "":
			if a.done(reply) {
				return ledger.Answer{Class: ledger.AnswerAccepted, Status: first.Status}, nil
			}
			wait = max(wait, reply.RetryAfter)
		case ledger.CallAuth, ledger.CallDenied:
			return unknown("begun, and its progress cannot be read: " + detail(err))
		case ledger.CallNotSent, ledger.CallAmbiguous, ledger.CallAway, ledger.CallAnswered:
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-deadline.C:
			pause.Stop()
			return unknown("begun, and not done within async.poll.max")
		case <-ctx.Done():
			pause.Stop()
			return unknown("begun, and given up before it was done")
		}
	}
}

func (r *Remediator) pollCall(a *asyncing, first remediators.Reply, v values) (call remediators.Call, why string) {
	if a.where != nil {
		call, err := build("GET", *a.where, nil, v)
		if err != nil {
			return call, detail(err)
		}
		return call, ""
	}
	path, query, ok := r.client.Relative(first.Field(a.header))
	if !ok {
		return call, "begun, and the address of its progress is not below the system's url"
	}
	return remediators.Call{Method: http.MethodGet, Path: path, Query: query}, ""
}

func (a *asyncing) done(reply remediators.Reply) bool {
	doc, why := remediators.Document(reply)
	if why != "" || reply.Status/100 != 2 {
		return false
	}
	got, ok := at(doc, a.until)
	return ok && slices.ContainsFunc(a.in, func(want json.RawMessage) bool { return same(want, got) })
}

// classOf returns the class of a call's error, "" for none.
func classOf(err error) (ledger.CallClass, int) {
	var call *ledger.CallError
	if errors.As(err, &call) {
		return call.Class, call.Status
	}
	return "", 0
}
