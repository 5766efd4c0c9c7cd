package httpapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

// gear is a profile with every way to say what a call does.
const gear = `
name: gear
about: a third party of tests
kinds:
  gear.item:
    about: an item
    resource: {key: [id], optional: [box]}
    read: {path: "/items/{{resource.id}}", gone_proof: {path: /items}}
    effects:
      - {call: "PATCH /items/{id}", action: update, merge: true}
      - {call: "PUT /items/{id}", action: set, whole: true}
      - {call: "POST /items", action: create, answer: {id: /made/id}}
      - {call: "POST /boxes/{box}/items", action: create, location: "/items/{id}"}
      - {call: "DELETE /items", action: delete, query: {id: item}}
      - {call: "POST {+id}/off?now=yes", action: update, parameters: [], after: {on: false}, success: [302]}
      - {call: "POST /flags/{id}", action: delete, when: {/gone: true, /more: null}, only: [gone]}
      - {call: "POST /flags/{id}", action: update, only: [name]}
    create:
      - {reversible: exact, undo: {method: DELETE, path: "/items/{{resource.id}}"}}
    update:
      - {reversible: exact, undo: {method: PATCH, path: "/items/{{resource.id}}", body: "{{restore}}", content_type: application/merge-patch+json}}
    delete:
      - {reversible: exact, undo: {method: PUT, path: "/items/{{resource.id}}", body: "{{before}}"}}
`

// bindGear returns a remediator of the profile above at url.
func bindGear(t *testing.T, url string) *Remediator {
	t.Helper()
	p, err := parseProfile("gear", []byte(gear))
	if err != nil {
		t.Fatal(err)
	}
	_, bare := bindBare(t, remediators.SystemConfig{URL: url})
	bare.profile = p
	return bare
}

