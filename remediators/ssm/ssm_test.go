package ssm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

const old, new1 = "canary-value-old", "canary-value-new"

// begin opens a window of a real ledger over a store.
func begin(t *testing.T) (*store, *windowtest.Window) {
	t.Helper()
	s := startStore(t)
	return s, setup.At(s.URL).Open(t)
}

// captured records an effect whose images are captured, and makes it.
func captured(w *windowtest.Window, action ledger.Action, resource string, effectFunc func()) *ledger.Entry {
	w.T.Helper()
	e := w.Record(ledger.Draft{
		System: "config", Kind: Kind, Action: action, State: ledger.EntryIntended, Capture: true, Resource: json.RawMessage(resource),
	})
	effectFunc()
	return w.Applied(e, "", "")
}

// silent fails if a value of a SecureString stands anywhere in what the ledger keeps or says.
func silent(w *windowtest.Window) {
	w.T.Helper()
	records, err := w.Ledger.Records(w.T.Context(), ledger.RecordQuery{WindowID: w.ID, Limit: 10000})
	if err != nil || len(records) == 0 {
		w.T.Fatal(err)
	}
	said := ""
	for _, r := range records {
		said += string(r.Body)
	}
	entries, err := w.Ledger.Entries(w.T.Context(), ledger.EntryQuery{WindowID: w.ID, Limit: 10000})
	if err != nil {
		w.T.Fatal(err)
	}
	raw, _ := json.Marshal(entries)
	if said += string(raw); strings.Contains(said, "canary-value") || strings.Contains(said, "ciphertext") || strings.Contains(said, remediatortest.Secret) {
		w.T.Errorf("a secret is kept: %s", said)
	}
}

func TestSecureString(t *testing.T) {
	s, w := begin(t)
	s.write("/db", secureString, old, "KeyId", "alias/shop", "Description", "the shop's")
	e := captured(w, ledger.ActionUpdate, `{"name":"/db"}`, func() { s.write("/db", secureString, new1, "Description", "changed") })
	if e = w.Entry(e); !strings.Contains(string(e.Before.JSON), `"version":1`) || !strings.Contains(string(e.After.JSON), `"version":2`) {
		t.Fatalf("captured %s, %s", e.Before.JSON, e.After.JSON)
	}
	s.set(func() { s.said = nil })
	steps := w.WantPlan("undo")
	s.set(func() {
		if strings.Contains(fmt.Sprint(s.said), "GetParameter ") {
			t.Errorf("a plan read a value: %s", s.said)
		}
	})
	if raw, _ := json.Marshal(steps); strings.Contains(string(raw), "canary-value") || !strings.Contains(string(raw), "$secret:version:1") {
		t.Errorf("the plan says %s", raw)
	}
	w.Rollback()
	w.Want(e, "undone undone")
	s.want("/db", old)
	s.set(func() {
		newest := s.kept["/db"][2]
		if newest["KeyId"] != "alias/shop" || newest["Description"] != "the shop's" || s.puts != 1 {
			t.Errorf("it came back as %v by %d calls", newest, s.puts)
		}
	})
	w.WantVerify("same")
	silent(w)
}

// TestSecureStringDrift: another value is left alone, also under the number that the old version had before a delete.
func TestSecureStringDrift(t *testing.T) {
	s, w := begin(t)
	s.write("/db", secureString, old)
	s.write("/again", secureString, old)
	e := captured(w, ledger.ActionUpdate, `{"name":"/db"}`, func() { s.write("/db", secureString, new1) })
	again := captured(w, ledger.ActionUpdate, `{"name":"/again"}`, func() { s.write("/again", secureString, new1) })
	s.write("/db", secureString, "canary-value-theirs")
	s.remove("/again")
	s.write("/again", secureString, "canary-value-theirs")
	w.Rollback()
	w.Want(e, "stuck drifted")
	w.Want(again, "stuck drifted")
	s.want("/db", "canary-value-theirs")
	s.want("/again", "canary-value-theirs")
	silent(w)
}

// TestSecureStringLost: a version that is not kept any more is missed, and nothing is written.
func TestSecureStringLost(t *testing.T) {
	s, w := begin(t)
	s.most = 1
	s.write("/db", secureString, old)
	e := captured(w, ledger.ActionUpdate, `{"name":"/db"}`, func() { s.write("/db", secureString, new1) })
	w.WantPlan("blocked")
	w.Rollback()
	if e = w.Want(e, "stuck blocked"); !strings.Contains(e.Detail, "secret_missing") {
		t.Errorf("detail %q", e.Detail)
	}
	s.want("/db", new1)
	silent(w)
}

