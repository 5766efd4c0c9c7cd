package httpapi

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
)

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

func TestRecipesAreReadStrictly(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: "http://127.0.0.1:1"})
	for _, c := range []struct{ read, undo, guard, async, verify, field string }{
		{undo: `{"method":"PUT","path":"/a","succes":{}}`, field: "/undo/succes"},
		{undo: `{"method":"PUT","path":"/a","success":{"state":[200]}}`, field: "/undo/success/state"},
		{undo: `{"method":"PUT","path":"/a","success":{"body":{"equal":1}}}`, field: "/undo/success/body/equals"},
		{undo: `{"method":"PUT","path":"/a","success":{"body":{"equals":1,"x/y":1}}}`, field: "/undo/success/body/x~1y"},
		{undo: `{"method":"PUT","path":"/a","success":{"status":[]}}`, field: "/undo/success/status"},
		{undo: `{"method":"PUT","path":"/a","success":{"status":["200"]}}`, field: "/undo/success/status"},
		{undo: `{"method":"PUT","path":"/a","success":{"status":[100]}}`, field: "/undo/success/status"},
		{undo: `{"method":"PUT","path":"/a","success":{"status":[409]},"conflict":{"status":[409]}}`, field: "/undo"},
		{undo: `{"method":"GET","path":"/a"}`, field: "/undo/method"},
		{undo: `{"path":"/a"}`, field: "/undo/method"},
		{undo: `{"method":"PUT"}`, field: "/undo/path"},
		{undo: `{"method":"PUT","path":"https://evil.example/a"}`, field: "/undo/path"},
		{undo: `{"method":"PUT","path":"//evil.example/a"}`, field: "/undo/path"},
		{undo: `{"method":"PUT","path":"/a/../b"}`, field: "/undo/path"},
		{undo: `{"method":"PUT","path":"/a\r\nX: y"}`, field: "/undo/path"},
		{undo: `{"method":"PUT","path":"{{resource.host}}/a"}`, field: "/undo/path"},
		{undo: `{"method":"PUT","path":"/{{resource.no}}"}`, field: "/undo/path"},
		{undo: `{"method":"PUT","path":"/a","body":"{{before.no}}"}`, field: "/undo/body"},
		{undo: `{"method":"PUT","path":"/a","body":{"x":"{{env.HOME}}"}}`, field: "/undo/body"},
		{undo: `{"method":"PUT","path":"/a","headers":{"Authorization":"Bearer x"}}`, field: "/undo/headers/Authorization"},
		{undo: `{"method":"PUT","path":"/a","headers":{"host":"x"}}`, field: "/undo/headers/host"},
		{undo: `{"method":"PUT","path":"/a","headers":{"X-A":"a\r\nb"}}`, field: "/undo/headers/X-A"},
		{undo: `{"method":"PUT","path":"/a","headers":{"X A":"a"}}`, field: "/undo/headers/X A"},
		{undo: `{"method":"PUT","path":"/a","content_type":"text/html"}`, field: "/undo/content_type"},
		{undo: `[]`, field: "/undo"},
		{read: `{"path":"/a","method":"POST"}`, field: "/read/method"},
		{read: `{"path":"/a","present":[200],"absent":[200]}`, field: "/read/absent"},
		{read: `{"path":"/a","select":"config"}`, field: "/read/select"},
		{read: `{"path":"/a","validator":{"header":"ETag","pointer":"/v"}}`, field: "/read/validator"},
		{read: `{"path":"/a","gone_proof":{}}`, field: "/read/gone_proof/path"},
		{read: `{"path":"/a","gone_proof":{"path":"/","statuses":[200]}}`, field: "/read/gone_proof/statuses"},
		{read: `{"path":"/a","list":{"items":"/data"}}`, field: "/read"},
		{read: `{"path":"/a","list":{"items":"/data"},"match":{"pointer":"/id"}}`, field: "/read/match/equals"},
		{guard: `{"value":"{{validator}}"}`, field: "/guard"},
		{guard: `{"header":"Cookie"}`, field: "/guard/header"},
		{async: `{"status":[202]}`, field: "/async/poll"},
		{async: `{"poll":{"path":"/j","until":{"pointer":"/s"}}}`, field: "/async/poll/until/in"},
		{async: `{"poll":{"path":"/j","header":"Location","until":{"in":["x"]}}}`, field: "/async/poll"},
		{async: `{"poll":{"path":"/j","every":"soon","until":{"in":["x"]}}}`, field: "/async/poll/every"},
		{verify: `{"timeout":"-1s"}`, field: "/verify/timeout"},
		{verify: `{"for":"1s"}`, field: "/verify/for"},
	} {
		e := entry(ledger.ActionUpdate, "/r/1", `{"v":"old"}`, `{"v":"new"}`)
		d := &e.Draft
		d.Resource = raw(`{"host":"http://evil.example"}`)
		if c.undo != "" {
			d.Undo = raw(c.undo)
		}
		if c.read != "" {
			d.Read = raw(c.read)
		}
		d.Guard, d.Async, d.Verify = raw(c.guard), raw(c.async), raw(c.verify)
		_, err := rem.Check(d)
		var bad *ledger.Error
		if !errors.As(err, &bad) || bad.Code != ledger.CodeInvalid || bad.Field != c.field {
			t.Errorf("%+v: %v, want %s", c, err, c.field)
		}
		if err != nil && strings.Contains(err.Error(), "evil") {
			t.Errorf("it repeats what was posted: %v", err)
		}
	}
}

