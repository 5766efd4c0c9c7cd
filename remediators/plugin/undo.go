package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"sideledger/ledger"
	"sideledger/remediators"
)

func grade(r ledger.Reversibility) bool { return slices.Contains(grades, r) }

// Preview implements [ledger.Remediator].
func (r *Remediator) Preview(e *ledger.Entry, seen ledger.Look) (ledger.Request, error) {
	d := r.dialogue(callPreview, e, seen)
	s, err := r.hold(context.Background(), d) // each line of the plugin is waited for in bounds
	switch {
	case err != nil:
		return ledger.Request{}, plainly(err)
	case s.Error != nil:
		return ledger.Request{}, remediators.Denied("the plugin says: " + d.detail(s.Error.Message))
	case s.Preview.Method == "":
		return ledger.Request{Summary: d.detail(s.Preview.Summary)}, nil
	}
	call, err := d.build(s.Preview)
	if err != nil {
		return ledger.Request{}, plainly(err)
	}
	if err := r.client.Permits(call); err != nil {
		return ledger.Request{}, err
	}
	return ledger.Request{
		Method: call.Method, URL: r.client.URL(call), Header: call.Header, Body: json.RawMessage(call.Body),
		Summary: d.detail(s.Preview.Summary), Credential: r.client.Slot(), Repeatable: s.Preview.Repeatable,
	}, nil
}

// Undo implements [ledger.Remediator].
func (r *Remediator) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	d := r.dialogue(callUndo, e, seen)
	s, err := r.hold(ctx, d)
	if err != nil {
		return ledger.Answer{}, r.broken(d, err)
	}
	r.undos.Store(0)
	switch {
	case s.Error != nil && d.sent == nil:
		return ledger.Answer{}, remediators.Denied("the plugin says: " + d.detail(s.Error.Message))
	case s.Error != nil:
		return d.told(&undoResult{Detail: s.Error.Message})
	case d.sent == nil && s.Undo.Result == ledger.AnswerManual:
		return ledger.Answer{Class: ledger.AnswerManual, Detail: d.detail(s.Undo.Detail)}, nil
	case d.sent == nil:
		return ledger.Answer{}, remediators.Denied("the plugin has nothing to send: " + d.detail(s.Undo.Detail))
	}
	return d.told(s.Undo)
}

// broken says what is known of an undo that came to no end: of one whose request was sent nobody knows what it
// did, unless the third party's own silence or refusal is the reason.
func (r *Remediator) broken(d *dialogue, err error) error {
	var bad *breakdown
	if !errors.As(err, &bad) {
		if d.sent == nil {
			return plainly(err)
		}
		var call *ledger.CallError
		if errors.As(err, &call) && !d.answered {
			return call
		}
		return &ledger.CallError{Class: ledger.CallAmbiguous, Status: d.reply.Status, Detail: "sent, and given up before the plugin had said what the answer means", Err: err}
	}
	if d.sent != nil {
		return &ledger.CallError{Class: ledger.CallAmbiguous, Status: d.reply.Status, Detail: "sent, and then the plugin broke down: " + bad.why}
	}
	if int(r.undos.Add(1)) >= max(r.system.Attempts, 1) {
		r.undos.Store(0)
		return remediators.Denied("the plugin breaks down at each undo: " + bad.why)
	}
	return &ledger.CallError{Class: ledger.CallNotSent, Detail: "the plugin broke down before anything was sent: " + bad.why}
}

// told makes an answer of what a plugin says of the last changing call. Its word counts for what answers mean by
// the third party's own conventions (a 2xx, a 4xx); what HTTP leaves no doubt about stays: not executed, passed on by
// a gateway, broken, a redirect.
func (d *dialogue) told(u *undoResult) (ledger.Answer, error) {
	out, err := remediators.Classify(d.reply)
	if err != nil {
		return out, err
	}
	said := []ledger.AnswerClass{ledger.AnswerAccepted, ledger.AnswerGone, ledger.AnswerConflict, ledger.AnswerRefused, ledger.AnswerFailed}
	open := d.reply.Status/100 == 2 || d.reply.Status/100 == 4 && out.Class != ledger.AnswerRetry
	if open && slices.Contains(said, u.Result) && (u.Result != ledger.AnswerAccepted || d.reply.Status < 300) {
		out.Class = u.Result
	}
	if detail := d.detail(u.Detail); detail != "" {
		out.Detail = detail
	}
	for _, r := range u.Residue {
		out.Residue = append(out.Residue, d.detail(r))
	}
	out.Alias = alias(u.Alias)
	return out, nil
}
