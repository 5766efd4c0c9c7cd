package unleash

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// addonDoc is an addon as a script posts it.
func addonDoc(description, url, secret string) string {
	return fmt.Sprintf(`{"provider":"webhook","description":%q,"enabled":true,"parameters":{"url":%q,"authorization":%q},"events":["feature-created","feature-updated"],"projects":[],"environments":[]}`,
		description, url, secret)
}

const hookURL = "http://127.0.0.1:9/hook"

// addon creates an addon by hand and returns its id.
func (b *bench) addon(doc string) (id int64) {
	b.t.Helper()
	id, ok := addonID(json.RawMessage(b.Must("POST", "/addons", doc)))
	if !ok {
		b.t.Fatal("the answer names no addon")
	}
	return id
}

func (b *bench) dropAddon(id int64) {
	b.t.Helper()
	b.Must("DELETE", strings.TrimPrefix(addonPath(id), api), "")
}

// stored returns what Unleash really keeps: a PUT with masks, which changes nothing, answers with the real values.
func (b *bench) stored(id int64) map[string]any {
	b.t.Helper()
	path := strings.TrimPrefix(addonPath(id), api)
	var out map[string]any
	if err := json.Unmarshal([]byte(b.Must("PUT", path, b.Must("GET", path, ""))), &out); err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) wantStored(id int64, description, url, secret string) {
	b.t.Helper()
	m := b.stored(id)
	p, _ := m["parameters"].(map[string]any)
	if m["description"] != description || p["url"] != url || p["authorization"] != secret {
		b.t.Errorf("Unleash keeps %v %v, want %s %s and the secret", m["description"], p["url"], description, url)
	}
}

