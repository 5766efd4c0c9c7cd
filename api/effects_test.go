package api

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// Admits implements [ledger.Effector]: the shelf takes every call below /, and says what it is.
func (s *shelf) Admits(c ledger.EffectCall) error {
	switch c.Method {
	case http.MethodGet, http.MethodPut, http.MethodDelete:
		return nil
	default:
		return &ledger.Error{Code: ledger.CodeForbidden, Op: "admit call"}
	}
}

// Derive implements [ledger.Effector].
func (s *shelf) Derive(_ context.Context, c ledger.EffectCall, d *ledger.Draft) (ledger.Derived, error) {
	if d.Kind != "" {
		return ledger.Derived{}, nil
	}
	d.Kind, d.Action = "shelf", ledger.ActionUpdate
	switch {
	case c.Method == http.MethodDelete:
		d.Action = ledger.ActionDelete
	case s.get(c.Path) == "":
		d.Action = ledger.ActionCreate
	}
	var err error
	d.Resource, err = json.Marshal(map[string]string{"path": c.Path})
	return ledger.Derived{}, err
}

// Send implements [ledger.Effector].
func (s *shelf) Send(_ context.Context, c ledger.EffectCall, readyFunc func() error) (ledger.EffectAnswer, error) {
	if err := readyFunc(); err != nil {
		return ledger.EffectAnswer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.Method == http.MethodDelete:
		delete(s.docs, c.Path)
	case c.Method == http.MethodPut && json.Valid(c.Body):
		s.docs[c.Path] = string(c.Body)
	case c.Method == http.MethodPut:
		return ledger.EffectAnswer{Status: 415, Header: map[string]string{}, Body: []byte{0xff, 0}}, nil
	}
	return ledger.EffectAnswer{Status: 200, Header: map[string]string{"Content-Type": "application/json"}, Body: []byte(s.docs[c.Path])}, nil
}

func TestEffectOverHTTP(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	call := func(body string) req {
		return req{method: "POST", path: "/v1/windows/" + w.ID + "/effects", body: body}
	}
	var e wire.Effect
	made := b.do(keyed(call(`{"call":{"method":"PUT","path":"/a?x=1","body":"{\"v\":1}"},"entry":{"system":"shelf","tag":"t"}}`), "k"), 201, &e)
	if e.Outcome != "applied" || e.Entry.Tag != "t" || string(e.Entry.After) != `{"v":1}` || e.Answer.Status != 200 || *e.Answer.Body != `{"v":1}` ||
		made.Header().Get("Location") != "/v1/entries/"+e.Entry.ID {
		t.Errorf("%s %v", made.Body, made.Header())
	}
	again := b.do(keyed(call(`{"call":{"method":"PUT","path":"/a?x=1","body":"{\"v\":1}"},"entry":{"system":"shelf","tag":"t"}}`), "k"), 201, nil)
	if again.Body.String() != made.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("asked again: %s", again.Body)
	}
	e = wire.Effect{}
	b.do(call(`{"call":{"method":"PUT","path":"/b","body_base64":"/wA="},"entry":{"system":"shelf"}}`), 201, &e)
	if e.Outcome != "void" || e.Entry.State != "void" || e.Answer.Body != nil || string(e.Answer.Bytes) != "\xff\x00" {
		t.Errorf("bytes that are no text: %+v", e)
	}
	e = wire.Effect{}
	b.do(call(`{"call":{"method":"GET","path":"/a"},"entry":{"system":"shelf"}}`), 200, &e)
	if e.Outcome != "read" || e.Entry != nil || *e.Answer.Body != `{"v":1}` {
		t.Errorf("a read: %+v", e)
	}
	b.problem(call(`{"call":{"method":"POST","path":"/a"},"entry":{"system":"shelf"}}`), 403, "forbidden")
	b.problem(call(`{"call":{"method":"PUT","path":"/a","body":"1","body_base64":"AA=="},"entry":{"system":"shelf"}}`), 422, "invalid")
	b.problem(call(`{"call":{"method":"PUT","path":"/a","body":"1"},"entry":{"system":"nowhere"}}`), 422, "invalid")
	b.problem(call(`{"call":{"method":"PUT","path":"/a","body":"1"},"entry":{"system":"shelf","after":1}}`), 422, "invalid")
	b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/seal"}, 200, nil)
	b.problem(call(`{"call":{"method":"PUT","path":"/a","body":"2"},"entry":{"system":"shelf"}}`), 409, "conflict")
	if now := b.shelf.get("/a"); now != `{"v":1}` {
		t.Errorf("a call was made in a sealed window: %s", now)
	}
	var where wire.EffectSystems
	b.do(req{method: "GET", path: "/v1/windows/" + w.ID + "/effects"}, 200, &where)
	if len(where.Items) != 1 || where.Items[0].URL != "http://shelf.test" || where.Items[0].Effects == nil {
		t.Errorf("%+v", where)
	}
}