func TestDeriveFromTheCall(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/items/new" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"a":{"x":1,"y":2},"b":[1],"n":9007199254740993}`)
	}))
	defer srv.Close()
	rem := bindGear(t, srv.URL)
	for name, c := range map[string]struct {
		call  ledger.EffectCall
		said  ledger.Draft
		want  string // kind action resource owned after
		field string
	}{
		"merge": {
			call: ledger.EffectCall{Method: "PATCH", Path: "/items/a%2Fb", Body: []byte(`{"a":{"x":5},"c":{"d":1},"b":[2],"n":null}`)},
			want: `gear.item update {"id":"a/b"} [/a/x /b /c /n] {"a":{"x":5,"y":2},"b":[2],"c":{"d":1}}`,
		},
		"set, there":     {call: ledger.EffectCall{Method: "PUT", Path: "/items/7", Body: []byte(`{"z": 1}`)}, want: `gear.item update {"id":"7"} [] {"z":1}`},
		"set, not there": {call: ledger.EffectCall{Method: "PUT", Path: "/items/new", Body: []byte(`{}`)}, want: `gear.item create {"id":"new"} [] {}`},
		"create":         {call: ledger.EffectCall{Method: "POST", Path: "/items", Body: []byte(`{}`)}, want: `gear.item create {} [] `},
		"create below":   {call: ledger.EffectCall{Method: "POST", Path: "/boxes/b%201/items"}, want: `gear.item create {"box":"b 1"} [] `},
		"by query":       {call: ledger.EffectCall{Method: "DELETE", Path: "/items", Query: "x=1&item=7"}, want: `gear.item delete {"id":"7"} [] `},
		"the caller knows more": {
			call: ledger.EffectCall{Method: "DELETE", Path: "/items", Query: "item=7"},
			said: ledger.Draft{Kind: "gear.item", Resource: raw(`{"box":"b"}`)}, want: `gear.item delete {"box":"b","id":"7"} [] `,
		},
		"by what it asks for": {call: ledger.EffectCall{Method: "POST", Path: "/a/b%20c/off", Query: "now=yes"}, want: `gear.item update {"id":"/a/b c"} [] {"on":false}`},
		"another query":       {call: ledger.EffectCall{Method: "POST", Path: "/a/off", Query: "now=no"}, field: "/call"},
		"more of a query":     {call: ledger.EffectCall{Method: "POST", Path: "/a/off", Query: "now=yes&x=1"}, field: "/call"},
		"by its body":         {call: ledger.EffectCall{Method: "POST", Path: "/flags/7", Body: []byte(`{"gone":true}`)}, want: `gear.item delete {"id":"7"} [] `},
		"by another body":     {call: ledger.EffectCall{Method: "POST", Path: "/flags/7", Body: []byte(`{"name":"x"}`)}, want: `gear.item update {"id":"7"} [] `},
		"by no body":          {call: ledger.EffectCall{Method: "POST", Path: "/flags/7", Body: []byte(`{"gone":false}`)}, field: "/call"},
		"by more of a body":   {call: ledger.EffectCall{Method: "POST", Path: "/flags/7", Body: []byte(`{"gone":true,"more":1}`)}, field: "/call"},
		"the caller's own":    {call: ledger.EffectCall{Method: "POST", Path: "/elsewhere"}, said: ledger.Draft{Kind: Kind, Action: ledger.ActionUpdate}, want: `http.request update  [] `},
		"unknown":             {call: ledger.EffectCall{Method: "POST", Path: "/elsewhere"}, want: `   [] `},
		"a longer path":       {call: ledger.EffectCall{Method: "PATCH", Path: "/items/7/parts"}, want: `   [] `},
		"another resource":    {call: ledger.EffectCall{Method: "DELETE", Path: "/items", Query: "item=7"}, said: ledger.Draft{Resource: raw(`{"id":"8"}`)}, field: "/entry/resource"},
		"another action":      {call: ledger.EffectCall{Method: "DELETE", Path: "/items", Query: "item=7"}, said: ledger.Draft{Action: ledger.ActionCreate}, field: "/entry/action"},
		"no such parameter":   {call: ledger.EffectCall{Method: "DELETE", Path: "/items"}, field: "/call"},
		"no merge patch":      {call: ledger.EffectCall{Method: "PATCH", Path: "/items/7", Body: []byte(`[1]`)}, field: "/call/body"},
		"an empty patch":      {call: ledger.EffectCall{Method: "PATCH", Path: "/items/7", Body: []byte(`{}`)}, field: "/call/body"},
	} {
		d := c.said
		_, err := rem.Derive(t.Context(), c.call, &d)
		var e *ledger.Error
		got := fmt.Sprintf("%s %s %s %v %s", d.Kind, d.Action, d.Resource, d.Owned, d.After.JSON)
		switch {
		case c.field != "":
			if !asLedgerError(err, &e) || e.Field != c.field {
				t.Errorf("%s: %v, want %s", name, err, c.field)
			}
		case err != nil || got != c.want:
			t.Errorf("%s: %s (%v)\nwant %s", name, got, err, c.want)
		}
	}
	d := ledger.Draft{}
	derived, err := rem.Derive(t.Context(), ledger.EffectCall{Method: "POST", Path: "/boxes/b/items"}, &d)
	if err != nil || derived.LocationFunc == nil {
		t.Fatal(err)
	}
	for location, want := range map[string]string{"/items/7": `{"id":"7"}`, srv.URL + "/items/a%20b?x": `{"id":"a b"}`, "http://elsewhere/items/7": "", "/other/7": ""} {
		if got, ok := derived.LocationFunc(location); string(got) != want || ok != (want != "") {
			t.Errorf("Location %s: %s", location, got)
		}
	}
}

func asLedgerError(err error, to **ledger.Error) bool {
	e, ok := err.(*ledger.Error) //nolint:errorlint // Derive returns it bare
	*to = e
	return ok
}

func TestRestoreLeavesNeighboursAlone(t *testing.T) {
	before := raw(`{"a":{"x":1,"y":2},"n":9007199254740993,"l":[{"q":1}]}`)
	for owned, want := range map[string]string{
		"":              string(before),
		"/a/x":          `{"a":{"x":1}}`,
		"/a/z /n":       `{"a":{"z":null},"n":9007199254740993}`,
		"/a/x /a":       `{"a":{"x":1,"y":2}}`,
		"/not /l":       `{"l":[{"q":1}],"not":null}`,
		"/l/0":          "error",
		"/l/0/q":        "error",
		"/x~1y/z /a~0b": `{"a~b":null,"x/y":{"z":null}}`,
	} {
		got, err := values{before: before, owned: strings.Fields(owned)}.restore()
		if err != nil {
			got = raw("error")
		}
		if string(got) != want {
			t.Errorf("%q: %s, want %s", owned, got, want)
		}
	}
}

