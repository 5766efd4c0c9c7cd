package powerdns

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/miekg/dns"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A sending is an undo that is ready to be sent: an update, or else a call.
type sending struct {
	update *dns.Msg // nil: the call is sent
	call   remediators.Call
	// residue is what the undo does not bring back and somebody has to be told.
	residue []string
}

// ready builds the undo from what was seen. The error is a [ledger.CallError] of class CallDenied.
func (r *Remediator) ready(e *ledger.Entry, seen ledger.Look) (*sending, error) {
	n, err := parseName(e.Where())
	if err != nil {
		return nil, remediators.Denied("its resource cannot be read")
	}
	before, err := parseImage("/before", e.Before)
	if err != nil {
		return nil, remediators.Denied("its before-image cannot be read")
	}
	now, err := shownIn(seen)
	if err != nil {
		return nil, err
	}
	wanted, err := wantedOf(e, before, now)
	if err != nil {
		return nil, err
	}
	s := &sending{call: patch(n, wanted)}
	if err := r.client.Permits(s.call); err != nil { // the allow list holds for updates too
		return nil, err
	}
	if r.unguarded(n, now, wanted) == "" {
		s.update = update(n, now, wanted)
		if now == nil && len(wanted.Comments) > 0 {
			s.residue = []string{"the comments of the records did not come back: an update carries none"}
		}
	}
	return s, nil
}

// shownIn is the set that a look showed, as PowerDNS wrote it; nil if it was not there.
func shownIn(seen ledger.Look) (*rrset, error) {
	if seen.Now.IsAbsent() {
		return nil, nil
	}
	var s rrset
	if seen.Validator != "" && json.Unmarshal([]byte(seen.Validator), &s) == nil && len(s.Records) > 0 {
		return &s, nil
	}
	now, err := parseImage("", seen.Now)
	if err != nil || now == nil || now.lacks() != "" {
		return nil, remediators.Denied("what the third party shows cannot be read")
	}
	return now, nil
}

// wantedOf is what is to stand there: the before-image, with what it or the entry does not answer for as it is now;
// nil for absence.
func wantedOf(e *ledger.Entry, before, now *rrset) (*rrset, error) {
	switch {
	case e.Before.IsAbsent():
		return nil, nil
	case before == nil:
		return nil, remediators.Denied("the before-image is unknown: there is nothing to bring back")
	}
	out := *before
	owns := func(pointer string) bool {
		return len(e.Owned) == 0 || slices.Contains(e.Owned, pointer) || slices.Contains(e.Owned, "")
	}
	if now != nil {
		if out.TTL == nil || !owns("/ttl") {
			out.TTL = now.TTL
		}
		if out.Records == nil || !owns("/records") {
			out.Records = now.Records
		}
		out.Comments = nil // those that are there stay
		out.Records = slices.Clone(out.Records)
		for i := range out.Records {
			out.Records[i].Content = reserialed(out.Records[i].Content, now.Records[0].Content)
		}
	}
	if missing := out.lacks(); missing != "" {
		return nil, remediators.Denied("the before-image lacks " + missing)
	}
	return &out, nil
}

// patch is the call that makes a zone have this set; nil: not have it.
func patch(n name, wanted *rrset) remediators.Call {
	set := rrset{Name: n.owner, Type: n.kind, ChangeType: "DELETE"}
	if wanted != nil {
		set.ChangeType, set.TTL, set.Comments = "REPLACE", wanted.TTL, wanted.Comments
		for _, r := range wanted.Records {
			set.Records = append(set.Records, record{Content: whole(n.kind, r.Content), Disabled: r.Disabled})
		}
	}
	body, _ := json.Marshal(map[string][]rrset{"rrsets": {set}}) // strings and numbers always encode
	return remediators.Call{Method: http.MethodPatch, Path: n.zonePath(), Body: body, Header: map[string]string{"Content-Type": "application/json"}}
}

// Undo implements [ledger.Remediator].
func (r *Remediator) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	s, err := r.ready(e, seen)
	if err != nil {
		return ledger.Answer{}, err
	}
	if s.update != nil {
		rcode, err := r.updater.Send(ctx, s.update)
		if err != nil {
			return ledger.Answer{}, err
		}
		return answered(rcode, s.residue), nil
	}
	reply, err := r.client.Do(ctx, s.call)
	if err != nil {
		return ledger.Answer{}, err
	}
	ans, err := remediators.Classify(reply)
	if err == nil && ans.Class == ledger.AnswerGone && !e.Before.IsAbsent() {
		ans.Class, ans.Detail = ledger.AnswerRefused, "answered 404: the zone is not there any more"
	}
	return ans, err
}
