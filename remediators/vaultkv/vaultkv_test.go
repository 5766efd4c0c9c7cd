package vaultkv

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
	"sideledger/remediators/windowtest"
)

// bench is a Vault, a window of a real ledger, and somebody who changes secrets by hand.
type bench struct {
	*windowtest.Window
	remediatortest.Hand
	t *testing.T
	s *cards.Server
}

func start(t *testing.T) *bench {
	t.Helper()
	s := cards.Start(t, cards.VaultKV(), remediatortest.Secret)
	with := setup.At(s.URL)
	with.Config.Effects = []string{"POST /v1/secret/data/*", "DELETE /v1/secret/data/*", "DELETE /v1/secret/metadata/*"}
	return &bench{
		Window: with.Open(t), t: t, s: s,
		Hand: remediatortest.Hand{T: t, URL: s.URL + "/v1/secret", Header: map[string]string{"X-Vault-Token": remediatortest.Secret}},
	}
}

func (b *bench) write(path, value string) {
	b.Must("POST", "/data"+path, `{"data":{"v":"canary-`+value+`"}}`)
}

// want fails unless a secret holds this; "": nothing.
func (b *bench) want(path, value string) {
	b.t.Helper()
	status, answer := b.Call("GET", "/data"+path, "")
	if got := status == 200; got != (value != "") || got && !strings.Contains(answer, `"v":"canary-`+value+`"`) {
		b.t.Errorf("%s answers %d %s, want %q", path, status, answer, value)
	}
}

// captured records an effect whose images are captured, and makes it.
func (b *bench) captured(action ledger.Action, path string, effectFunc func()) *ledger.Entry {
	b.t.Helper()
	e := b.Record(ledger.Draft{
		System: "secrets", Kind: Kind, Action: action, State: ledger.EntryIntended, Capture: true, Resource: at(path).resource(),
	})
	effectFunc()
	return b.Applied(e, "", "")
}

// silent fails if something that a secret held stands in what the ledger keeps or says.
func (b *bench) silent() {
	b.t.Helper()
	records, err := b.Ledger.Records(b.t.Context(), ledger.RecordQuery{WindowID: b.ID, Limit: 10000})
	if err != nil || len(records) == 0 {
		b.t.Fatal(err)
	}
	said := ""
	for _, r := range records {
		said += string(r.Body)
	}
	entries, err := b.Ledger.Entries(b.t.Context(), ledger.EntryQuery{WindowID: b.ID, Limit: 10000})
	if err != nil {
		b.t.Fatal(err)
	}
	raw, _ := json.Marshal(entries)
	if said += string(raw); strings.Contains(said, "canary-") {
		b.t.Errorf("a secret is kept: %s", said)
	}
}

func TestTaken(t *testing.T) {
	b := start(t)
	b.write("/up", "old")
	b.write("/down", "old")
	b.write("/odd name/é", "old")
	list := []*ledger.Entry{
		b.captured(ledger.ActionUpdate, "/up", func() { b.write("/up", "new") }),
		b.captured(ledger.ActionCreate, "/made", func() { b.write("/made", "new") }),
		b.captured(ledger.ActionDelete, "/down", func() { b.Must("DELETE", "/data/down", "") }),
		b.captured(ledger.ActionUpdate, "/odd name/é", func() { b.write("/odd%20name/%C3%A9", "new") }),
	}
	steps := b.WantPlan("undo undo undo undo")
	if raw, _ := json.Marshal(steps); strings.Contains(string(raw), "canary-") || !strings.Contains(string(raw), "$secret:version:1") {
		t.Errorf("the plan says %s", raw)
	}
	b.Rollback()
	for _, e := range list {
		b.Want(e, "undone undone")
	}
	b.want("/up", "old")
	b.want("/made", "")
	b.want("/down", "old")
	b.want("/odd%20name/%C3%A9", "old")
	b.WantVerify("same same same same")
	b.silent()
}

// TestWritten: a delete of a secret that was written in between is undone by the old version, not by undeleting the newest.
func TestWritten(t *testing.T) {
	b := start(t)
	b.write("/a", "old")
	e := b.captured(ledger.ActionDelete, "/a", func() {
		b.write("/a", "between")
		b.Must("DELETE", "/data/a", "")
	})
	b.Rollback()
	b.Want(e, "undone undone")
	b.want("/a", "old")
	b.silent()
}