func TestEffectsAreReadStrictly(t *testing.T) {
	const head = "name: x\nabout: y\nkinds:\n  x.a: {about: z, resource: {key: [id]}, read: {path: /a}, effects: ["
	for effect, want := range map[string]string{
		`{call: "GET /a/{id}", action: update}`:                      "want METHOD /path",
		`{call: "PUT /a/{id}", action: change}`:                      "action is",
		`{call: "PUT /a/{name}", action: update}`:                    "name is no member",
		`{call: "PUT /a", action: update}`:                           "nothing says id",
		`{call: "PUT a/{id}", action: update}`:                       "want METHOD /path",
		`{call: "PUT /a/{id}?%zz", action: update}`:                  "its query cannot be read",
		`{call: "PUT /a/{id}", action: update, when: {a: 1}}`:        "is no JSON pointer",
		`{call: "PUT /a/{id}", action: update, success: [404]}`:      "success has a status",
		`{call: "DELETE /a/{id}", action: delete, after: {}}`:        "a delete leaves nothing",
		`{call: "PUT /a/{id}", action: set, whole: true, after: {}}`: "after says what",
		`{call: "PUT /a/{id", action: update}`:                       "brace",
		`{call: "PUT /a", action: update, answer: {id: /id}}`:        "what a create has made",
		`{call: "PUT /a", action: create, answer: {id: id}}`:         "no JSON pointer",
		`{call: "PUT /a/{id}", action: create, merge: true}`:         "merge is an update",
		`{call: "PUT /a/{id}", action: update, append: true}`:        "append goes with set",
		`{call: "DELETE /a/{id}", action: delete, whole: true}`:      "leaves nothing",
		`{call: "PUT /a/{id}", action: update, nothing: 1}`:          "field nothing not found",
		`null`: "says nothing",
		`{call: "PUT /a/{id}", action: update, location: "/{id}"}`: "what a create has made",
		`{call: "PUT /a/{id}/{id}", action: update}`:               "duplicate",
	} {
		if _, err := parseProfile("x", []byte(head+effect+"]}")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", effect, err, want)
		}
	}
}