func TestGrades(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: "http://127.0.0.1:1", Allow: []string{"* /r/*", "* /"}})
	for _, c := range []struct {
		name   string
		change func(d *ledger.Draft)
		want   ledger.Reversibility
		warns  string // "": nothing
		blind  bool
	}{
		{"plain", func(*ledger.Draft) {}, ledger.ReversibleExact, "", false},
		{"no undo", func(d *ledger.Draft) { d.Undo = raw("null") }, ledger.ReversibleNone, "there is no undo", false},
		{"no read", func(d *ledger.Draft) { d.Read = nil }, ledger.ReversibleExact, "cannot be read back", true},
		{"made again", func(d *ledger.Draft) {
			d.Action, d.After = ledger.ActionDelete, ledger.Absent
			d.Undo = raw(`{"method":"POST","path":"/r/1","body":"{{before}}"}`)
		}, ledger.ReversibleEquivalent, "", false},
		{"no proof", func(d *ledger.Draft) {
			d.Action, d.After, d.Read = ledger.ActionDelete, ledger.Absent, raw(`{"path":"/r/1"}`)
		}, ledger.ReversibleExact, "proves nothing", false},
		{"mask", func(d *ledger.Draft) { d.Before = image(`{"v":"old","secret":"********"}`) }, ledger.ReversibleExact, "secret_missing: /secret", false},
		{"outside allow", func(d *ledger.Draft) { d.Undo = raw(`{"method":"PUT","path":"/x","body":"{{before}}"}`) }, ledger.ReversibleExact, "allow list", false},
		{"id comes later", func(d *ledger.Draft) {
			d.State = ledger.EntryIntended
			d.Undo = raw(`{"method":"PUT","path":"/r/{{resource.id}}","body":"{{before}}"}`)
		}, ledger.ReversibleExact, "/applied", false},
		{"after comes later", func(d *ledger.Draft) {
			d.State, d.After = ledger.EntryIntended, ledger.Image{}
			d.Undo = raw(`{"method":"PUT","path":"/r/{{after.id}}","body":"{{before}}"}`)
		}, ledger.ReversibleExact, "", false},
	} {
		e := entry(ledger.ActionUpdate, "/r/1", `{"v":"old"}`, `{"v":"new"}`)
		c.change(&e.Draft)
		g, err := rem.Check(&e.Draft)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		said := strings.Join(g.Warnings, "\n")
		if g.Reversible != c.want || g.CanLook == c.blind || (c.warns == "") != (said == "") || !strings.Contains(said, c.warns) {
			t.Errorf("%s: %+v", c.name, g)
		}
		if g.ResourceKey != nil {
			t.Errorf("%s: the posted resource is the key, not %s", c.name, g.ResourceKey)
		}
	}
	e := entry(ledger.ActionUpdate, "/r/1", `{"v":"old"}`, `{"v":"new"}`)
	e.Kind = "caddy.route"
	if _, err := rem.Check(&e.Draft); ledger.CodeOf(err) != ledger.CodeInvalid {
		t.Errorf("a kind that is not served: %v", err)
	}
	e.Kind, e.Owned = Kind, []string{"v"}
	if _, err := rem.Check(&e.Draft); ledger.CodeOf(err) != ledger.CodeInvalid {
		t.Errorf("owned that is no pointer: %v", err)
	}
}

func TestDeniedAddressIsSaidAtRecording(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: "http://169.254.169.254"})
	e := entry(ledger.ActionUpdate, "/r/1", `{"v":"old"}`, `{"v":"new"}`)
	g, err := rem.Check(&e.Draft)
	if err != nil || !strings.Contains(strings.Join(g.Warnings, ""), "never dialled") {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := rem.Look(t.Context(), e); !strings.Contains(err.Error(), "denied") {
		t.Errorf("%v", err)
	}
}

func TestPlainDefaults(t *testing.T) {
	rec, err := documents{read: raw(`{"path":"/a"}`), undo: raw(`{"method":"DELETE","path":"/a"}`), guard: raw(`{"header":"If-Match"}`)}.parse(ledger.ActionCreate)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, rec.read.present, []int{200})
	diff(t, rec.read.absent, []int{404, 410})
	diff(t, rec.undo.success, []int{200, 201, 202, 204})
	diff(t, rec.undo.gone, []int{404, 410})
	diff(t, rec.undo.conflict, []int{409, 412})
	if !rec.guard.value.uses("validator") {
		t.Error("a guard is by the validator unless it says otherwise")
	}
	rec, err = documents{undo: raw(`{"method":"PUT","path":"/a","success":{"status":[200,409]}}`)}.parse(ledger.ActionUpdate)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, rec.undo.conflict, []int{412})
	if len(rec.undo.gone) > 0 {
		t.Error("an update whose resource is gone is drift")
	}
}
