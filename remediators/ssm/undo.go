package ssm

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A sending is an undo that is ready to be sent, but for the value of a SecureString.
type sending struct {
	operation string
	body      map[string]any
	secret    *image // whose value is still to be put in; nil: none
	at        target
	seen      sight
	stays     bool // in the tier Advanced, in which it was not before
}

func (s *sending) call() remediators.Call {
	c := post(s.operation, s.body)
	c.Fresh = true // what a kept connection swallowed would be one more version
	return c
}

// ready builds the undo from what was seen. The error is a [ledger.CallError] of class CallDenied.
func (r *Remediator) ready(e *ledger.Entry, seen ledger.Look) (*sending, error) {
	at, err := parseTarget(e.Where())
	if err != nil {
		return nil, remediators.Denied("its resource cannot be read")
	}
	s := &sending{operation: "DeleteParameter", at: at, body: map[string]any{"Name": at.Name}}
	if !seen.Now.IsAbsent() && json.Unmarshal([]byte(seen.Validator), &s.seen) != nil {
		return nil, remediators.Denied("what was seen has no version")
	}
	if !e.Before.IsAbsent() {
		if err := r.put(s, e, seen); err != nil {
			return nil, err
		}
	}
	return s, r.client.Permits(s.call())
}

// put makes it the write of the before-image.
func (r *Remediator) put(s *sending, e *ledger.Entry, seen ledger.Look) error {
	before, err := parseImage("/before", e.Before)
	if err != nil || before == nil {
		return remediators.Denied("the before-image is unknown: there is nothing to bring back")
	}
	if where, found := remediators.FindMask(e.Before.JSON, "/before"); found {
		return remediators.Denied("secret_missing: " + where)
	}
	now, err := parseImage("", seen.Now)
	switch {
	case err != nil:
		return remediators.Denied("what the third party shows cannot be read")
	case now != nil && now.Type != before.Type:
		return remediators.Denied("Parameter Store changes no parameter's type: delete it, wait 30 s and make it anew by hand")
	}
	s.operation = "PutParameter"
	s.body["Type"], s.body["Overwrite"] = before.Type, now != nil
	s.describe(before, now)
	if before.Type == secureString {
		s.seen.Lost = s.seen.Lost || now == nil
		return r.keep(s, before)
	}
	s.body["Value"] = *before.Value
	return nil
}

// keep leaves the place of a SecureString's value open, if it can be had.
func (r *Remediator) keep(s *sending, before *image) error {
	version := strconv.FormatInt(before.Version, 10)
	if s.seen.Lost && r.secrets[s.at.Secret] == "" {
		return remediators.Denied("secret_missing: version " + version + " of the value is not there any more, and `secret` of the resource names none of the system's secrets")
	}
	s.secret, s.body["Value"] = before, "$secret:version:"+version
	return nil
}

// describe adds what is said beside the value. What is left out may stay as it is, so what was not there before is said
// to be empty where it is there now.
func (s *sending) describe(before, now *image) {
	if now == nil {
		now = &image{}
	}
	for name, text := range map[string][2]string{
		"Description": {before.Description, now.Description}, "AllowedPattern": {before.AllowedPattern, now.AllowedPattern},
		"KeyId": {before.KeyID, ""}, "DataType": {before.DataType, ""},
	} {
		if text != [2]string{} {
			s.body[name] = text[0]
		}
	}
	tier := before.Tier
	if now.Tier == advanced { // which never goes back
		s.stays = tier != "" && tier != advanced
		tier = advanced
	}
	if tier != "" {
		s.body["Tier"] = tier
	}
	if len(before.Policies) > 0 || len(now.Policies) > 0 {
		raw, _ := json.Marshal(append([]json.RawMessage{}, before.Policies...)) // they were read from JSON
		s.body["Policies"] = string(raw)
	}
}

// advanced is the tier that a parameter does not leave any more.
const advanced = "Advanced"

// aftermath is how long a name has to rest once it was deleted.
const aftermath = 30 * time.Second

// Undo implements [ledger.Remediator].
func (r *Remediator) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	s, err := r.ready(e, seen)
	if err != nil {
		return ledger.Answer{}, err
	}
	if rest := aftermath - r.clock.Now().Sub(e.AppliedAt); seen.Now.IsAbsent() && !e.AppliedAt.IsZero() && rest > 0 {
		return ledger.Answer{Class: ledger.AnswerRetry, RetryAfter: rest, Detail: "a name that was deleted is free again after 30 s; nothing was sent yet"}, nil
	}
	if s.secret != nil {
		value, why, err := r.old(ctx, s.at, s.secret, s.seen.Lost)
		switch {
		case err != nil:
			return remediators.Unread(err)
		case why != "":
			return ledger.Answer{}, remediators.Denied(why)
		}
		s.body["Value"] = value.Reveal() // it goes into the request, and nowhere else
	}
	reply, err := r.client.Do(ctx, s.call())
	if err != nil {
		return ledger.Answer{}, err
	}
	return s.classify(reply)
}

// classify says what an answer means.
func (s *sending) classify(reply remediators.Reply) (ledger.Answer, error) {
	switch remediators.AWSCode(reply) {
	case notFound:
		return ledger.Answer{Class: ledger.AnswerGone, Status: reply.Status, Detail: "answered " + notFound}, nil
	case "ParameterAlreadyExists":
		return ledger.Answer{Class: ledger.AnswerConflict, Status: reply.Status, Detail: "somebody made the parameter anew"}, nil
	case "ParameterMaxVersionLimitExceeded":
		return ledger.Answer{}, remediators.Denied("the oldest of its 100 versions has a label, and there is no room for another: move the label, then decide retry")
	}
	ans, err := remediators.ClassifyAWS(reply)
	if err != nil || ans.Class != ledger.AnswerAccepted || s.operation != "PutParameter" || s.seen.Version == 0 {
		return ans, err
	}
	var doc struct{ Version int64 }
	if raw, why := remediators.Document(reply); why == "" && json.Unmarshal(raw, &doc) == nil && doc.Version > s.seen.Version+1 {
		ans.Residue = append(ans.Residue, "somebody wrote version "+strconv.FormatInt(doc.Version-1, 10)+" between the look and the undo, which it overwrote; its value is in the history")
	}
	if s.stays {
		ans.Residue = append(ans.Residue, "the parameter stays in the tier Advanced, which costs and never goes back")
	}
	return ans, nil
}
