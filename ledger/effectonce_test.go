package ledger_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
)

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

// What was deleted cannot be captured again: who asks for the call again hears of its entry all the same.
func TestEffectKilledAfterADelete(t *testing.T) {
	s, p := newDoer(t)
	p.Set("/a", `1`)
	p.after = func(ledger.EffectCall) (*ledger.EffectAnswer, error) { panic("killed") }
	gone := ledger.EffectCall{Method: "DELETE", Path: "/a"}
	func() {
		defer func() { _ = recover() }()
		_, _ = s.do(gone, "k")
	}()
	p.after = nil
	s.wantEffect(s.mustDo(gone, "k"), "replayed intended")
	if p.sent != 1 {
		t.Errorf("%d calls", p.sent)
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

// One key at two replicas, of which one is refused what the other one is about to do: what is there first holds for both. A
// refusal that is kept means that no call is made; an intent that is there means that nobody hears of the refusal.
func TestEffectRefusedBesideItsIntent(t *testing.T) {
	key := func() *ledger.Once {
		return &ledger.Once{
			Key: ledger.ReplyKey{TokenID: "t", Method: "POST", Path: "/p", Key: "k"}, RequestHash: [32]byte{1},
			RenderFunc: func(any) (ledger.Reply, error) { return ledger.Reply{Status: 201, Body: []byte("made")}, nil },
		}
	}
	call := func(s *stand, o *ledger.Once) error {
		_, err := s.ledger.Effect(ledger.WithOnce(s.Context(), o), s.window, ledger.Draft{System: "sys"}, put("/a", `1`))
		return err
	}
	var replay *ledger.ReplayError
	t.Run("the refusal first", func(t *testing.T) {
		s, p := newDoer(t)
		p.deriveFn = func(d *ledger.Draft) { // the other one is refused between the first look at the key and the intent
			o := key()
			p.deriveFn = func(d *ledger.Draft) { d.Kind, d.Action = "", "" }
			if err := call(s, o); ledger.CodeOf(err) != ledger.CodeInvalid {
				t.Errorf("the other one: %v", err)
			}
			if err := s.ledger.KeepReply(t.Context(), o, ledger.Reply{Status: 422, Body: []byte("refused")}); err != nil {
				t.Error(err)
			}
			p.deriveFn = nil
			d.Kind, d.Action, d.Resource = "test", ledger.ActionCreate, json.RawMessage(`{"path":"/a"}`)
		}
		for range 2 {
			if err := call(s, key()); !errors.As(err, &replay) || string(replay.Reply.Body) != "refused" || p.sent != 0 {
				t.Errorf("%v, %d calls", err, p.sent)
			}
		}
	})
	t.Run("the intent first", func(t *testing.T) {
		s, p := newDoer(t)
		p.deriveFn = func(d *ledger.Draft) { // the other one makes the call before this one is refused
			p.deriveFn = nil
			if err := call(s, key()); err != nil {
				t.Error(err)
			}
			d.Kind, d.Action = "", ""
		}
		for range 2 {
			if err := call(s, key()); !errors.As(err, &replay) || string(replay.Reply.Body) != "made" || p.sent != 1 {
				t.Errorf("%v, %d calls", err, p.sent)
			}
		}
	})
}
