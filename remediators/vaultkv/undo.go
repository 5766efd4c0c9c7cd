package vaultkv

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A sending is an undo that is ready to be sent, but for the value.
type sending struct {
	path    string
	version int64 // deleted or undeleted, or read and written anew
	cas     int64 // the newest version, on which the write is conditional
	writes  bool  // the value is written; else the version is marked
}

// placeholder stands for the value in a preview.
func (s *sending) placeholder() string {
	return `"$secret:version:` + strconv.FormatInt(s.version, 10) + `"`
}

// call is the call with a value, which is JSON.
func (s *sending) call(value json.RawMessage) remediators.Call {
	body := `{"versions":[` + strconv.FormatInt(s.version, 10) + `]}`
	if s.writes {
		body = `{"options":{"cas":` + strconv.FormatInt(s.cas, 10) + `},"data":` + string(value) + `}`
	}
	return remediators.Call{Method: http.MethodPost, Path: s.path, Body: []byte(body), Header: map[string]string{"Content-Type": "application/json"}}
}

// missing says why the old value cannot be had, by what became of its version.
var missing = map[string]string{
	oldDestroyed: "secret_missing: the version that holds the old value was destroyed",
	oldLost:      "secret_missing: the version that holds the old value is not kept any more",
	oldDeleted:   "secret_missing: the version that holds the old value is deleted: undelete it, then decide retry",
	oldCrowded:   "one more version would push the one with the old value out, and nobody could compare any more: raise max_versions of the secret, then decide retry",
}

// ready builds the undo from what was seen. The error is a [ledger.CallError] of class CallDenied.
func (r *Remediator) ready(e *ledger.Entry, seen ledger.Look) (*sending, error) {
	at, err := parseSecret(e.Where())
	if err != nil {
		return nil, remediators.Denied("its resource cannot be read")
	}
	var saw sight
	if json.Unmarshal([]byte(seen.Validator), &saw) != nil {
		return nil, remediators.Denied("what was seen has no version")
	}
	s := &sending{path: at.at("delete"), version: saw.Current, cas: saw.Current}
	if !e.Before.IsAbsent() {
		before, err := parseImage("/before", e.Before)
		if err != nil || before == nil {
			return nil, remediators.Denied("the before-image is unknown: there is nothing to bring back")
		}
		s.version = before.Version
		marked := seen.Now.IsAbsent() && before.Version == saw.Current && saw.Old == oldDeleted
		switch why := missing[saw.Old]; {
		case marked:
			s.path = at.at("undelete")
		case why != "":
			return nil, remediators.Denied(why)
		default:
			s.path, s.writes = at.at("data"), true
		}
	}
	return s, r.client.Permits(s.call(json.RawMessage("{}")))
}

// Undo implements [ledger.Remediator].
func (r *Remediator) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	s, err := r.ready(e, seen)
	if err != nil {
		return ledger.Answer{}, err
	}
	var value ledger.Secret
	if s.writes {
		at, _ := parseSecret(e.Where()) // ready has read it
		var ok bool
		if value, ok, err = r.value(ctx, at, s.version); err != nil {
			return remediators.Unread(err)
		}
		if !ok {
			return ledger.Answer{}, remediators.Denied(missing[oldLost])
		}
	}
	reply, err := r.client.Do(ctx, s.call(json.RawMessage(value.Reveal()))) // into the request, and nowhere else
	if err != nil {
		return ledger.Answer{}, err
	}
	if s.writes && reply.Status == http.StatusBadRequest && outdated(reply) {
		return ledger.Answer{Class: ledger.AnswerConflict, Status: reply.Status, Detail: "somebody wrote a version since the look"}, nil
	}
	return remediators.Classify(reply)
}

// outdated reports whether Vault says that the condition did not hold. It has no code for that, and the same status for
// whatever else is wrong with a call, so its words decide; without them the call is refused, and nothing was written either.
func outdated(reply remediators.Reply) bool {
	return strings.Contains(string(reply.Body), "check-and-set")
}