func TestDrift(t *testing.T) {
	b := start(t)
	b.write("/a", "old")
	b.write("/same", "old")
	b.write("/again", "old")
	theirs := b.captured(ledger.ActionUpdate, "/a", func() { b.write("/a", "new") })
	same := b.captured(ledger.ActionUpdate, "/same", func() { b.write("/same", "new") })
	again := b.captured(ledger.ActionUpdate, "/again", func() { b.write("/again", "new") })
	gone := b.captured(ledger.ActionCreate, "/gone", func() { b.write("/gone", "new") })
	b.write("/a", "theirs")
	b.write("/same", "old") // somebody has taken it back already
	b.Must("DELETE", "/metadata/again", "")
	b.write("/again", "theirs") // version 1 of another secret
	b.Must("DELETE", "/metadata/gone", "")
	sent := b.s.Changes()
	b.Rollback()
	b.Want(theirs, "stuck drifted")
	b.Want(same, "undone already_undone")
	b.Want(again, "stuck drifted")
	b.Want(gone, "undone already_undone")
	if b.s.Changes() != sent {
		t.Error("something was sent")
	}
	b.silent()
}

// TestMissing: what Vault does not hold any more is missed, and nothing is written.
func TestMissing(t *testing.T) {
	b := start(t)
	for name, spoil := range map[string]func(path string){
		"destroyed": func(path string) { b.Must("POST", "/destroy"+path, `{"versions":[1]}`) },
		"deleted":   func(path string) { b.Must("POST", "/delete"+path, `{"versions":[1]}`) },
		"pruned": func(path string) {
			b.Must("POST", "/metadata"+path, `{"max_versions":1}`)
			b.write(path, "new")
		},
		"crowded": func(path string) { b.Must("POST", "/metadata"+path, `{"max_versions":2}`) },
	} {
		path := "/" + name
		b.write(path, "old")
		e := b.captured(ledger.ActionUpdate, path, func() {
			b.write(path, "new")
			spoil(path)
		})
		b.WantPlan("blocked")
		b.Rollback()
		if e = b.Want(e, "stuck blocked"); name != "crowded" && !strings.Contains(e.Detail, "secret_missing") {
			t.Errorf("%s: detail %q", name, e.Detail)
		}
		b.want(path, "new")
		b.Window = setup.At(b.s.URL).Open(t)
	}
}

// TestMetadataDeleted: with the metadata everything is gone for good.
func TestMetadataDeleted(t *testing.T) {
	b := start(t)
	b.write("/a", "old")
	e := b.captured(ledger.ActionDelete, "/a", func() { b.Must("DELETE", "/metadata/a", "") })
	b.Rollback()
	if e = b.Want(e, "stuck blocked"); !strings.Contains(e.Detail, "secret_missing") {
		t.Errorf("detail %q", e.Detail)
	}
}