// TestSecureStringDeleted: a delete takes all versions along. The value comes from the system's secrets, or not at all.
func TestSecureStringDeleted(t *testing.T) {
	s := startStore(t)
	with := setup.At(s.URL)
	with.Config.Secrets = map[string]string{"db": "env:DB_VALUE"}
	with.GetenvFunc = func(name string) string {
		return map[string]string{"AWS_KEY": setup.Secret, "DB_VALUE": old}[name]
	}
	w := with.Open(t)
	s.write("/db", secureString, old)
	s.write("/lost", secureString, old)
	e := captured(w, ledger.ActionDelete, `{"name":"/db","secret":"db"}`, func() { s.remove("/db") })
	lost := captured(w, ledger.ActionDelete, `{"name":"/lost"}`, func() { s.remove("/lost") })
	if w.Entry(lost).Reversible != ledger.ReversibleNone {
		t.Errorf("graded %s", w.Entry(lost).Reversible)
	}
	rem := with.Bind(t)
	rested := *w.Entry(e)
	if ans, err := rem.Undo(t.Context(), &rested, ledger.Look{Known: true, Now: ledger.Absent, Proven: true}); err != nil || ans.Class != ledger.AnswerRetry || ans.RetryAfter > aftermath || s.puts != 0 {
		t.Errorf("right after the delete: %+v, %v", ans, err)
	}
	rested.AppliedAt = time.Now().Add(-time.Minute)
	seen, err := rem.Look(t.Context(), &rested)
	if err != nil || !seen.Proven {
		t.Fatalf("look %+v, %v", seen, err)
	}
	if ans, err := rem.Undo(t.Context(), &rested, seen); err != nil || ans.Class != ledger.AnswerAccepted {
		t.Errorf("undo %+v, %v", ans, err)
	}
	s.want("/db", old)
	if seen, err = rem.Look(t.Context(), &rested); err != nil || !ledger.Compare(rested.Before, rested.After, seen.Now, seen.Scope).Before {
		t.Errorf("it shows %s, %v; want %s", seen.Now.JSON, err, rested.Before.JSON)
	}
	silent(w)
}

func TestString(t *testing.T) {
	s, w := begin(t)
	s.write("/a", "String", "one", "Description", "d", "AllowedPattern", "[a-z]+")
	s.write("/c", "StringList", "a,b")
	update := captured(w, ledger.ActionUpdate, `{"name":"/a"}`, func() { s.write("/a", "String", "two", "Tier", "Advanced") })
	create := captured(w, ledger.ActionCreate, `{"name":"/b"}`, func() { s.write("/b", "String", "new") })
	gone := captured(w, ledger.ActionCreate, `{"name":"/gone"}`, func() { s.write("/gone", "String", "new") })
	s.remove("/gone")
	drifted := captured(w, ledger.ActionUpdate, `{"name":"/c"}`, func() { s.write("/c", "StringList", "a") })
	s.write("/c", "StringList", "z")
	w.Rollback()
	w.Want(update, "undone compensated") // it stays Advanced
	w.Want(create, "undone undone")
	w.Want(gone, "undone already_undone")
	w.Want(drifted, "stuck drifted")
	s.want("/a", "one")
	s.want("/b", "")
	s.want("/c", "z")
	if s.kept["/a"][2]["Description"] != "d" || s.kept["/a"][2]["AllowedPattern"] != "[a-z]+" {
		t.Errorf("it came back as %v", s.kept["/a"][2])
	}
}

// TestSecureStringTwice: what the undo of the second change has written as a new version is what the first one left.
func TestSecureStringTwice(t *testing.T) {
	s, w := begin(t)
	var list []*ledger.Entry
	for i, value := range []string{"one", "two", "three"} {
		action := ledger.ActionUpdate
		if i == 0 {
			action = ledger.ActionCreate
		}
		list = append(list, captured(w, action, `{"name":"/db"}`, func() { s.write("/db", secureString, "canary-value-"+value) }))
	}
	w.Rollback()
	for _, e := range list {
		w.Want(e, "undone undone")
	}
	s.want("/db", "")
	silent(w)
}

