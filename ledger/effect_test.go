package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// A doer is a third party in memory through which the ledger makes calls: "PUT /a" with a body writes the document at
// /a, DELETE removes it.
type doer struct {
	*ledgertest.Third
	sent     int                                                     // calls that had their effect
	derived  ledger.Derived                                          // what Derive returns
	before   func()                                                  // runs when the call has its turn, before it is ready
	answer   func(c ledger.EffectCall) (ledger.EffectAnswer, error)  // in place of the effect; nil: it happens
	after    func(c ledger.EffectCall) (*ledger.EffectAnswer, error) // in place of the answer, after the effect
	deriveFn func(d *ledger.Draft)
	coy      bool // what a call asks for does not say what the resource will be
}

func (p *doer) Find(name string) (ledger.System, ledger.Remediator, error) {
	sys, _, err := p.Third.Find(name)
	return sys, p, err
}

func (p *doer) Admits(ledger.EffectCall) error { return nil }

func (p *doer) Derive(_ context.Context, c ledger.EffectCall, d *ledger.Draft) (ledger.Derived, error) {
	if p.deriveFn != nil {
		p.deriveFn(d)
		return p.derived, nil
	}
	d.Kind, d.Resource = "test", json.RawMessage(`{"path":"`+c.Path+`"}`)
	switch {
	case c.Method == http.MethodDelete:
		d.Action = ledger.ActionDelete
	case p.Get(c.Path) == "":
		d.Action = ledger.ActionCreate
	default:
		d.Action = ledger.ActionUpdate
	}
	if c.Method != http.MethodDelete && !p.coy {
		d.After = ledger.Image{JSON: c.Body}
	}
	return p.derived, nil
}

func (p *doer) Send(_ context.Context, c ledger.EffectCall, readyFunc func() error) (ledger.EffectAnswer, error) {
	if p.before != nil {
		p.before()
	}
	if err := readyFunc(); err != nil {
		return ledger.EffectAnswer{}, err
	}
	if p.answer != nil {
		return p.answer(c)
	}
	p.sent++
	switch {
	case c.Method == http.MethodDelete:
		p.Drop(c.Path)
	case !c.Reads():
		p.Set(c.Path, string(c.Body))
	}
	if p.after != nil {
		if a, err := p.after(c); a != nil || err != nil {
			if err != nil {
				return ledger.EffectAnswer{}, err
			}
			return *a, nil
		}
	}
	return ledger.EffectAnswer{Status: 200, Body: []byte(p.Get(c.Path))}, nil
}

func newDoer(t *testing.T) (*stand, *doer) {
	t.Helper()
	s := newStand(t)
	p := &doer{Third: s.third}
	s.ledger = ledger.New(ledger.Config{
		Store: s.store, Systems: p, Clock: s.clock, Log: slog.New(slog.DiscardHandler), Waker: noWaker{}, Cipher: testCipher(t),
	})
	return s, p
}

func put(at, body string) ledger.EffectCall {
	return ledger.EffectCall{Method: "PUT", Path: at, Body: []byte(body)}
}

// do makes a call under an Idempotency-Key; "" is none.
func (s *stand) do(c ledger.EffectCall, key string, with ...func(*ledger.Draft)) (*ledger.Effected, error) {
	d := ledger.Draft{System: "sys"}
	for _, fn := range with {
		fn(&d)
	}
	ctx := s.Context()
	if key != "" {
		ctx = ledger.WithOnce(ctx, &ledger.Once{
			Key: ledger.ReplyKey{TokenID: "t", Method: "POST", Path: "/p", Key: key}, RequestHash: [32]byte{1},
			RenderFunc: func(v any) (ledger.Reply, error) {
				e := v.(*ledger.Effected)
				body := "no answer"
				if e.Answer != nil {
					body = string(e.Answer.Body)
				}
				return ledger.Reply{Status: 201, Body: []byte(string(e.Outcome) + " " + string(e.Entry.State) + " " + body)}, nil
			},
		})
	}
	return s.ledger.Effect(ctx, s.window, d, c)
}

