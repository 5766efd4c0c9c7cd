package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
)

func TestEffectIsRecordedMadeAndUndone(t *testing.T) {
	s, p := newDoer(t)
	p.Set("/old", `{"a":1}`)
	p.Set("/gone", `{"g":1}`)
	changed := s.mustDo(put("/old", `{"a":2}`), "")
	e := s.wantEffect(changed, "applied applied")
	if string(e.Before.JSON) != `{"a":1}` || string(e.After.JSON) != `{"a":2}` || string(changed.Answer.Body) != `{"a":2}` {
		t.Errorf("images %s, %s, answer %s", e.Before.JSON, e.After.JSON, changed.Answer.Body)
	}
	made := s.wantEffect(s.mustDo(put("/new", `{"n":1}`), ""), "applied applied")
	if !made.Before.IsAbsent() || string(made.After.JSON) != `{"n":1}` {
		t.Errorf("images %s, %s", made.Before.JSON, made.After.JSON)
	}
	removed := s.wantEffect(s.mustDo(ledger.EffectCall{Method: "DELETE", Path: "/gone"}, ""), "applied applied")
	if string(removed.Before.JSON) != `{"g":1}` || !removed.After.IsAbsent() {
		t.Errorf("images %s, %s", removed.Before.JSON, removed.After.JSON)
	}
	if run := s.roll(); !run.Complete {
		t.Errorf("the rollback is not complete: %+v", run.Counts)
	}
	if p.Get("/old") != `{"a":1}` || p.Get("/new") != "" || p.Get("/gone") != `{"g":1}` {
		t.Errorf("after the rollback: %q %q %q", p.Get("/old"), p.Get("/new"), p.Get("/gone"))
	}
}

// What an answer, or its absence, says of the effect.
func TestEffectJudged(t *testing.T) {
	status := func(n int) func(ledger.EffectCall) (ledger.EffectAnswer, error) {
		return func(ledger.EffectCall) (ledger.EffectAnswer, error) { return ledger.EffectAnswer{Status: n}, nil }
	}
	fails := func(class ledger.CallClass, cause error) func(ledger.EffectCall) (ledger.EffectAnswer, error) {
		return func(ledger.EffectCall) (ledger.EffectAnswer, error) {
			return ledger.EffectAnswer{}, &ledger.CallError{Class: class, Detail: "d", Err: cause}
		}
	}
	for name, c := range map[string]struct {
		answer func(ledger.EffectCall) (ledger.EffectAnswer, error)
		landed bool // the effect is there nevertheless
		want   string
	}{
		"200":               {status(200), true, "applied applied"},
		"202, done":         {status(202), true, "applied applied"},
		"202, not done":     {status(202), false, "in_doubt intended"},
		"303":               {status(303), false, "in_doubt intended"},
		"400":               {status(400), false, "void void"},
		"400, done":         {status(400), true, "in_doubt intended"},
		"401":               {status(401), false, "void void"},
		"404":               {status(404), false, "void void"},
		"409":               {status(409), false, "void void"},
		"409, done":         {status(409), true, "in_doubt intended"},
		"412":               {status(412), false, "void void"},
		"429":               {status(429), false, "void void"},
		"500":               {status(500), false, "in_doubt intended"},
		"503":               {status(503), false, "in_doubt intended"},
		"refused":           {fails(ledger.CallNotSent, nil), false, "void void not_sent"},
		"away":              {fails(ledger.CallAway, nil), false, "void void away"},
		"denied":            {fails(ledger.CallDenied, nil), false, "void void denied"},
		"lost":              {fails(ledger.CallAmbiguous, nil), false, "in_doubt intended ambiguous"},
		"lost, done":        {fails(ledger.CallAmbiguous, nil), true, "in_doubt intended ambiguous"},
		"no answer in time": {fails(ledger.CallAmbiguous, context.DeadlineExceeded), true, "in_doubt intended timeout"},
		"no known error":    {func(ledger.EffectCall) (ledger.EffectAnswer, error) { return ledger.EffectAnswer{}, errors.New("x") }, true, "in_doubt intended ambiguous"},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := newDoer(t)
			p.Set("/a", `1`)
			p.answer = func(call ledger.EffectCall) (ledger.EffectAnswer, error) {
				if c.landed {
					p.Set("/a", `2`)
				}
				return c.answer(call)
			}
			out := s.mustDo(put("/a", `2`), "k")
			e := s.wantEffect(out, c.want)
			if out.Outcome == ledger.EffectInDoubt && (e.Detail != out.Detail || !strings.Contains(e.Detail, "in doubt")) {
				t.Errorf("the entry says %q, the answer %q", e.Detail, out.Detail)
			}
			s.now = e.PerformBy.Add(time.Second) // the run looks
			if run := s.roll(); !run.Complete || p.Get("/a") != `1` {
				t.Errorf("after the rollback %s, %+v", p.Get("/a"), run.Counts)
			}
		})
	}
	s, p := newDoer(t)
	p.Set("/a", `1`)
	p.coy = true
	p.after = func(ledger.EffectCall) (*ledger.EffectAnswer, error) { return nil, errors.New("lost") }
	e := s.wantEffect(s.mustDo(put("/a", `2`), "k"), "in_doubt intended ambiguous")
	s.now = e.PerformBy.Add(time.Second)
	if run := s.roll(); run.Complete || run.Counts.Stuck != 1 || p.Get("/a") != `2` {
		t.Errorf("an effect that nobody can tell is guessed at: %+v", run.Counts)
	}
}

