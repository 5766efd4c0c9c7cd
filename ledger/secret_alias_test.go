package ledger_test

import (
	"encoding/json"
	"strings"
	"testing"

	"sideledger/ledger"
)

// refusedOver checks that a recording or a report was refused over one field, and that nothing repeats the secret.
func (s *stand) refusedOver(what, field string, err error, plant string) {
	s.Helper()
	var e *ledger.Error
	if !asError(err, &e) || e.Code != ledger.CodeInvalid || e.Field != field || strings.Contains(err.Error(), plant) {
		s.Errorf("%s: %v, want it refused over %s", what, err, field)
	}
	if found := s.leaks(plant); len(found) > 0 {
		s.Errorf("%s: %q can be read", what, found)
	}
}

// A resource names itself in the open, and so does an alias: neither what the images show as its name, nor what a report says of
// it, may be a secret.
func TestNoSecretBecomesAName(t *testing.T) {
	const name = "/canary-alpha"
	t.Run("a member of the name is marked", func(t *testing.T) {
		s := newStand(t)
		s.third.Rename = true
		for _, secret := range []string{"/path", "/after/path"} {
			d := update("/a", `{"v":1}`, `{"v":2,"path":"`+name+`"}`)
			d.State, d.Secret = ledger.EntryApplied, []string{"/v", secret}
			_, err := s.record(d)
			s.refusedOver(secret, "/secret/1", err, name)
			d.Action, d.State, d.Resource, d.Before, d.After = ledger.ActionCreate, ledger.EntryIntended, json.RawMessage(`{"kind":"x"}`), ledger.Absent, ledger.Image{}
			e := s.mustRecord(d)
			_, err = s.ledger.Applied(s.Context(), e.ID, ledger.Report{Resource: json.RawMessage(`{"path":"` + name + `"}`)})
			s.refusedOver("completed later", "/resource/path", err, name)
		}
	})
	t.Run("the after-image says a name that is the value of a secret field", func(t *testing.T) {
		s := newStand(t)
		s.third.Rename = true
		d := update("/a", `{"v":1}`, `{"token":"`+name+`","path":"`+name+`"}`)
		d.State, d.Secret = ledger.EntryApplied, []string{"/token"}
		_, err := s.record(d)
		s.refusedOver("a fact", "/resource/path", err, name)
		d.State, d.After = ledger.EntryIntended, ledger.Image{}
		e := s.mustRecord(d)
		_, err = s.ledger.Applied(s.Context(), e.ID, ledger.Report{After: doc(`{"token":"` + name + `","path":"` + name + `"}`)})
		s.refusedOver("a report", "/resource/path", err, name)
	})
	t.Run("a report says a name that is the value of a secret field", func(t *testing.T) {
		s := newStand(t)
		s.third.Rename = true
		d := update("/a", `{"token":"`+name+`"}`, `{"token":"canary-beta"}`)
		d.Secret = []string{"/token"}
		e := s.mustRecord(d)
		_, err := s.ledger.Applied(s.Context(), e.ID, ledger.Report{Resource: json.RawMessage(`{"path":"` + name + `"}`)})
		s.refusedOver("a report", "/resource/path", err, name)
	})
	t.Run("an undo is answered with one", func(t *testing.T) {
		s := newStand(t)
		d := update("/a", `{"token":"`+name+`"}`, `{"token":"canary-beta"}`)
		d.Secret = []string{"/token"}
		e := s.fact(d)
		s.third.Post = true
		s.third.OnAnswer = func(int, string) (ledger.Answer, bool) {
			return ledger.Answer{Class: ledger.AnswerAccepted, Status: 200, Alias: json.RawMessage(`{"path":"` + name + `"}`)}, true
		}
		run := s.roll()
		got, err := s.ledger.Entry(s.Context(), e.ID)
		if err != nil || run.Complete || got.State != ledger.EntryStuck || got.Reason != ledger.ReasonInDoubt || got.Alias != nil {
			t.Errorf("%v: it is %s %s %q, %+v", err, got.State, got.Reason, got.Detail, got.Alias)
		}
		if found := s.leaks(name); len(found) > 0 {
			t.Errorf("%q can be read", found)
		}
	})
}
