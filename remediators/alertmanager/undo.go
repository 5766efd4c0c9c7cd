package alertmanager

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A sending is an undo that is ready to be sent.
type sending struct {
	call       remediators.Call
	id         string // of the silence before it
	repeatable bool
	img        images
}

// ready builds the undo from what was seen. The error is a [ledger.CallError] of class CallDenied.
func (r *Remediator) ready(e *ledger.Entry, seen ledger.Look) (*sending, error) {
	img, err := imagesOf(e)
	if err != nil {
		return nil, err
	}
	s := &sending{id: r.nameOf(e), img: img}
	if len(seen.Alias) > 0 {
		s.id = idOf(seen.Alias)
	}
	switch {
	case e.Before.IsAbsent():
		err = s.expire()
	case img.before == nil:
		err = remediators.Denied("the before-image is unknown: there is nothing to bring back")
	default:
		err = s.write(img.before, seen, r.clock())
	}
	if err != nil {
		return nil, err
	}
	s.call.Fresh = !s.repeatable
	return s, r.client.Permits(s.call)
}

func (s *sending) expire() error {
	if s.id == "" {
		return remediators.Denied("nobody has said the silence's id: rollback applied ENTRY --resource '{\"id\":\"…\"}'")
	}
	s.call = remediators.Call{Method: http.MethodDelete, Path: silencePath + s.id, Header: map[string]string{}}
	s.repeatable = true
	return nil
}

// write builds the POST that brings the before-image back: in place, under the id that the silence has, or as
// a new one if it is gone. Alertmanager keeps the id if matchers and the start of an active silence stay, and
// then the POST may be sent twice; otherwise each makes another silence.
func (s *sending) write(before *silence, seen ledger.Look, now time.Time) error {
	body := map[string]json.RawMessage{}
	var shown *silence
	if !seen.Now.IsAbsent() {
		var err error
		if shown, err = parse(seen.Now.JSON); err != nil {
			return remediators.Denied("what the third party shows cannot be read")
		}
		for _, name := range content {
			body[name] = shown.members[name]
		}
		body["id"], _ = json.Marshal(s.id)
		s.repeatable = shown.keepsID(before, now)
	}
	for _, name := range content {
		if before.has(name) && !s.stays(name, before, shown, now) {
			body[name] = before.members[name]
		}
		if len(body[name]) == 0 {
			return remediators.Denied("the before-image lacks " + name)
		}
	}
	s.call = remediators.Call{
		Method: http.MethodPost, Path: silencesPath, Body: object(body),
		Header: map[string]string{"Content-Type": "application/json"},
	}
	return nil
}

// stays reports whether a member is left as the server shows it, as it means the same there: matchers in their
// order, and a start that is past. Either would cost the silence its id.
func (s *sending) stays(name string, before, shown *silence, now time.Time) bool {
	switch {
	case shown == nil:
		return false
	case name == "matchers":
		return shown.sameMatchers(before)
	default:
		return name == "startsAt" && !shown.StartsAt.After(now) && !before.StartsAt.After(now)
	}
}

// keepsID reports whether Alertmanager changes the silence in place.
func (s *silence) keepsID(before *silence, now time.Time) bool {
	pending := s.StartsAt.After(now)
	switch {
	case !s.sameMatchers(before):
		return false
	case !before.has("startsAt"), !pending && !before.StartsAt.After(now):
		return true
	default:
		return pending && before.StartsAt.After(now)
	}
}

// Undo implements [ledger.Remediator].
func (r *Remediator) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	s, err := r.ready(e, seen)
	if err != nil {
		return ledger.Answer{}, err
	}
	if !s.repeatable {
		if back, err := r.isBack(ctx, s); err != nil || back {
			return ledger.Answer{Class: ledger.AnswerGone, Detail: "it is back already"}, err
		}
	}
	reply, err := r.client.Do(ctx, s.call)
	if err != nil {
		return ledger.Answer{}, err
	}
	if s.call.Method == http.MethodDelete {
		return expired(reply)
	}
	return s.written(reply)
}

// isBack looks once more, just before a POST that would make a second one of a silence that is there.
func (r *Remediator) isBack(ctx context.Context, s *sending) (bool, error) {
	list, _, err := r.list(ctx, s.img.before)
	if err != nil {
		return false, err
	}
	twin, err := r.twin(list, s.img.before)
	return twin != nil && err == nil, err
}

// expired says what the answer to a DELETE means. 0.25 answers 500 for an id that it does not know (newer
// versions 404), and 200 for a silence that is expired already.
func expired(reply remediators.Reply) (ledger.Answer, error) {
	if reply.Status == http.StatusInternalServerError && strings.Contains(string(reply.Body), "silence not found") {
		return ledger.Answer{Class: ledger.AnswerGone, Status: reply.Status, Detail: "answered 500: it knows no such silence"}, nil
	}
	return remediators.Classify(reply)
}

// written says what the answer to a POST means: the id in it may be another one.
func (s *sending) written(reply remediators.Reply) (ledger.Answer, error) {
	ans, err := remediators.Classify(reply)
	if err != nil || ans.Class != ledger.AnswerAccepted {
		if ans.Class == ledger.AnswerGone { // an update of an id that it does not know
			ans.Class = ledger.AnswerConflict
		}
		return ans, err
	}
	var doc struct {
		ID string `json:"silenceID"`
	}
	if json.Unmarshal(reply.Body, &doc) != nil || !uuidLike(doc.ID) {
		return ans, nil // the look afterwards finds it by what it says
	}
	if doc.ID != s.id {
		ans.Alias = named(doc.ID)
		ans.Residue = []string{"the silence has the id " + doc.ID + " now, it was " + s.id + ": whoever will expire or prolong it by its id has to be told"}
	}
	return ans, nil
}