// A third party that cannot be reached before a call: nothing is sent, nothing recorded, and the same key works once it
// is there. One that answers nonsense refuses the call, as it does an intent.
func TestEffectAtAThirdPartyThatIsAway(t *testing.T) {
	for class, want := range map[ledger.CallClass]string{
		ledger.CallNotSent: "not_sent", ledger.CallAway: "away", ledger.CallDenied: "denied", ledger.CallAmbiguous: "not_sent",
		ledger.CallAuth: "", ledger.CallAnswered: "",
	} {
		s, p := newDoer(t)
		p.Set("/a", `1`)
		p.blind = &ledger.CallError{Class: class, Detail: "the connection was refused"}
		out, err := s.do(put("/a", `2`), "k")
		switch {
		case want == "":
			if ledger.CodeOf(err) != ledger.CodeConflict {
				t.Errorf("%s: %+v, %v", class, out, err)
			}
		case err != nil || out.Entry != nil || out.Outcome != ledger.EffectVoid || out.Failure != want || !strings.Contains(out.Detail, "the connection was refused"):
			t.Errorf("%s: %+v, %v", class, out, err)
		}
		list, err := s.store.ListEntries(t.Context(), ledger.EntryQuery{WindowID: s.window, Limit: 10})
		if err != nil || len(list) > 0 || p.sent > 0 {
			t.Errorf("%s: %d entries, %d calls, %v", class, len(list), p.sent, err)
		}
		p.blind = nil
		s.wantEffect(s.mustDo(put("/a", `2`), "k"), "applied applied")
	}
}

// A refusal of a create whose name nobody knows: nothing can be looked at.
func TestEffectRefusedWithoutAName(t *testing.T) {
	for code, want := range map[int]string{400: "void void", 422: "void void", 403: "void void", 409: "in_doubt intended", 408: "in_doubt intended"} {
		s, p := newDoer(t)
		p.derived = ledger.Derived{Names: map[string]string{"path": "/id"}}
		p.deriveFn = func(d *ledger.Draft) {
			d.Kind, d.Action, d.Resource = "test", ledger.ActionCreate, json.RawMessage(`{}`)
		}
		p.answer = func(ledger.EffectCall) (ledger.EffectAnswer, error) { return ledger.EffectAnswer{Status: code}, nil }
		s.wantEffect(s.mustDo(put("/hooks", `{}`), ""), want)
	}
}

// What the profile says of an answer counts, whatever its status is good for elsewhere; what is asked for is the
// after-image as long as the third party shows nothing of it.
func TestEffectWithItsOwnSuccess(t *testing.T) {
	for code, want := range map[int]string{302: "applied applied", 202: "applied applied", 303: "in_doubt intended", 403: "void void"} {
		s, p := newDoer(t)
		p.Set("/a", `1`)
		p.derived = ledger.Derived{Success: []int{302, 202}}
		p.deriveFn = func(d *ledger.Draft) {
			d.Kind, d.Action, d.Resource, d.After = "test", ledger.ActionUpdate, json.RawMessage(`{"path":"/a"}`), ledger.Image{JSON: json.RawMessage(`2`)}
		}
		p.answer = func(ledger.EffectCall) (ledger.EffectAnswer, error) { return ledger.EffectAnswer{Status: code}, nil }
		if e := s.wantEffect(s.mustDo(put("/a", `2`), ""), want); string(e.After.JSON) != `2` {
			t.Errorf("%d: the after-image is %s", code, e.After.JSON)
		}
	}
}

// The id that came back completes the resource, and the after-image is read by it.
func TestEffectNamesWhatItMade(t *testing.T) {
	s, p := newDoer(t)
	p.derived = ledger.Derived{Names: map[string]string{"path": "/hook/path"}}
	p.deriveFn = func(d *ledger.Draft) {
		d.Kind, d.Action, d.Resource = "test", ledger.ActionCreate, json.RawMessage(`{"in":"hooks"}`)
	}
	p.after = func(ledger.EffectCall) (*ledger.EffectAnswer, error) {
		p.Set("/hooks/7", `{"x":1}`)
		return &ledger.EffectAnswer{Status: 201, Body: []byte(`{"hook":{"path":"/hooks/7"}}`)}, nil
	}
	e := s.wantEffect(s.mustDo(put("/hooks", `{}`), ""), "applied applied")
	if string(e.Resource) != `{"in":"hooks","path":"/hooks/7"}` || string(e.After.JSON) != `{"x":1}` || !e.Before.IsAbsent() {
		t.Errorf("resource %s, before %s, after %s", e.Resource, e.Before.JSON, e.After.JSON)
	}
	p.after = func(ledger.EffectCall) (*ledger.EffectAnswer, error) {
		return &ledger.EffectAnswer{Status: 201, Body: []byte(`{"hook":{"path":null}}`)}, nil
	}
	out := s.mustDo(put("/hooks", `{}`), "")
	s.wantEffect(out, "applied applied")
	if !strings.Contains(out.Detail, "no name") {
		t.Errorf("an answer without the id: %q", out.Detail)
	}
}