// TestLostAnswer: an undo whose answer was lost is looked into, not sent again.
func TestLostAnswer(t *testing.T) {
	s, w := begin(t)
	s.write("/db", secureString, old)
	e := captured(w, ledger.ActionUpdate, `{"name":"/db"}`, func() { s.write("/db", secureString, new1) })
	s.lose = true
	w.Rollback()
	w.Want(e, "undone undone")
	s.want("/db", old)
	if s.puts != 1 {
		t.Errorf("%d calls changed something, want 1", s.puts)
	}
}

// TestErrorsByName: AWS says by a name behind a 400 what others say by a status.
func TestErrorsByName(t *testing.T) {
	s := startStore(t)
	s.write("/a", "String", "new")
	rem := setup.At(s.URL).Bind(t)
	e := &ledger.Entry{State: ledger.EntryApplied, Draft: draft(ledger.ActionUpdate, "/a", document("", "old"), document("", "new"))}
	for code, want := range map[string]string{
		"ThrottlingException": "retry", "com.amazonaws.ssm#TooManyUpdates": "retry", "AccessDeniedException": "auth", "ExpiredTokenException": "auth",
		"ParameterAlreadyExists": "conflict", "ParameterNotFound": "gone", "ParameterMaxVersionLimitExceeded": "denied", "ValidationException": "refused",
	} {
		seen, err := rem.Look(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		s.set(func() { s.once = code })
		ans, err := rem.Undo(t.Context(), e, seen)
		got := string(ans.Class)
		if call, ok := err.(*ledger.CallError); ok { //nolint:errorlint // the remediator returns nothing else
			got = string(call.Class)
		}
		if got != want || want == "retry" && ans.RetryAfter <= 0 {
			t.Errorf("%s is %s (%+v, %v), want %s", code, got, ans, err, want)
		}
	}
	s.set(func() { s.deny = "GetParameterHistory" })
	if seen, err := rem.Look(t.Context(), e); err == nil || !strings.Contains(err.Error(), "AccessDeniedException") {
		t.Errorf("a look without permission: %+v, %v", seen, err)
	}
}

// TestOvertaken: what somebody wrote between the look and the undo is overwritten, which is said.
func TestOvertaken(t *testing.T) {
	s := startStore(t)
	s.write("/a", "String", "new")
	rem := setup.At(s.URL).Bind(t)
	e := &ledger.Entry{State: ledger.EntryApplied, Draft: draft(ledger.ActionUpdate, "/a", document("", "old"), document("", "new"))}
	seen, err := rem.Look(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	s.write("/a", "String", "theirs")
	if ans, err := rem.Undo(t.Context(), e, seen); err != nil || len(ans.Residue) != 1 || !strings.Contains(ans.Residue[0], "version 2") {
		t.Errorf("%+v, %v", ans, err)
	}
}

func TestRefused(t *testing.T) {
	rem := setup.At("http://127.0.0.1:1").Bind(t)
	secure := json.RawMessage(`{"type":"SecureString","value":"canary-value"}`)
	for field, d := range map[string]ledger.Draft{
		"/resource":    draft(ledger.ActionUpdate, "arn:aws:ssm:x:1:parameter/a", document("", "a"), document("", "b")),
		"/before":      {Resource: named("/a"), Before: ledger.Image{JSON: secure}},
		"/after":       {Resource: named("/a"), After: ledger.Image{JSON: json.RawMessage(`{"type":"String","version":1}`)}},
		"/before/type": {Resource: named("/a"), Before: ledger.Image{JSON: json.RawMessage(`{"type":"Text","value":"a"}`)}},
	} {
		d.Kind = Kind
		_, err := rem.Check(&d)
		var e *ledger.Error
		if !errors.As(err, &e) || strings.Contains(err.Error(), "canary") || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestList(t *testing.T) {
	s := startStore(t)
	s.write("/app/a", "String", "x")
	s.write("/other", "String", "x")
	rem := setup.At(s.URL).Bind(t)
	lister, ok := rem.(ledger.Lister)
	if !ok {
		t.Fatal("it lists nothing")
	}
	for place, want := range map[string]int{`{}`: 2, `{"name":"/app/"}`: 1, `{"name":"/app/a"}`: 2} {
		got, err := lister.List(t.Context(), Kind, json.RawMessage(place))
		if err != nil || len(got.Items) != want || got.Part || got.Items[0].Changed.Year() != 2023 {
			t.Errorf("%s: %+v, %v", place, got, err)
		}
	}
}