// TestBetween: what somebody writes between the look and the undo is not overwritten, and not deleted.
func TestBetween(t *testing.T) {
	b := start(t)
	rem := setup.At(b.s.URL).Bind(t)
	for action, want := range map[ledger.Action]ledger.AnswerClass{ledger.ActionUpdate: ledger.AnswerConflict, ledger.ActionCreate: ledger.AnswerAccepted} {
		path := "/" + string(action)
		b.write(path, "old")
		before := `{"version":1}`
		if b.write(path, "new"); action == ledger.ActionCreate {
			before = ""
		}
		e := &ledger.Entry{State: ledger.EntryApplied, Draft: draft(action, path, before, `{"version":2}`)}
		seen, err := rem.Look(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		b.write(path, "theirs")
		if ans, err := rem.Undo(t.Context(), e, seen); err != nil || ans.Class != want {
			t.Errorf("%s: %+v, %v", action, ans, err)
		}
		b.want(path, "theirs")
	}
}

func TestLostAnswer(t *testing.T) {
	b := start(t)
	b.write("/a", "old")
	e := b.captured(ledger.ActionUpdate, "/a", func() { b.write("/a", "new") })
	sent := b.s.Changes()
	b.s.LoseNext()
	b.Rollback()
	b.Want(e, "undone undone")
	if b.want("/a", "old"); b.s.Changes() != sent+1 {
		t.Errorf("%d calls changed something, want 1", b.s.Changes()-sent)
	}
}

// TestHidden: a 404 that hides everything proves nothing; nor does one for an engine that is not there.
func TestHidden(t *testing.T) {
	b := start(t)
	e := b.Record(draft(ledger.ActionCreate, "/a", "", `{"version":1}`))
	d := draft(ledger.ActionCreate, "/a", "", `{"version":1}`)
	d.Resource = secret{"/elsewhere", "/a"}.resource()
	elsewhere := b.Record(d)
	b.s.Hide(true)
	b.Rollback()
	b.s.Hide(false)
	if b.Entry(e).State == ledger.EntryUndone {
		t.Error("a 404 that hides everything was believed")
	}
	b.Resolve(e, ledger.DecideRetry)
	b.Want(e, "undone already_undone")
	if b.Entry(elsewhere).State == ledger.EntryUndone {
		t.Error("an engine that is not there was taken for a secret that is not")
	}
}

// TestEffects: calls through the ledger need say nothing of their entry.
func TestEffects(t *testing.T) {
	b := start(t)
	do := func(method, path, body string) *ledger.Entry {
		t.Helper()
		call := ledger.EffectCall{Method: method, Path: "/v1/secret" + path}
		if body != "" {
			call.Body, call.Header = []byte(body), map[string]string{"Content-Type": "application/json"}
		}
		out, err := b.Ledger.Effect(t.Context(), b.ID, ledger.Draft{System: "secrets"}, call)
		if err != nil || out.Entry == nil || out.Outcome != ledger.EffectApplied {
			t.Fatalf("%s %s: %+v, %v", method, path, out, err)
		}
		return out.Entry
	}
	b.write("/final", "old")
	made := do("POST", "/data/shop/db", `{"data":{"v":"canary-old"}}`)
	changed := do("POST", "/data/shop/db", `{"data":{"v":"canary-new"}}`)
	deleted := do("DELETE", "/data/shop/db", "")
	final := do("DELETE", "/metadata/final", "")
	if got := strings.Join([]string{string(made.Action), string(changed.Action), string(deleted.Action), string(final.Reversible), string(made.Resource)}, " "); got != `create update delete none {"mount":"/secret","path":"/shop/db"}` {
		t.Errorf("derived %s", got)
	}
	b.Rollback()
	b.Want(final, "stuck irreversible")
	b.Want(deleted, "undone undone")
	b.Want(changed, "undone undone")
	b.Want(made, "undone undone")
	b.want("/shop/db", "")
	b.silent()
}

func TestRehearsal(t *testing.T) {
	b := start(t)
	b.write("/shop/db", "old")
	r := b.Rehearse(ledger.RehearsalRequest{System: "secrets", Place: at("/shop/db").resource()})
	if !r.Proven() || len(r.Canaries) != 1 || len(r.Left) != 0 || !strings.HasPrefix(string(r.Canaries[0].Resource), `{"mount":"/secret","path":"/shop/`) {
		t.Errorf("%+v", r)
	}
	b.want("/shop/db", "old")
	if r := b.Rehearse(ledger.RehearsalRequest{System: "secrets"}); r.Proven() {
		t.Errorf("without a place: %+v", r)
	}
}

func TestList(t *testing.T) {
	b := start(t)
	b.write("/shop/db", "x")
	b.write("/shop/gone", "x")
	b.Must("DELETE", "/data/shop/gone", "")
	lister, ok := setup.At(b.s.URL).Bind(t).(ledger.Lister)
	if !ok {
		t.Fatal("it lists nothing")
	}
	for place, want := range map[string]string{
		`{}`: "needs mount", `{"mount":"/secret","path":"/shop/"}`: "1 false", `{"mount":"/secret","path":"/shop/gone"}`: "1 false",
		`{"mount":"/secret"}`: "0 true", `{"mount":"/secret","path":"/none/x"}`: "0 false",
	} {
		got, err := lister.List(t.Context(), Kind, json.RawMessage(place))
		if said := fmt.Sprint(len(got.Items), got.Part, got.Why); err != nil || !strings.Contains(said, want) {
			t.Errorf("%s: %+v, %v", place, got, err)
		}
		if len(got.Items) > 0 && (got.Items[0].Created.IsZero() || strings.Contains(string(got.Items[0].Shows), "canary")) {
			t.Errorf("%s: %+v", place, got.Items[0])
		}
	}
}

// TestWhoami: Vault tells when the token ends.
func TestWhoami(t *testing.T) {
	s := cards.Start(t, cards.VaultKV(), remediatortest.Secret)
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	s.Expire(ends)
	checker, ok := setup.At(s.URL).Bind(t).(ledger.CredentialChecker)
	if !ok {
		t.Fatal("nobody asks")
	}
	if got := checker.CheckCredential(t.Context()); got.State != ledger.CredentialAccepted || !got.ExpiresAt.Equal(ends) {
		t.Errorf("%+v", got)
	}
	s.Rotate("another")
	if got := checker.CheckCredential(t.Context()); got.State != ledger.CredentialRefused {
		t.Errorf("%+v", got)
	}
}

func TestRefused(t *testing.T) {
	rem := setup.At("http://127.0.0.1:1").Bind(t)
	for field, d := range map[string]ledger.Draft{
		"/resource": {Resource: json.RawMessage(`{"mount":"secret","path":"/a"}`)},
		"/before":   {Resource: at("/a").resource(), Before: ledger.Image{JSON: json.RawMessage(`{"v":"canary"}`)}},
		"/after":    {Resource: at("/a").resource(), After: ledger.Image{JSON: json.RawMessage(`{"version":0}`)}},
		"/undo":     {Resource: at("/a").resource(), Undo: json.RawMessage(`{"method":"PUT"}`)},
	} {
		d.Kind, d.Action = Kind, ledger.ActionUpdate
		_, err := rem.Check(&d)
		var e *ledger.Error
		if !errors.As(err, &e) || e.Field != field || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, path := range []string{"/../sys/seal", "/a/", "/a//b", "/a%2e", "/."} {
		if s := at(path); s.whole() && path != "/a%2e" {
			t.Errorf("%s is taken", path)
		}
	}
}
