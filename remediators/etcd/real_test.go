package etcd

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// server is the real etcd that the tests of this package share; each has keys of its own.
var server = &remediatortest.Shared{ProgramFunc: program}

func program(t testing.TB, dir string) (p remediatortest.Program, url string) {
	t.Helper()
	url = "http://" + remediatortest.FreeAddress(t)
	peer := "http://" + remediatortest.FreeAddress(t)
	return remediatortest.Program{
		Name: "etcd", ReadyFunc: remediatortest.Answers(url + "/health"), Args: []string{
			"--data-dir", filepath.Join(dir, "data"), "--listen-client-urls", url, "--advertise-client-urls", url,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer,
		},
	}, url
}

func TestMain(m *testing.M) {
	os.Exit(server.Main(m)) //nolint:forbidigo // TestMain is a test's main
}

// setup is an etcd as the system of these tests; its address is still to be said.
var setup = windowtest.Setup{System: "config", Factory: Factory, Config: remediators.SystemConfig{Remediator: "etcd"}}

// bench is the real etcd behind a proxy that can lose answers, with a window of a real ledger, and somebody who
// changes keys by hand.
type bench struct {
	*windowtest.Window
	remediatortest.Hand
	t     *testing.T
	proxy *remediatortest.Proxy
}

func start(t *testing.T) *bench {
	t.Helper()
	url := server.URL(t)
	b := &bench{t: t, proxy: remediatortest.StartProxy(t, url), Hand: remediatortest.Hand{T: t, URL: url + "/v3"}}
	b.proxy.ReadsFunc = func(r *http.Request) bool { return r.URL.Path != txnPath }
	b.Window = setup.At(b.proxy.URL).Open(t)
	return b
}

// key is a key of this test's own.
func (b *bench) key(s string) string { return "/" + b.t.Name() + "/" + s }

func encode(b *bench, body map[string]any) string {
	b.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(raw)
}

// put writes a key by hand, under a lease unless that is "".
func (b *bench) put(key, value, lease string) {
	b.t.Helper()
	body := map[string]any{"key": []byte(key), "value": []byte(value)}
	if lease != "" {
		body["lease"] = lease
	}
	b.Must("POST", "/kv/put", encode(b, body))
}

func (b *bench) remove(key string) {
	b.t.Helper()
	b.Must("POST", "/kv/deleterange", encode(b, map[string]any{"key": []byte(key)}))
}

// grant makes a lease of an hour.
func (b *bench) grant(id string) string {
	b.t.Helper()
	b.Must("POST", "/lease/grant", `{"ID":"`+id+`","TTL":"3600"}`)
	return id
}

// wantKey fails unless the key has this state; "" is absence.
func (b *bench) wantKey(key, want string) {
	b.t.Helper()
	var doc struct{ KVs []pair }
	if err := json.Unmarshal([]byte(b.Must("POST", "/kv/range", encode(b, map[string]any{"key": []byte(key)}))), &doc); err != nil {
		b.t.Fatal(err)
	}
	got := ""
	if len(doc.KVs) > 0 {
		got = string(imageOf(doc.KVs[0].Value, doc.KVs[0].Lease).JSON)
	}
	if got != want {
		b.t.Errorf("%s is %s, want %s", key, got, want)
	}
}

// draft is an applied effect on a key; "" is absence.
func draft(action ledger.Action, key, before, after string) ledger.Draft {
	state := func(doc string) ledger.Image {
		if doc == "" {
			return ledger.Absent
		}
		return ledger.Image{JSON: json.RawMessage(doc)}
	}
	return ledger.Draft{
		System: "config", Kind: Kind, Action: action, State: ledger.EntryApplied, Resource: named(key), Before: state(before), After: state(after),
	}
}

func val(s string) string { return string(imageOf([]byte(s), "").JSON) }

func TestTaken(t *testing.T) {
	remediatortest.Proves(t, Kind, "create undone", "update undone", "delete undone")
	b := start(t)
	list := []*ledger.Entry{}
	wants := map[string]string{}
	for name, pair := range map[string][2]string{
		"text": {"old", "new"}, "empty": {"", "new"}, "json": {`{"a":9007199254740993}`, `<&>`}, "binary": {"\xff\x00a", "\xfe"}, "\xff key": {"a", "b"},
	} {
		for _, action := range []ledger.Action{ledger.ActionUpdate, ledger.ActionCreate, ledger.ActionDelete} {
			key := b.key(name + string(action))
			before, after := val(pair[0]), val(pair[1])
			b.put(key, pair[1], "")
			switch action {
			case ledger.ActionCreate:
				before = ""
			case ledger.ActionDelete:
				after = ""
				b.remove(key)
			case ledger.ActionUpdate:
			}
			wants[key] = before
			list = append(list, b.Record(draft(action, key, before, after)))
		}
	}
	if run := b.Rollback(); !run.Complete {
		t.Errorf("counts %+v", run.Counts)
	}
	for _, e := range list {
		b.Want(e, "undone undone")
	}
	for key, want := range wants {
		b.wantKey(key, want)
	}
	if again := b.Rollback(); !again.Complete || len(b.proxy.Changes()) != len(list) {
		t.Errorf("%d calls after a second rollback, want %d", len(b.proxy.Changes()), len(list))
	}
}

