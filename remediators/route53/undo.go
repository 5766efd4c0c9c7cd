package route53

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

const namespace = "https://route53.amazonaws.com/doc/2013-04-01/"

// A batch is a request to change a zone: all of its changes, or none.
type batch struct {
	XMLName xml.Name `xml:"ChangeResourceRecordSetsRequest"`
	Space   string   `xml:"xmlns,attr"`
	Comment string   `xml:"ChangeBatch>Comment,omitempty"`
	Changes []change `xml:"ChangeBatch>Changes>Change"`
}

type change struct {
	Action string
	Set    *set `xml:"ResourceRecordSet"`
}

// call is the call that carries changes out.
func (n name) call(comment string, list ...change) remediators.Call {
	body, _ := xml.Marshal(batch{Space: namespace, Comment: comment, Changes: list}) // strings and numbers always encode
	return remediators.Call{Method: http.MethodPost, Path: n.path() + "/", Body: append([]byte(xml.Header), body...), Header: map[string]string{"Content-Type": "application/xml"}}
}

// ready builds the undo from what was seen. A delete that names other values than those there fails, and the whole batch with
// it: that is the condition. The error is a [ledger.CallError] of class CallDenied.
func (r *Remediator) ready(e *ledger.Entry, seen ledger.Look) (remediators.Call, error) {
	n, err := parseName(e.Where())
	if err != nil {
		return remediators.Call{}, remediators.Denied("its resource cannot be read")
	}
	var list []change
	var now *set
	if !seen.Now.IsAbsent() {
		now = &set{}
		if strict(json.RawMessage(seen.Validator), now) != nil || !n.is(now) {
			return remediators.Call{}, remediators.Denied("what was seen is not the record set")
		}
		if now.TrafficPolicyInstanceID != "" {
			return remediators.Call{}, remediators.Denied("the record set belongs to a traffic policy, and is changed there only")
		}
		list = append(list, change{"DELETE", now})
	}
	if !e.Before.IsAbsent() {
		wanted, err := wantedOf(e, n, now)
		if err != nil {
			return remediators.Call{}, err
		}
		list = append(list, change{"CREATE", wanted})
	}
	if len(list) == 0 {
		return remediators.Call{}, remediators.Denied("there is nothing to take back")
	}
	call := n.call("undo of "+e.ID.String(), list...)
	return call, r.client.Permits(call)
}

// wantedOf is what is to stand there: the before-image, with what neither it nor the after-image speaks of, or the entry
// does not own, as it is now.
func wantedOf(e *ledger.Entry, n name, now *set) (*set, error) {
	before, err := parseImage("/before", e.Before)
	if err != nil || before == nil {
		return nil, remediators.Denied("the before-image is unknown: there is nothing to bring back")
	}
	out := *before
	if now != nil {
		out = set{}
		if err := strict(merged(e, now.image().JSON), &out); err != nil {
			return nil, remediators.Denied("the before-image cannot be brought back into what is there")
		}
		out.Name = now.Name
	}
	if out.Name, out.Type, out.SetIdentifier = n.Owner, n.Type, n.Set; out.lacks() != "" {
		return nil, remediators.Denied("the before-image lacks " + out.lacks())
	}
	return &out, nil
}

// merged is what is there now with the members from before in the place of those that the entry answers for.
func merged(e *ledger.Entry, now json.RawMessage) json.RawMessage {
	var before, after, out map[string]json.RawMessage
	_ = json.Unmarshal(e.Before.JSON, &before) // it was read before
	_ = json.Unmarshal(e.After.JSON, &after)   // unknown: it speaks of nothing
	_ = json.Unmarshal(now, &out)
	owns := func(member string) bool {
		return len(e.Owned) == 0 && (before[member] != nil || after[member] != nil) || slices.ContainsFunc(e.Owned, func(p string) bool {
			return p == "" || p == "/"+member || strings.HasPrefix(p, "/"+member+"/")
		})
	}
	for member := range out {
		if owns(member) {
			delete(out, member)
		}
	}
	for member, v := range before {
		if owns(member) {
			out[member] = v
		}
	}
	return encode(out)
}

// Undo implements [ledger.Remediator].
func (r *Remediator) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	call, err := r.ready(e, seen)
	if err != nil {
		return ledger.Answer{}, err
	}
	reply, err := r.client.Do(ctx, call)
	if err != nil {
		return ledger.Answer{}, err
	}
	if remediators.AWSCode(reply) == "InvalidChangeBatch" {
		return ledger.Answer{Class: ledger.AnswerConflict, Status: reply.Status, Detail: "answered InvalidChangeBatch: it is not as it was seen, or Route 53 does not take what was before"}, nil
	}
	ans, err := remediators.ClassifyAWS(reply)
	switch {
	case err == nil && ans.Class == ledger.AnswerGone:
		ans.Class, ans.Detail = ledger.AnswerRefused, "answered 404: the hosted zone is not there any more"
	case err == nil && ans.Class == ledger.AnswerAccepted:
		ans.Detail = r.everywhere(ctx, reply)
	}
	return ans, err
}

// An info is what Route 53 says of a change.
type info struct {
	XMLName xml.Name
	ID      string `xml:"ChangeInfo>Id"`
	Status  string `xml:"ChangeInfo>Status"`
}

// most is how long a change is waited for; mostly it is at all name servers within a minute.
const most = 2 * time.Minute

// everywhere waits until all name servers have a change. What it returns says why nobody knows whether they do; "": they
// do. The change itself is made, whatever comes of the question.
func (r *Remediator) everywhere(ctx context.Context, first remediators.Reply) string {
	const unknown = "the change is made; whether all name servers have it is not known"
	var c info
	if xml.Unmarshal(first.Body, &c) != nil || c.XMLName.Local != "ChangeResourceRecordSetsResponse" {
		return unknown
	}
	id := strings.TrimPrefix(c.ID, "/change/")
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for c.Status != "INSYNC" {
		if !zoneID.MatchString(id) {
			return unknown
		}
		pause := time.NewTimer(r.every)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return unknown
		}
		reply, err := r.client.Do(ctx, remediators.Call{Method: http.MethodGet, Path: "/2013-04-01/change/" + id})
		c = info{}
		if err == nil {
			err = decode(reply, "GetChangeResponse", &c.XMLName, &c)
		}
		if !again(err) {
			return unknown
		}
	}
	return ""
}

// again reports whether a question may be asked again after an error, or nil.
func again(err error) bool {
	call, ok := err.(*ledger.CallError) //nolint:errorlint // the client and decode return nothing else
	return err == nil || ok && (call.Class == ledger.CallAnswered || call.Class == ledger.CallAway || call.Class == ledger.CallAmbiguous)
}