func (s *stand) mustDo(c ledger.EffectCall, key string, with ...func(*ledger.Draft)) *ledger.Effected {
	s.Helper()
	out, err := s.do(c, key, with...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// wantEffect compares outcome, the state of the entry as it is stored, and the failure.
func (s *stand) wantEffect(out *ledger.Effected, want string) *ledger.Entry {
	s.Helper()
	e, err := s.ledger.Entry(s.Context(), out.Entry.ID)
	if err != nil {
		s.Fatal(err)
	}
	if got := strings.TrimSpace(string(out.Outcome) + " " + string(e.State) + " " + out.Failure); got != want {
		s.Errorf("it is %q (%s), want %q", got, out.Detail, want)
	}
	return e
}

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

func TestEffectReplayMakesNoSecondCall(t *testing.T) {
	s, p := newDoer(t)
	s.mustDo(put("/a", `1`), "k")
	_, err := s.do(put("/a", `1`), "k")
	var replay *ledger.ReplayError
	if !errors.As(err, &replay) || string(replay.Reply.Body) != "applied applied 1" || p.sent != 1 {
		t.Errorf("the same key: %v, %d calls", err, p.sent)
	}
	id := ledger.NewID()
	mine := func(d *ledger.Draft) { d.ID = id }
	s.mustDo(put("/b", `1`), "", mine)
	p.Drop("/b") // so that the call says the same of its entry again
	s.wantEffect(s.mustDo(put("/b", `1`), "", mine), "replayed applied")
	if p.sent != 2 {
		t.Errorf("%d calls, want 2", p.sent)
	}
	p.deriveFn = func(d *ledger.Draft) {
		d.Kind, d.Action, d.Resource = "test", ledger.ActionCreate, json.RawMessage(`{"path":"/c"}`)
	}
	if _, err := s.do(put("/c", `1`), "", mine); ledger.CodeOf(err) != ledger.CodeConflict || p.sent != 2 {
		t.Errorf("another call under the same id: %v", err)
	}
}

// The process dies between the intent and the report: before the call, and after it.
func TestEffectKilledBetween(t *testing.T) {
	for name, landed := range map[string]bool{"before the call": false, "after the call": true} {
		t.Run(name, func(t *testing.T) {
			s, p := newDoer(t)
			p.Set("/a", `1`)
			p.answer = func(ledger.EffectCall) (ledger.EffectAnswer, error) {
				if landed {
					p.sent++
					p.Set("/a", `2`)
				}
				panic("killed")
			}
			func() {
				defer func() { _ = recover() }()
				_, _ = s.do(put("/a", `2`), "k")
			}()
			p.answer = nil
			calls := p.sent
			out := s.mustDo(put("/a", `2`), "k")
			e := s.wantEffect(out, "replayed intended")
			if p.sent != calls || out.Answer != nil || !strings.Contains(out.Detail, "in doubt") {
				t.Errorf("asked again: %d calls more, %+v", p.sent-calls, out)
			}
			s.now = e.PerformBy.Add(time.Second)
			if run := s.roll(); !run.Complete || p.Get("/a") != `1` {
				t.Errorf("after the rollback %s, %+v", p.Get("/a"), run.Counts)
			}
		})
	}
}

// A rollback begins between the intent and the call, or the intent's time runs out: nothing is sent.
func TestEffectNotMadeOnceItsIntentFell(t *testing.T) {
	for name, fell := range map[string]func(s *stand){
		"a rollback": func(s *stand) {
			if _, err := s.ledger.StartRollback(s.Context(), s.window, ledger.RollbackRequest{}); err != nil {
				s.Fatal(err)
			}
		},
		"its time": func(s *stand) { s.now = s.now.Add(ledger.DefaultPerform) },
		"voided": func(s *stand) {
			list, err := s.ledger.Entries(s.Context(), ledger.EntryQuery{WindowID: s.window, Limit: 1})
			if err != nil {
				s.Fatal(err)
			}
			if _, err := s.ledger.Void(s.Context(), list[0].ID, "test"); err != nil {
				s.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := newDoer(t)
			p.before = func() { fell(s) }
			s.wantEffect(s.mustDo(put("/a", `1`), "k"), "void void fenced")
			if p.sent != 0 {
				t.Error("the call was made")
			}
		})
	}
}

// A rollback that begins while the call is on its way waits for it: the report comes late and is undone.
func TestEffectOvertakenByARollback(t *testing.T) {
	s, p := newDoer(t)
	p.Set("/a", `1`)
	p.after = func(ledger.EffectCall) (*ledger.EffectAnswer, error) {
		run, err := s.ledger.StartRollback(s.Context(), s.window, ledger.RollbackRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if w := s.ledger; w == nil || run.State.Over() {
			t.Error("the run did not wait")
		}
		return nil, nil
	}
	e := s.wantEffect(s.mustDo(put("/a", `2`), ""), "applied applied")
	if !e.Late {
		t.Error("the report is not late")
	}
	if run := s.finishLast(); !run.Complete || p.Get("/a") != `1` {
		t.Errorf("after the rollback %s, %+v", p.Get("/a"), run.Counts)
	}
}

func TestEffectTakesNothingItCannotRecord(t *testing.T) {
	s, p := newDoer(t)
	p.Set("/a", `1`)
	p.deriveFn = func(*ledger.Draft) {}
	for field, fill := range map[string]func(d *ledger.Draft){
		"/entry/kind":     func(*ledger.Draft) {},
		"/entry/action":   func(d *ledger.Draft) { d.Kind = "test" },
		"/entry/resource": func(d *ledger.Draft) { d.Kind, d.Action = "test", ledger.ActionUpdate },
		"/entry/undo": func(d *ledger.Draft) {
			p.Grade = ledger.ReversibleNone
			d.Kind, d.Action, d.Resource = "test", ledger.ActionUpdate, json.RawMessage(`{"path":"/a"}`)
		},
	} {
		p.Grade = ""
		_, err := s.do(put("/a", `2`), "", fill)
		var e *ledger.Error
		if !asError(err, &e) || e.Code != ledger.CodeInvalid || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	none := func(d *ledger.Draft) {
		d.Kind, d.Action, d.Resource, d.Reversible = "test", ledger.ActionUpdate, json.RawMessage(`{"path":"/a"}`), ledger.ReversibleNone
	}
	e := s.wantEffect(s.mustDo(put("/a", `2`), "", none), "applied applied")
	if !strings.Contains(strings.Join(e.Warnings, " "), "reversible: none") {
		t.Errorf("warnings %v", e.Warnings)
	}
	if _, err := s.ledger.Seal(s.Context(), s.window, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.do(put("/a", `3`), "", none); ledger.CodeOf(err) != ledger.CodeConflict || p.sent != 1 {
		t.Errorf("in a sealed window: %v, %d calls", err, p.sent)
	}
}

// What a third party shows after the call is the after-image, unless it still shows what was there before.
func TestEffectAfterImage(t *testing.T) {
	s, p := newDoer(t)
	p.Set("/a", `{"a":1}`)
	shows := func(doc string) func(ledger.EffectCall) (*ledger.EffectAnswer, error) {
		return func(ledger.EffectCall) (*ledger.EffectAnswer, error) { p.Set("/a", doc); return nil, nil }
	}
	p.after = shows(`{"a":2,"added":true}`)
	if e := s.wantEffect(s.mustDo(put("/a", `{"a":2}`), ""), "applied applied"); string(e.After.JSON) != `{"a":2,"added":true}` {
		t.Errorf("the after-image is %s", e.After.JSON)
	}
	p.after = shows(`{"a":2,"added":true}`)
	if e := s.wantEffect(s.mustDo(put("/a", `{"a":3}`), ""), "applied applied"); string(e.After.JSON) != `{"a":3}` {
		t.Errorf("a stale read became the after-image: %s", e.After.JSON)
	}
	p.coy = true
	out := s.mustDo(put("/a", `{"a":4}`), "")
	if s.wantEffect(out, "applied applied"); !strings.Contains(out.Detail, "not yet") {
		t.Errorf("a call without a visible effect says %q", out.Detail)
	}
}

func TestEffectReads(t *testing.T) {
	s, p := newDoer(t)
	p.Set("/a", `1`)
	out := s.mustDo(ledger.EffectCall{Method: "GET", Path: "/a"}, "k")
	if out.Outcome != ledger.EffectRead || out.Entry != nil || string(out.Answer.Body) != `1` {
		t.Errorf("%+v", out)
	}
	if list, err := s.ledger.Entries(t.Context(), ledger.EntryQuery{WindowID: s.window, Limit: 1}); err != nil || len(list) != 0 {
		t.Errorf("a read has an entry: %v, %v", list, err)
	}
}

// Secret fields of the images are kept as ciphertext, and nothing of the answer is kept under the key.
func TestEffectKeepsSecretsHidden(t *testing.T) {
	s, p := newDoer(t)
	p.Set("/a", `{"token":"canary-old"}`)
	secret := func(d *ledger.Draft) { d.Secret = []string{"/token"} }
	out := s.mustDo(put("/a", `{"token":"canary-new"}`), "k", secret)
	s.wantEffect(out, "applied applied")
	if string(out.Answer.Body) != `{"token":"canary-new"}` {
		t.Errorf("the answer is %s", out.Answer.Body)
	}
	_, err := s.do(put("/a", `{"token":"canary-new"}`), "k", secret)
	var replay *ledger.ReplayError
	if !errors.As(err, &replay) || strings.Contains(string(replay.Reply.Body), "canary") {
		t.Errorf("kept under the key: %v", err)
	}
	records, err := s.ledger.Records(t.Context(), ledger.RecordQuery{WindowID: s.window, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if strings.Contains(string(r.Body), "canary") {
			t.Errorf("record %d holds a secret", r.Number)
		}
	}
	if run := s.roll(); !run.Complete || p.Get("/a") != `{"token":"canary-old"}` {
		t.Errorf("after the rollback %s", p.Get("/a"))
	}
}