// A call that does more than the kind's undos bring back is not made.
func TestEffectsThatDoMore(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: "http://127.0.0.1:1", Profile: "github"}).(ledger.Effector)
	stripe := bind(t, remediators.SystemConfig{URL: "http://127.0.0.1:1", Profile: "stripe"}).(ledger.Effector)
	cat := bind(t, remediators.SystemConfig{URL: "http://127.0.0.1:1", Profile: "configcat"}).(ledger.Effector)
	form := map[string]string{"content-type": formType + "; charset=utf-8"}
	const hook = "/repos/acme/shop/hooks/7"
	for name, c := range map[string]struct {
		rem  ledger.Effector
		call ledger.EffectCall
		want string // "": it is taken
	}{
		"config":          {rem, ledger.EffectCall{Method: "PATCH", Path: hook + "/config", Body: []byte(`{"url":"https://x"}`)}, ""},
		"a secret":        {rem, ledger.EffectCall{Method: "PATCH", Path: hook + "/config", Body: []byte(`{"secret":"x"}`)}, "no undo of the kind brings back"},
		"config in whole": {rem, ledger.EffectCall{Method: "PATCH", Path: hook, Body: []byte(`{"active":true,"config":{}}`)}, "no undo of the kind brings back"},
		"add_events":      {rem, ledger.EffectCall{Method: "PATCH", Path: hook, Body: []byte(`{"add_events":["push"]}`)}, "no undo of the kind brings back"},
		"no object":       {rem, ledger.EffectCall{Method: "PATCH", Path: hook + "/config", Body: []byte(`[]`)}, "not the object or form"},
		"a parameter":     {rem, ledger.EffectCall{Method: "DELETE", Path: hook, Query: "x=1"}, "its query has a parameter"},
		"a form":          {stripe, ledger.EffectCall{Method: "POST", Path: "/v1/webhook_endpoints/we_1", Header: form, Body: []byte("disabled=true&enabled_events[]=a")}, ""},
		"a patch":         {cat, ledger.EffectCall{Method: "PATCH", Path: "/v1/settings/7", Body: []byte(`[{"op":"replace","path":"/hint","value":"x"}]`)}, ""},
		"a patch of more": {cat, ledger.EffectCall{Method: "PATCH", Path: "/v1/settings/7", Body: []byte(`[{"op":"add","path":"/tags/0","value":1}]`)}, "no undo of the kind brings back"},
		"a patch by move": {cat, ledger.EffectCall{Method: "PATCH", Path: "/v1/settings/7", Body: []byte(`[{"op":"move","from":"/tags","path":"/hint"}]`)}, "no undo of the kind brings back"},
		"a patch of all":  {cat, ledger.EffectCall{Method: "PATCH", Path: "/v1/settings/7", Body: []byte(`[{"op":"replace","path":"","value":{}}]`)}, "not the object or form"},
		"metadata":        {stripe, ledger.EffectCall{Method: "POST", Path: "/v1/webhook_endpoints/we_1", Header: form, Body: []byte("metadata[a]=b")}, "no undo of the kind brings back"},
	} {
		_, err := c.rem.Derive(t.Context(), c.call, &ledger.Draft{})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A number is one resource, whether an answer brought it or a path.
func TestNumbersNameOneResource(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: "http://127.0.0.1:1", Profile: "github"})
	key := func(id string) string {
		g, err := rem.Check(&ledger.Draft{
			Kind: "github.org_hook", Action: ledger.ActionUpdate, State: ledger.EntryApplied, Before: image(`{"active":true}`), After: image(`{"active":false}`),
			Resource: raw(`{"org":"acme","id":` + id + `}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(g.ResourceKey)
	}
	if key(`7`) != key(`"7"`) || key(`7`) == key(`"07"`) || key(`"7"`) == key(`"8"`) {
		t.Errorf("%s %s %s", key(`7`), key(`"7"`), key(`"07"`))
	}
}

// A real Caddy is changed through the ledger alone, and rolled back.
func TestCaddyIsCalledByTheLedger(t *testing.T) {
	a := startAdmin(t)
	w := setupOf(remediators.SystemConfig{URL: a.URL, Profile: "caddy", Effects: []string{"* /config/*", "* /id/*"}}).Open(t)
	do := func(method, path, body string) *ledger.Effected {
		t.Helper()
		c := ledger.EffectCall{Method: method, Path: path, Header: map[string]string{"Content-Type": "application/json"}}
		if body != "" {
			c.Body = []byte(body)
		}
		out, err := w.Ledger.Effect(t.Context(), w.ID, ledger.Draft{System: "sys"}, c)
		a.settle()
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		if out.Outcome != ledger.EffectApplied || out.Answer.Status != 200 || out.Entry.State != ledger.EntryApplied {
			t.Fatalf("%s %s: %+v", method, path, out)
		}
		return out
	}
	start := a.call("GET", "/config/", "")
	const timeout = "/config/apps/http/servers/srv0/read_timeout"
	made := do("POST", routes, routeOld).Entry
	changed := do("PATCH", "/id/mig42", routeNew).Entry
	do("PUT", timeout, `10000000000`)
	do("PATCH", timeout, `20000000000`)
	do("POST", timeout, `30000000000`)
	do("PUT", routes+"/0", `{"@id":"first","match":[{"path":["/first"]}]}`)
	gone := do("DELETE", "/id/base", "").Entry
	do("POST", routes, `{"match":[{"path":["/nameless"]}]}`)
	do("DELETE", "/id/mig42", "")
	do("DELETE", timeout, "")
	if made.Kind != "caddy.route" || string(made.Resource) != `{"id":"mig42","server":"srv0"}` || !made.Before.IsAbsent() {
		t.Errorf("made: %s %s %s", made.Kind, made.Resource, made.Before.JSON)
	}
	if string(changed.Before.JSON) != routeOld || string(changed.After.JSON) != routeNew {
		t.Errorf("changed: %s, %s", changed.Before.JSON, changed.After.JSON)
	}
	if string(gone.Resource) != `{"id":"base","index":"1","server":"srv0"}` {
		t.Errorf("the ETag did not say where the route stands: %s", gone.Resource)
	}
	if run := w.Rollback(); !run.Complete {
		t.Errorf("the rollback: %+v", run.Counts)
	}
	a.settle()
	if now := a.call("GET", "/config/", ""); now != start {
		t.Errorf("the configuration is\n%s, want\n%s", now, start)
	}
	if _, err := w.Ledger.Effect(t.Context(), w.ID, ledger.Draft{System: "sys"}, ledger.EffectCall{Method: "DELETE", Path: "/id/base"}); ledger.CodeOf(err) != ledger.CodeConflict {
		t.Errorf("after the rollback: %v", err)
	}
	if now := a.call("GET", "/config/", ""); now != start {
		t.Errorf("a call was made in a window that takes none")
	}
}

// The system's credential never comes back with an answer, however the third party echoes it.
func TestEffectAnswerHoldsNoCredential(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		w.Header().Set("Set-Cookie", "session="+secret)
		w.Header().Set("Location", "/x?token="+secret)
		w.Header().Set("X-Echo", secret)
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{"headers": r.Header, "plain": secret})
	}))
	defer srv.Close()
	rem := bind(t, remediators.SystemConfig{URL: srv.URL, Credential: "env:TOKEN", Effects: []string{"GET /*"}})
	answer, err := rem.(ledger.Effector).Send(t.Context(), ledger.EffectCall{Method: "GET", Path: "/x"}, func() error { return nil })
	if err != nil || answer.Status != http.StatusUnauthorized {
		t.Fatalf("%+v, %v", answer, err)
	}
	all := fmt.Sprint(answer.Header, string(answer.Body))
	if strings.Contains(all, remediatortest.Secret) || !strings.Contains(all, "[redacted]") {
		t.Errorf("the answer is %s", all)
	}
	if len(answer.Header) != 3 { // Content-Type, Date, Location
		t.Errorf("headers are %v", answer.Header)
	}
}

func TestEffectAdmitted(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{
		URL: "http://127.0.0.1:1", Effects: []string{"PATCH /config/*", "GET /config/*", "DELETE /id/*"}, Allow: []string{"* /config/*", "* /id/*"},
	}).(ledger.Effector)
	header := func(name string) map[string]string { return map[string]string{name: "x"} }
	for want, calls := range map[ledger.Code][]ledger.EffectCall{
		"": {{Method: "PATCH", Path: "/config/a"}, {Method: "GET", Path: "/config/a", Query: "x=y"}, {Method: "PATCH", Path: "/config/a", Header: header("if-match")}},
		ledger.CodeForbidden: {
			{Method: "PUT", Path: "/config/a"}, {Method: "PATCH", Path: "/id/a"}, {Method: "HEAD", Path: "/config/a"}, {Method: "DELETE", Path: "/config/a"}, {Method: "PATCH", Path: "/config"},
		},
		ledger.CodeInvalid: {
			{Method: "PATCH", Path: "/config/../id/a"},
			{Method: "PATCH", Path: "/config/%2e%2e/x"},
			{Method: "PATCH", Path: "/config//x"},
			{Method: "patch", Path: "/config/a"},
			{Method: "OPTIONS", Path: "/config/a"},
			{Method: "PATCH", Path: "/config/a", Header: header("Authorization")},
			{Method: "PATCH", Path: "/config/a", Header: header("Host")},
			{Method: "PATCH", Path: "/config/a", Header: header("Cookie")},
			{Method: "PATCH", Path: "/config/a", Header: header("X-Http-Method-Override")},
			{Method: "PATCH", Path: "/config/a", Header: header("Transfer-Encoding")},
			{Method: "PATCH", Path: "/config/a", Header: map[string]string{"Accept": "a\r\nX: y"}},
			{Method: "PATCH", Path: "/config/a", Query: "_method=DELETE"},
			{Method: "GET", Path: "/config/a", Body: []byte("x")},
		},
	} {
		for _, c := range calls {
			if err := rem.Admits(c); ledger.CodeOf(err) != want {
				t.Errorf("%s %s %v: %v, want %q", c.Method, c.Path, c.Header, err, want)
			}
		}
	}
	for line, ok := range map[string]bool{
		"PATCH /config/*": true, "PATCH /config/apps/*": true, "* /config/x": false, "PATCH /*": false, "DELETE /config/*": false, "PATCH /id/*": false, "patch /config/x": false,
	} {
		c := remediators.SystemConfig{Remediator: "http", URL: "http://x.example", Allow: []string{"PATCH /config/*"}, Effects: []string{line}}
		if err := c.Validate("s"); (err == nil) != ok {
			t.Errorf("effects %q inside allow: %v", line, err)
		}
	}
	c := remediators.SystemConfig{Remediator: "manual", Effects: []string{"PATCH /config/*"}}
	if err := c.Validate("s"); err == nil {
		t.Error("effects of a system without an address are taken")
	}
}