// addons counts the addons with a description.
func (b *bench) addons(description string) (ids []int64) {
	b.t.Helper()
	var list struct {
		Addons []struct {
			ID          int64
			Description string
		}
	}
	if err := json.Unmarshal([]byte(b.Must("GET", "/addons", "")), &list); err != nil {
		b.t.Fatal(err)
	}
	for _, a := range list.Addons {
		if a.Description == description {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

func onAddon(action ledger.Action, id int64, before, after string) ledger.Draft {
	d := ledger.Draft{
		System: "flags", Kind: KindAddon, Action: action, State: ledger.EntryApplied, Resource: json.RawMessage(`{}`),
		Before: ledger.Image{JSON: json.RawMessage(before)}, After: ledger.Image{JSON: json.RawMessage(after)},
	}
	if id > 0 {
		d.Resource = addonName(id)
	}
	return d
}

func TestAddonCreated(t *testing.T) {
	remediatortest.Proves(t, KindAddon, "create undone", "gone")
	b := start(t)
	intent := onAddon(ledger.ActionCreate, 0, "", "")
	intent.State, intent.Capture = ledger.EntryIntended, true
	e := b.Record(intent)
	id := b.addon(addonDoc(b.feature, hookURL, "s3cret"))
	e = b.Applied(e, string(addonName(id)), "")
	if strings.Contains(string(e.After.JSON), "s3cret") || !strings.Contains(string(e.After.JSON), "*****") {
		t.Fatalf("captured %s", e.After.JSON)
	}
	b.WantPlan("undo")
	b.Rollback()
	b.Want(e, "undone undone")
	if left := b.addons(b.feature); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	b.WantVerify("same")
	gone := b.addon(addonDoc(b.feature, hookURL, "s3cret"))
	b2 := start(t)
	again := b2.Record(onAddon(ledger.ActionCreate, gone, "null", addonDoc(b.feature, hookURL, "s3cret")))
	b.dropAddon(gone)
	b2.Rollback()
	b2.Want(again, "undone already_undone") // 404, and the list is the proof
}

func TestAddonUpdated(t *testing.T) {
	remediatortest.Proves(t, KindAddon, "update undone")
	b := start(t)
	was, is := addonDoc(b.feature, hookURL, "old"), addonDoc(b.feature+" new", hookURL+"/2", "new")
	id := b.addon(was)
	b.Must("PUT", strings.TrimPrefix(addonPath(id), api), is)
	b.TakeBack(onAddon(ledger.ActionUpdate, id, was, is), ledger.OutcomeUndone, func() int { return len(b.proxy.Changes()) })
	b.wantStored(id, b.feature, hookURL, "old")
}

// TestAddonSecretOnly: what the entry changed is masked, so that nobody can see whether it is undone: it is sent
// once, and the outcome says that it was not verified.
func TestAddonSecretOnly(t *testing.T) {
	remediatortest.Proves(t, KindAddon, "update unverified")
	b := start(t)
	was, is := addonDoc(b.feature, hookURL, "old"), addonDoc(b.feature, hookURL, "new")
	id := b.addon(is)
	e := b.Record(onAddon(ledger.ActionUpdate, id, was, is))
	b.Rollback()
	b.Want(e, "undone unverified")
	b.wantStored(id, b.feature, hookURL, "old")
}

// TestAddonMask: a before-image that holds a mask is never written back, neither by PUT nor by POST.
func TestAddonMask(t *testing.T) {
	b := start(t)
	id := b.addon(addonDoc(b.feature, hookURL, "s3cret"))
	masked := b.Must("GET", strings.TrimPrefix(addonPath(id), api), "")
	b.dropAddon(id)
	deleted := b.Record(onAddon(ledger.ActionDelete, id, masked, "null"))
	if !windowtest.Warned(deleted, "a mask is never written back") || deleted.Reversible != ledger.ReversibleManual {
		t.Errorf("graded %s, warned %q", deleted.Reversible, deleted.Warnings)
	}
	kept := b.addon(addonDoc(b.feature, hookURL, "s3cret"))
	intent := onAddon(ledger.ActionUpdate, kept, "", "")
	intent.State, intent.Capture = ledger.EntryIntended, true
	updated := b.Record(intent)
	if !windowtest.Warned(updated, "capture sees masks") {
		t.Errorf("warned %q", updated.Warnings)
	}
	b.Must("PUT", strings.TrimPrefix(addonPath(kept), api), addonDoc(b.feature+" new", hookURL, "s3cret"))
	b.Applied(updated, "", "")
	b.Rollback()
	if e := b.Want(updated, "stuck blocked"); e.Detail != "secret_missing: /parameters/authorization" {
		t.Errorf("detail %q", e.Detail)
	}
	b.Want(deleted, "stuck manual")
	if n := len(b.proxy.Changes()); n != 0 {
		t.Errorf("%d calls with a mask: %v", n, b.proxy.Changes())
	}
	// Whoever grades it exact all the same is stopped by the mask itself.
	insists := onAddon(ledger.ActionDelete, id, masked, "null")
	insists.Reversible, insists.State = ledger.ReversibleExact, ledger.EntryApplied
	b3 := start(t)
	e := b3.Record(insists)
	b3.Rollback()
	if got := b3.Want(e, "stuck blocked"); !strings.HasPrefix(got.Detail, "secret_missing: ") {
		t.Errorf("detail %q", got.Detail)
	}
}

// TestAddonChain: deleted after it was updated after it was created; each undo finds it under the id that it has by then.
func TestAddonChain(t *testing.T) {
	remediatortest.Proves(t, KindAddon, "delete compensated", "lost")
	b := start(t)
	v1, v2 := addonDoc(b.feature, hookURL, "one"), addonDoc(b.feature+" v2", hookURL, "two")
	id := b.addon(v1)
	created := b.Record(onAddon(ledger.ActionCreate, id, "null", v1))
	b.Must("PUT", strings.TrimPrefix(addonPath(id), api), v2)
	updated := b.Record(onAddon(ledger.ActionUpdate, id, v1, v2))
	b.dropAddon(id)
	deleted := b.Record(onAddon(ledger.ActionDelete, id, v2, "null"))
	b.WantPlan("undo undo undo")
	b.proxy.Lose(1)
	b.Rollback("3")
	e := b.Want(deleted, "undone compensated")
	ids := b.addons(b.feature + " v2")
	if len(ids) != 1 || ids[0] == id || !strings.Contains(e.Detail, fmt.Sprint(ids[0])) {
		t.Fatalf("came back as %v, people are told %q", ids, e.Detail)
	}
	b.wantStored(ids[0], b.feature+" v2", hookURL, "two")
	b.Rollback("2")
	b.Want(updated, "undone undone")
	b.wantStored(ids[0], b.feature, hookURL, "one")
	b.WantVerify("same same same")
	b.Rollback()
	b.Want(created, "undone undone")
	if left := b.addons(b.feature); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	b.WantState(ledger.WindowRolledBack)
	b.WantVerify("same same same")
}

func TestAddonDriftIsKept(t *testing.T) {
	remediatortest.Proves(t, KindAddon, "drift")
	b := start(t)
	was, is := addonDoc(b.feature, hookURL, "old"), addonDoc(b.feature+" new", hookURL, "new")
	id := b.addon(is)
	e := b.Record(onAddon(ledger.ActionUpdate, id, was, is))
	b.Must("PUT", strings.TrimPrefix(addonPath(id), api), addonDoc(b.feature+" theirs", hookURL, "theirs"))
	b.Rollback()
	b.Want(e, "stuck drifted")
	b.wantStored(id, b.feature+" theirs", hookURL, "theirs")
	b.dropAddon(id)
}

// TestWrongToken: 401 is blocked, never gone.
func TestWrongToken(t *testing.T) {
	b := start(t)
	rem := with("*:*.wrong").At(b.url).Bind(t)
	d := b.toggled(`{"enabled":false}`, `{"enabled":true}`)
	_, err := rem.Look(t.Context(), &ledger.Entry{Draft: d})
	if err == nil || !strings.Contains(err.Error(), string(ledger.CallAuth)) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("look with a wrong token: %v", err)
	}
}
