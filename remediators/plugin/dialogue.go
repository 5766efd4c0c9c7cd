package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sideledger/ledger"
	"sideledger/remediators"
)

const (
	maxRequests = 16 // of one call
	maxDetail   = 200
)

// changing are the methods by which an undo may change something.
var changing = []string{"POST", "PUT", "PATCH", "DELETE"}

// A dialogue is one call of a plugin, with the requests that it asks for.
type dialogue struct {
	r    *Remediator
	call string
	veil *veil

	requests int
	good     bool               // a read was answered 2xx
	last     *remediators.Reply // the newest answer
	lastErr  error              // a 401 or 403 in its place
	sent     *remediators.Call  // the newest changing call that was, or may have been, sent
	single   bool               // one of them is not repeatable
	reply    remediators.Reply  // the answer to it
	answered bool               // there is one
}

func (r *Remediator) dialogue(call string, e *ledger.Entry, seen ledger.Look) *dialogue {
	return &dialogue{r: r, call: call, veil: newVeil(e, seen)}
}

// first is the message that begins the call.
func (d *dialogue) first(id int64) message {
	e, v := d.veil.entry, d.veil
	m := message{ID: id, Call: d.call, Entry: &entryMessage{
		ID: e.ID.String(), System: e.System, Kind: e.Kind, Action: e.Action, State: string(e.Draft.State),
		Resource: e.Where(), Before: v.cover(e.Before.JSON), After: v.cover(e.After.JSON),
	}}
	if d.call == callUndo || d.call == callPreview {
		m.Seen = &seenMessage{Now: v.cover(v.seen.Now.JSON), Proven: v.seen.Proven, Validator: v.seen.Validator, Alias: v.seen.Alias}
	}
	return m
}

// run holds the dialogue until the plugin says something that is no request. The error is a breakdown, a
// [ledger.CallError], or the end of ctx.
func (d *dialogue) run(ctx context.Context, p *process) (*said, error) {
	id := p.id()
	m := d.first(id)
	for {
		s, err := p.ask(ctx, m)
		if err != nil || s.Request == nil {
			return s, err
		}
		answer, err := d.perform(ctx, s.Request)
		if err != nil {
			var bad *breakdown
			if errors.As(err, &bad) {
				return nil, err
			}
			if p.send(context.WithoutCancel(ctx), message{ID: id, End: endOf(err)}) != nil {
				p.asked = true // it did not take it: it is of no use any more
			}
			return nil, err
		}
		m = message{ID: id, Answer: answer}
	}
}

// endOf is what a plugin is told of why its call is over: no more than the class.
func endOf(err error) string {
	var call *ledger.CallError
	if errors.As(err, &call) {
		return string(call.Class)
	}
	return "failed"
}

// perform makes one request. The error is a [ledger.CallError], or a breakdown where the plugin asked for what the
// protocol does not have.
func (d *dialogue) perform(ctx context.Context, q *request) (*answerMessage, error) {
	if d.requests++; d.requests > maxRequests {
		return nil, broke("it asked for more than %d requests in one call", maxRequests)
	}
	if d.call != callLook && d.call != callUndo {
		return nil, broke("it asked for a request in a call that makes none")
	}
	call, err := d.build(q)
	if err != nil {
		return nil, err
	}
	if d.r.config.IsRead(call) {
		return d.read(ctx, call)
	}
	return d.change(ctx, call, q.Repeatable)
}

// read makes a request that changes nothing. A refused credential is an answer: a plugin may ask for a parent that it
// may not see.
func (d *dialogue) read(ctx context.Context, call remediators.Call) (*answerMessage, error) {
	reply, err := d.r.client.Do(ctx, call)
	var failed *ledger.CallError
	if err != nil && (!errors.As(err, &failed) || failed.Class != ledger.CallAuth) {
		return nil, err
	}
	if d.last, d.lastErr = &reply, err; err != nil {
		reply.Status = failed.Status
		return d.answer(reply), nil
	}
	if reply.BodyErr != nil {
		return nil, remediators.Unusable(reply, reply.BodyErr.Error())
	}
	d.good = d.good || reply.Status/100 == 2
	return d.answer(reply), nil
}

