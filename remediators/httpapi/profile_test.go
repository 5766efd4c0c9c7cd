package httpapi

import (
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
)

// forGood are the kinds of which what was deleted comes back by no call.
var forGood = map[string]bool{"configcat.setting": true, "flagsmith.feature": true, "launchdarkly.flag": true}

func TestEveryProfileIsSound(t *testing.T) {
	if len(profileNames()) == 0 {
		t.Fatal("there are no profiles")
	}
	for _, name := range profileNames() {
		p, err := loadProfile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for kind, k := range p.kinds {
			some := len(k.Update) > 0 && len(k.Create) == 0 && len(k.Delete) == 0 // a switch is changed, and that is all
			for _, action := range []ledger.Action{ledger.ActionCreate, ledger.ActionUpdate, ledger.ActionDelete} {
				if len(k.byAction[action]) == 0 && !some && (action != ledger.ActionDelete || !forGood[kind]) {
					t.Errorf("%s: says nothing of %s", kind, action)
				}
			}
		}
	}
	if _, err := loadProfile("../profiles/caddy"); err == nil || strings.Contains(err.Error(), "../") {
		t.Errorf("a name that is a path: %v", err)
	}
}

func TestProfilesAreReadStrictly(t *testing.T) {
	const head = "name: x\nabout: y\nkinds:\n  "
	for yml, want := range map[string]string{
		"name: y":                     "it needs name",
		"name: x\nabout: y\nkind: {}": "field kind not found",
		head + "y.a: {}":              "does not begin with the profile's name",
		head + "x.a: {about: z, resource: {key: [id]}}": "it needs about, resource.key and read",
		head + "x.a: {about: z, resource: {key: [id]}, read: {path: /a, presents: [200]}, create: [{reversible: exact, undo: {method: PUT, path: /a}}]}": "/read/presents",
		head + "x.a: {about: z, resource: {key: [id]}, read: {path: /a}, create: [{reversible: exact, undo: {method: PUT, path: a}}]}":                   "/undo/path",
		head + "x.a: {about: z, resource: {key: [id]}, read: {path: /a}, create: [{reversible: fully, undo: {method: PUT, path: /a}}]}":                  "each way needs undo and reversible",
	} {
		if _, err := parseProfile("x", []byte(yml)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", yml, err, want)
		}
	}
}

func TestCaddyOffline(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: "http://127.0.0.1:1", Profile: "caddy"})
	diff(t, rem.Kinds(), []string{"http.request", "caddy.config", "caddy.route"})
	for _, c := range []struct {
		kind, resource string
		action         ledger.Action
		state          ledger.EntryState
		want           ledger.Reversibility
		key, warns     string
		field          string
	}{
		{kind: "caddy.route", resource: `{"id":"a"}`, action: ledger.ActionCreate, want: ledger.ReversibleExact, key: `{"id":"a"}`},
		{kind: "caddy.route", resource: `{"server":"s","id":"a"}`, action: ledger.ActionDelete, want: ledger.ReversibleEquivalent, key: `{"id":"a"}`, warns: "end of the list"},
		{kind: "caddy.route", resource: `{"id":"a","server":"s","index":0}`, action: ledger.ActionDelete, want: ledger.ReversibleExact, key: `{"id":"a"}`, warns: "old place"},
		{kind: "caddy.route", resource: `{"id":"a"}`, action: ledger.ActionDelete, want: ledger.ReversibleNone, key: `{"id":"a"}`, warns: "lacks server"},
		{kind: "caddy.route", resource: `{"server":"s"}`, action: ledger.ActionCreate, state: ledger.EntryIntended, want: ledger.ReversibleExact, key: "null", warns: "/applied"},
		{kind: "caddy.route", resource: `{"server":"s"}`, action: ledger.ActionCreate, field: "/resource/id"},
		{kind: "caddy.route", resource: `{"id":"a","srv":"s"}`, action: ledger.ActionCreate, field: "/resource/srv"},
		{kind: "caddy.route", resource: `{"id":["a"]}`, action: ledger.ActionCreate, field: "/resource/id"},
		{kind: "caddy.route", resource: `{"id":".."}`, action: ledger.ActionCreate, field: "/resource"},
		{kind: "caddy.config", resource: `{"path":"/apps/http/../x"}`, action: ledger.ActionCreate, field: "/resource"},
		{kind: "caddy.config", resource: `{"path":"apps"}`, action: ledger.ActionCreate, field: "/resource"},
		{kind: "caddy.config", resource: `{"path":"/apps/http"}`, action: ledger.ActionUpdate, want: ledger.ReversibleExact, key: `{"path":"/apps/http"}`},
	} {
		before, after := image(`{"v":1}`), image(`{"v":2}`)
		if c.action == ledger.ActionCreate {
			before = ledger.Absent
		}
		if c.action == ledger.ActionDelete {
			after = ledger.Absent
		}
		if c.state == "" {
			c.state = ledger.EntryApplied
		}
		g, err := rem.Check(&ledger.Draft{Kind: c.kind, Action: c.action, Resource: raw(c.resource), Before: before, After: after, State: c.state})
		if c.field != "" {
			if err == nil || !strings.Contains(err.Error(), c.field) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		said := strings.Join(g.Warnings, "\n")
		if err != nil || g.Reversible != c.want || string(g.ResourceKey) != c.key || (c.warns == "") != (said == "") || !strings.Contains(said, c.warns) {
			t.Errorf("%+v: %+v %s, %v", c, g, g.ResourceKey, err)
		}
	}
}

// What an entry says itself goes before its profile.
func TestEntryGoesBeforeProfile(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: "http://127.0.0.1:1", Profile: "caddy"})
	e := &ledger.Entry{Draft: ledger.Draft{
		Kind: "caddy.route", Action: ledger.ActionUpdate, Resource: raw(`{"id":"a"}`), Before: image(`{"v":1}`), After: image(`{"v":2}`), State: ledger.EntryApplied,
		Undo: raw(`{"method":"POST","path":"/load","body":"{{before}}"}`), Guard: raw(`{"header":"X-Guard","value":"{{resource.id}}"}`),
	}}
	req, err := rem.Preview(e, ledger.Look{Known: true, Now: image(`{"v":2}`)})
	if err != nil || req.Method != "POST" || req.Header["X-Guard"] != "a" || req.Repeatable {
		t.Errorf("%+v, %v", req, err)
	}
}

// Caddy's PUT at a list index inserts: sent twice, it inserts twice.
func TestInsertionIsNotRepeatable(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: "http://127.0.0.1:1", Profile: "caddy"})
	for _, c := range []struct {
		kind, resource, validator string
		want                      bool
	}{
		{"caddy.route", `{"id":"a","server":"s","index":0}`, "", false},
		{"caddy.route", `{"id":"a","server":"s"}`, "", false},
		{"caddy.config", `{"path":"/apps/x/0"}`, "", false},
		{"caddy.config", `{"path":"/apps/x"}`, `"/config/apps/x 1"`, true},
	} {
		e := &ledger.Entry{Draft: ledger.Draft{
			Kind: c.kind, Action: ledger.ActionDelete, Resource: raw(c.resource), Before: image(`{"v":1}`), After: ledger.Absent, State: ledger.EntryApplied,
		}}
		req, err := rem.Preview(e, ledger.Look{Known: true, Now: ledger.Absent, Validator: c.validator})
		if err != nil || req.Repeatable != c.want {
			t.Errorf("%+v: %+v, %v", c, req, err)
		}
	}
}