func TestCaptured(t *testing.T) {
	b := start(t)
	key, lease := b.key("flag"), b.grant("1001")
	b.put(key, "old", lease)
	d := draft(ledger.ActionUpdate, key, "", "")
	d.Before, d.After, d.State, d.Capture = ledger.Image{}, ledger.Image{}, ledger.EntryIntended, true
	e := b.Record(d)
	b.put(key, "new", "") // which takes it off its lease
	b.Applied(e, "", "")
	b.WantPlan("undo")
	b.WantVerify("same")
	b.Rollback()
	b.Want(e, "undone undone")
	b.wantKey(key, `{"value":"old","lease":"1001"}`)
	b.WantVerify("same")
}

// TestLease: a lease that has ended is not to be had again, and a key that ended with its lease is gone.
func TestLease(t *testing.T) {
	b := start(t)
	key, ended, lease := b.key("was"), b.key("ended"), b.grant("1002")
	b.put(ended, "v", lease)
	created := b.Record(draft(ledger.ActionCreate, ended, "", `{"value":"v","lease":"1002"}`))
	b.put(key, "new", "")
	updated := b.Record(draft(ledger.ActionUpdate, key, `{"value":"old","lease":"1002"}`, val("new")))
	if !windowtest.Warned(updated, "lease") {
		t.Errorf("warnings %q", updated.Warnings)
	}
	b.WantPlan("undo undo")
	b.Must("POST", "/lease/revoke", `{"ID":"1002"}`)
	b.WantPlan("irreversible already_undone")
	b.Rollback()
	b.Want(created, "undone already_undone")
	b.Want(updated, "stuck irreversible")
	b.wantKey(key, val("new"))
}

// TestTouched: a key that somebody wrote again between the look and the undo is left alone, also where it says the
// same by then; so is one that somebody made where the upgrade had deleted it.
func TestTouched(t *testing.T) {
	remediatortest.Proves(t, Kind, "between")
	for name, theirs := range map[string]string{"another": "theirs", "the same": "new"} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			key := b.key("k")
			b.put(key, "new", "")
			rem := setup.At(b.proxy.URL).Bind(t)
			e := &ledger.Entry{State: ledger.EntryApplied, Draft: draft(ledger.ActionUpdate, key, val("old"), val("new"))}
			seen, err := rem.Look(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			b.put(key, theirs, "")
			if ans, err := rem.Undo(t.Context(), e, seen); err != nil || ans.Class != ledger.AnswerConflict {
				t.Errorf("answer %+v, %v", ans, err)
			}
			b.wantKey(key, val(theirs))
		})
	}
	b := start(t)
	key := b.key("deleted")
	rem := setup.At(b.proxy.URL).Bind(t)
	e := &ledger.Entry{State: ledger.EntryApplied, Draft: draft(ledger.ActionDelete, key, val("old"), "")}
	seen, err := rem.Look(t.Context(), e)
	if err != nil || !seen.Proven {
		t.Fatalf("look %+v, %v", seen, err)
	}
	b.put(key, "theirs", "")
	if ans, err := rem.Undo(t.Context(), e, seen); err != nil || ans.Class != ledger.AnswerConflict {
		t.Errorf("answer %+v, %v", ans, err)
	}
	b.wantKey(key, val("theirs"))
}

func TestDrift(t *testing.T) {
	remediatortest.Proves(t, Kind, "drift")
	b := start(t)
	key, removed := b.key("k"), b.key("removed")
	b.put(key, "theirs", "")
	e := b.Record(draft(ledger.ActionUpdate, key, val("old"), val("new")))
	gone := b.Record(draft(ledger.ActionUpdate, removed, val("old"), val("new")))
	b.Rollback()
	b.Want(e, "stuck drifted")
	b.Want(gone, "stuck drifted")
	b.wantKey(key, val("theirs"))
	b.wantKey(removed, "")
	if n := len(b.proxy.Changes()); n != 0 {
		t.Errorf("%d calls over drift", n)
	}
}

func TestGone(t *testing.T) {
	remediatortest.Proves(t, Kind, "gone")
	b := start(t)
	e := b.Record(draft(ledger.ActionCreate, b.key("k"), "", val("new")))
	b.proxy.Refuse("POST "+rangePath, http.StatusNotFound) // nothing of the API is visible
	b.WantPlan("blocked")
	b.proxy.Refuse("POST "+rangePath, 0)
	b.Rollback()
	b.Want(e, "undone already_undone")
}