// change makes a request that may change something.
func (d *dialogue) change(ctx context.Context, call remediators.Call, repeatable bool) (*answerMessage, error) {
	if err := d.mayChange(call, repeatable); err != nil {
		return nil, err
	}
	d.sent, d.answered, d.single = &call, false, d.single || !repeatable
	reply, err := d.r.client.Do(ctx, call)
	if err != nil {
		d.unsent(err)
		return nil, err
	}
	d.reply, d.answered = reply, true
	return d.answer(reply), nil
}

// unsent forgets the changing call that is known not to have left.
func (d *dialogue) unsent(err error) {
	var failed *ledger.CallError
	if errors.As(err, &failed) && failed.Class != ledger.CallAmbiguous && failed.Class != ledger.CallAuth {
		d.sent = nil
	}
}

// mayChange holds a look to reads, and an undo to one changing call, or to several of which each may be repeated.
func (d *dialogue) mayChange(call remediators.Call, repeatable bool) error {
	switch {
	case d.call == callLook:
		return remediators.Denied("the plugin asked for " + strconv.Quote(call.Method) + " in a look, which changes nothing; plugin.reads does not list it")
	case !slices.Contains(changing, call.Method):
		return remediators.Denied("the plugin asked for the method " + strconv.Quote(call.Method) + ": an undo sends POST, PUT, PATCH or DELETE")
	case d.sent != nil && (d.single || !repeatable):
		return broke("it asked for a second changing request, and not both may be repeated")
	}
	return d.r.client.Permits(call)
}

// build makes a call of a request. What the plugin left to the server is filled in: in the body alone, since paths
// and queries stand in logs.
func (d *dialogue) build(q *request) (remediators.Call, error) {
	call := remediators.Call{Method: clean(q.Method, 16), Path: q.Path, Query: q.Query, Header: map[string]string{}, Fresh: !q.Repeatable || !d.veil.seen.Known}
	for name, value := range q.Headers {
		call.Header[name] = value
	}
	if len(q.Body) == 0 || string(q.Body) == "null" {
		return call, nil
	}
	body, err := d.veil.fill(q.Body)
	if err != nil {
		return call, broke("%s", errText(err))
	}
	if _, named := header(call.Header, "Content-Type"); !named {
		call.Header["Content-Type"] = "application/json"
	}
	call.Body = body
	if where, found := remediators.FindMask(body, ""); found && !d.r.config.IsRead(call) {
		return call, remediators.Denied("secret_missing: the body has a mask at " + d.veil.hide(clean(where, maxDetail)))
	}
	return call, nil
}

func errText(err error) string {
	if errors.Is(err, errReference) || errors.Is(err, errPlaceholder) {
		return err.Error()
	}
	return "the body of its request is no JSON"
}

func header(h map[string]string, name string) (string, bool) {
	for n, v := range h {
		if strings.EqualFold(n, name) {
			return v, true
		}
	}
	return "", false
}

// answer is an answer as the plugin gets it: without cookies, and without the credential where a third party quotes
// it.
func (d *dialogue) answer(reply remediators.Reply) *answerMessage {
	out := &answerMessage{Status: reply.Status, Headers: map[string]string{}}
	for _, from := range []map[string][]string{reply.Trailer, reply.Header} {
		for name, values := range from {
			if name = strings.ToLower(name); strings.HasPrefix(name, "set-cookie") || len(values) == 0 {
				continue
			}
			out.Headers[name] = strings.ToValidUTF8(string(d.r.client.Conceal([]byte(values[0]))), "?")
		}
	}
	reply.Body = d.r.client.Conceal(reply.Body)
	doc, why := remediators.Document(reply)
	if why == "" && len(reply.Body) > 0 {
		d.veil.hear(doc)
		out.Body = d.veil.cover(doc)
		d.veil.answers = append(d.veil.answers, doc)
		return out
	}
	d.veil.answers = append(d.veil.answers, json.RawMessage("null"))
	if reply.BodyErr == nil && utf8.Valid(reply.Body) {
		out.Text = string(reply.Body)
		d.veil.hearText(out.Text)
		for word := range strings.FieldsSeq(out.Text) {
			d.veil.hearText(word)
		}
	}
	return out
}

// detail makes a sentence of the plugin fit to be shown.
func (d *dialogue) detail(s string) string { return clean(d.veil.hide(s), maxDetail) }
