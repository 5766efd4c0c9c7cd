package unleash

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

func (b *bench) flag() json.RawMessage {
	return flagName(place{Project: "default", Feature: b.feature})
}

func (b *bench) path() string { return "/projects/default/features/" + b.feature }

// effect makes a call through the ledger.
func (b *bench) effect(w *windowtest.Window, method, path, body string) *ledger.Entry {
	b.t.Helper()
	call := ledger.EffectCall{Method: method, Path: api + path, Header: map[string]string{"Content-Type": "application/json"}}
	if body != "" {
		call.Body = []byte(body)
	}
	out, err := w.Ledger.Effect(b.t.Context(), w.ID, ledger.Draft{System: "flags"}, call)
	if err != nil || out.Outcome != ledger.EffectApplied {
		b.t.Fatalf("%s %s: %+v, %v", method, path, out, err)
	}
	return out.Entry
}

// through is the bench's window with a system that takes the calls of scripts.
func (b *bench) through() *windowtest.Window {
	b.t.Helper()
	s := setup.At(b.proxy.URL)
	s.Config.Effects = effects
	return s.Open(b.t)
}

// What the calls do is known, so that each is taken back by a rollback of all.
func TestEffects(t *testing.T) {
	remediatortest.Proves(t, KindFlag, "create undone", "update undone", "delete undone")
	b := start(t)
	w := b.through()
	made := strings.Replace(b.path(), b.feature, b.feature+"-made", 1)
	var list []*ledger.Entry
	list = append(list,
		b.effect(w, "PATCH", b.path(), `[{"op":"replace","path":"/description","value":"new"}]`),
		b.effect(w, "POST", "/projects/default/features", `{"name":"`+b.feature+`-made","type":"release"}`),
		b.effect(w, "POST", made+"/environments/development/strategies", `{"name":"default"}`),
		b.effect(w, "POST", made+"/environments/development/on", ""),
		b.effect(w, "POST", "/addons", addonDoc(b.feature, hookURL, "s3cret")),
		b.effect(w, "DELETE", b.path(), ""),
	)
	kinds := []string{KindFlag, KindFlag, KindToggle, KindToggle, KindAddon, KindFlag}
	for i, e := range list {
		if e.Kind != kinds[i] {
			t.Errorf("entry %d is a %s", e.Seq, e.Kind)
		}
	}
	if raw, _ := json.Marshal(list[4].Draft); strings.Contains(string(raw), "s3cret") {
		t.Errorf("the entry holds the secret: %s", raw)
	}
	if run := w.Rollback(); !run.Complete {
		t.Errorf("counts %+v", run.Counts)
	}
	for _, e := range list {
		w.Want(e, "undone undone")
	}
	if got := b.Must("GET", b.path(), ""); strings.Contains(got, `"description":"new"`) {
		t.Errorf("it is %s", got)
	}
	if got := b.Must("GET", "/search/features?archived=IS:true", ""); strings.Contains(got, b.feature) {
		t.Errorf("left in the archive: %s", got)
	}
	if status, _ := b.Call("GET", made, ""); status != http.StatusNotFound {
		t.Errorf("what was made answers %d", status)
	}
}

// A call that is no one kind's is left to the caller, and one that says another resource is refused.
func TestEffectsUnknown(t *testing.T) {
	b := start(t)
	w := b.through()
	for path, d := range map[string]ledger.Draft{
		"/projects/default/features/x/tags":                      {System: "flags"},
		"/projects/default/features/x/environments/e/on":         {System: "flags", Resource: json.RawMessage(`{"project":"default","feature":"y","environment":"e"}`)},
		"/projects/default/features/x/environments/e/strategies": {System: "flags", Action: ledger.ActionDelete},
	} {
		if _, err := w.Ledger.Effect(t.Context(), w.ID, d, ledger.EffectCall{Method: "POST", Path: api + path}); ledger.CodeOf(err) != ledger.CodeInvalid {
			t.Errorf("%s: %v", path, err)
		}
	}
	if n := len(b.proxy.Changes()); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
}

// Somebody else's word on a feature flag is left alone, also when it is the archive.
func TestFlagDrift(t *testing.T) {
	remediatortest.Proves(t, KindFlag, "drift")
	b := start(t)
	changed := b.Record(ledger.Draft{
		System: "flags", Kind: KindFlag, Action: ledger.ActionUpdate, State: ledger.EntryApplied, Resource: b.flag(),
		Before: ledger.Image{JSON: json.RawMessage(`{"type":"operational"}`)}, After: ledger.Image{JSON: json.RawMessage(`{"type":"experiment"}`)},
	})
	made := start(t)
	create := made.Record(ledger.Draft{
		System: "flags", Kind: KindFlag, Action: ledger.ActionCreate, State: ledger.EntryApplied, Resource: made.flag(),
		Before: ledger.Absent, After: ledger.Image{JSON: json.RawMessage(`{"type":"release"}`)},
	})
	made.Must("DELETE", made.path(), "")
	b.Rollback()
	b.Want(changed, "stuck drifted") // its type is release
	made.Rollback()
	made.Want(create, "stuck drifted")
	if n := len(b.proxy.Changes()) + len(made.proxy.Changes()); n != 0 {
		t.Errorf("%d calls over drift", n)
	}
}

// Each answer of the undo of a create is lost once: from the state between it goes on.
func TestFlagAnswerLost(t *testing.T) {
	remediatortest.Proves(t, KindFlag, "lost")
	for n := range 2 {
		b := start(t)
		e := b.Record(ledger.Draft{
			System: "flags", Kind: KindFlag, Action: ledger.ActionCreate, State: ledger.EntryApplied, Resource: b.flag(),
			Before: ledger.Absent, After: ledger.Image{JSON: json.RawMessage(`{"type":"release"}`)},
		})
		b.proxy.Lose(n + 1)
		b.Rollback()
		b.Want(e, "undone undone")
		if got := b.Must("GET", "/search/features?archived=IS:true", ""); strings.Contains(got, b.feature) || len(b.proxy.Changes()) != 2 {
			t.Errorf("sent %v, left %s", b.proxy.Changes(), got)
		}
	}
}

// A flag that was deleted for good is gone, with its project as the proof, and does not come back.
func TestFlagGone(t *testing.T) {
	remediatortest.Proves(t, KindFlag, "gone")
	b := start(t)
	gone := b.Record(ledger.Draft{
		System: "flags", Kind: KindFlag, Action: ledger.ActionCreate, State: ledger.EntryApplied, Resource: b.flag(),
		Before: ledger.Absent, After: ledger.Image{JSON: json.RawMessage(`{"type":"release"}`)},
	})
	b.Must("DELETE", b.path(), "")
	b.Must("DELETE", "/archive/"+b.feature, "")
	b.proxy.Refuse("GET "+api+"/projects", http.StatusNotFound)
	b.Rollback()
	b.Want(gone, "stuck blocked")
	b.proxy.Refuse("GET "+api+"/projects", 0)
	b.Rollback()
	b.Want(gone, "undone already_undone")
	other := setup.At(b.proxy.URL).Open(t)
	lost := other.Record(ledger.Draft{
		System: "flags", Kind: KindFlag, Action: ledger.ActionDelete, State: ledger.EntryApplied, Resource: b.flag(),
		Before: ledger.Image{JSON: json.RawMessage(`{"type":"release"}`)}, After: ledger.Absent,
	})
	other.Rollback()
	other.Want(lost, "stuck irreversible")
}