func TestAnswerLost(t *testing.T) {
	remediatortest.Proves(t, Kind, "lost")
	b := start(t)
	key := b.key("k")
	b.put(key, "new", "")
	e := b.Record(draft(ledger.ActionUpdate, key, val("old"), val("new")))
	b.proxy.Lose(1)
	b.Rollback()
	e = b.Want(e, "undone undone")
	if len(b.proxy.Changes()) != 1 || len(e.Attempts) != 1 || e.Attempts[0].Result != string(ledger.CallAmbiguous) {
		t.Errorf("calls %v, attempts %+v", b.proxy.Changes(), e.Attempts)
	}
	b.wantKey(key, val("old"))
}

// TestOwned: a lease that the entry does not own stays what it is.
func TestOwned(t *testing.T) {
	b := start(t)
	key, lease := b.key("k"), b.grant("1003")
	b.put(key, "new", lease)
	d := draft(ledger.ActionUpdate, key, val("old"), val("new"))
	d.Owned = []string{"/value"}
	b.TakeBack(d, ledger.OutcomeUndone, func() int { return len(b.proxy.Changes()) })
	b.wantKey(key, `{"value":"old","lease":"1003"}`)
}

// TestMasked: a mask is never written as a value.
func TestMasked(t *testing.T) {
	b := start(t)
	d := draft(ledger.ActionUpdate, b.key("k"), `{"value":"********"}`, val("new"))
	b.put(b.key("k"), "new", "")
	e := b.Record(d)
	b.Rollback()
	if e = b.Want(e, "stuck blocked"); !strings.Contains(e.Detail, "secret_missing") {
		t.Errorf("detail %q", e.Detail)
	}
	b.wantKey(b.key("k"), val("new"))
}

func TestRefused(t *testing.T) {
	rem := setup.At("http://127.0.0.1:1").Bind(t)
	for field, d := range map[string]ledger.Draft{
		"/resource":            {Resource: json.RawMessage(`{"key":"a","key_base64":"YQ=="}`)},
		"/resource/key":        {Resource: json.RawMessage(`{"key":""}`)},
		"/resource/key_base64": {Resource: json.RawMessage(`{"key_base64":"*"}`)},
		"/before":              {Resource: named("a"), Before: ledger.Image{JSON: json.RawMessage(`{"value":"a","version":1}`)}},
		"/after/lease":         {Resource: named("a"), After: ledger.Image{JSON: json.RawMessage(`{"value":"a","lease":"-1"}`)}},
		"/undo":                {Resource: named("a"), Undo: json.RawMessage(`{"method":"PUT"}`)},
	} {
		d.Kind, d.Action = Kind, ledger.ActionUpdate
		if _, err := rem.Check(&d); err == nil || !strings.Contains(err.Error(), strings.Split(field, "/")[1]) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestHidden: a key that the credential may not read is not taken for absent.
func TestHidden(t *testing.T) {
	dir := t.TempDir()
	p, url := program(t, dir)
	p.Dir = dir
	remediatortest.Start(t, p)
	b := &bench{t: t, Hand: remediatortest.Hand{T: t, URL: url + "/v3"}}
	for _, c := range [][2]string{
		{"/auth/user/add", `{"name":"root","password":"pw"}`},
		{"/auth/role/add", `{"name":"root"}`},
		{"/auth/user/grant", `{"user":"root","role":"root"}`},
		{"/auth/user/add", `{"name":"us","password":"pw"}`},
		{"/auth/role/add", `{"name":"ours"}`},
		{"/auth/user/grant", `{"user":"us","role":"ours"}`},
		{"/auth/role/grant", encode(b, map[string]any{"name": "ours", "perm": map[string]any{"permType": "READWRITE", "key": []byte("/ours")}})},
		{"/auth/enable", `{}`},
	} {
		b.Must("POST", c[0], c[1])
	}
	var login struct{ Token string }
	if err := json.Unmarshal([]byte(b.Must("POST", "/auth/authenticate", `{"name":"us","password":"pw"}`)), &login); err != nil {
		t.Fatal(err)
	}
	with := setup.At(url)
	with.Secret, with.Config.Credential = login.Token, "env:ETCD_TOKEN"
	with.Config.Auth = remediators.AuthConfig{Scheme: "header", Name: "Authorization"}
	b.Window = with.Open(t)
	ours := b.Record(draft(ledger.ActionCreate, "/ours", "", val("new")))
	hidden := b.Record(draft(ledger.ActionCreate, "/theirs", "", val("new")))
	b.Rollback("1")
	b.Want(ours, "undone already_undone")
	b.Rollback()
	b.Want(hidden, "stuck blocked")
}
