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
)

// hooksAt answers a list of GitHub's hooks in two pages, with Link headers as GitHub has them.
func hooksAt(t *testing.T, created string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/repos/acme/shop/hooks" {
			t.Errorf("asked for %s %s", r.Method, r.URL)
		}
		if r.URL.Query().Get("page") == "2" {
			_, _ = io.WriteString(w, `[{"id":3,"created_at":"2001-01-01T00:00:00Z","updated_at":"`+created+`"},{"id":4,"created_at":"2001-01-01T00:00:00Z","updated_at":"2001-01-01T00:00:00Z"}]`)
			return
		}
		w.Header().Set("Link", fmt.Sprintf(`<http://%s/repos/acme/shop/hooks?per_page=100&page=2>; rel="next", <http://%s/x>; rel="last"`, r.Host, r.Host))
		_, _ = io.WriteString(w, `[{"id":1,"created_at":"`+created+`"},{"id":2,"created_at":"`+created+`"},{"id":5,"created_at":"`+created+`","config":{"url":"https://sideledger-rehearsal-x.invalid/"}}]`)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// signs writes what nobody recorded as "1 created".
func signs(u *ledger.Unrecorded) string {
	var out []string
	for _, f := range u.Items {
		s := named(string(f.Resource), "id") + " " + string(f.Sign)
		if f.Canary {
			s += " canary"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestUnrecorded(t *testing.T) {
	w := setupOf(remediators.SystemConfig{URL: hooksAt(t, "2999-01-01T00:00:00Z"), Profile: "github"}).Open(t)
	record := func(id string, void bool) {
		e := w.Record(ledger.Draft{
			System: "sys", Kind: "github.repo_hook", Action: ledger.ActionUpdate, State: ledger.EntryIntended, Before: image(`{"active":true}`),
			Resource: json.RawMessage(`{"owner":"acme","repo":"shop","id":` + id + `}`),
		})
		if void {
			if _, err := w.Ledger.Void(t.Context(), e.ID, "test"); err != nil {
				t.Fatal(err)
			}
		}
	}
	record("1", true)
	record(`"2"`, false) // as a path has it
	for all, want := range map[bool]string{false: "1 created, 5 created canary, 3 changed", true: "1 created, 5 created canary, 3 changed, 4 older"} {
		u, err := w.Ledger.Unrecorded(t.Context(), ledger.UnrecordedRequest{WindowID: w.ID, All: all})
		if err != nil || signs(u) != want || len(u.Lists) != 1 || u.Lists[0].Held != 5 || u.Lists[0].Part {
			t.Errorf("all %t: %s (%v) of %+v, want %s", all, signs(u), err, u.Lists, want)
		}
	}
	other, err := w.Ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "another"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := w.Ledger.Unrecorded(t.Context(), ledger.UnrecordedRequest{
		WindowID: other.ID, System: "sys", Kinds: []string{"github.repo_hook", "github.file"}, Place: json.RawMessage(`{"owner":"acme","repo":"shop"}`),
	})
	if err != nil || signs(u) != "1 created, 5 created canary, 3 changed" { // an entry of any window names 2
		t.Errorf("from another window: %s, %v", signs(u), err)
	}
	if len(u.Lists) != 2 || u.Lists[1].Kind != "github.file" || u.Lists[1].Why == "" {
		t.Errorf("what cannot be listed is not said: %+v", u.Lists)
	}
}

// Each profile's list reads what its third party shows after a create.
func TestListsOfProfiles(t *testing.T) {
	for _, c := range rehearsable {
		t.Run(c.kind, func(t *testing.T) {
			s, w := c.open(t)
			s.Forbid("DELETE")
			if c.kind == "posthog.feature_flag" { // whose delete is a PATCH
				s.Forbid("PATCH")
			}
			r := w.Rehearse(c.request())
			u, err := w.Ledger.Unrecorded(t.Context(), ledger.UnrecordedRequest{WindowID: w.ID, System: "sys", Kinds: []string{c.kind}, Place: json.RawMessage(c.place), All: true})
			if err != nil || len(u.Items) != 0 || len(u.Lists) != 1 || u.Lists[0].Held != 1 || u.Lists[0].Part || u.Lists[0].Why != "" {
				t.Errorf("%+v, %v after %s", u, err, told(r))
			}
		})
	}
}

func TestListsAreReadStrictly(t *testing.T) {
	const head = "name: x\nabout: y\nkinds:\n  x.a: {about: z, resource: {key: [id], optional: [box]}, read: {path: /a}, list: "
	for text, want := range map[string]string{
		`{path: /a, items: "x", resource: {id: "{{now.id}}"}}`:               "/list/items",
		`{path: a, items: "", resource: {id: "{{now.id}}"}}`:                 "/list/path",
		`{path: /a, items: "", resource: {name: "{{now.id}}"}}`:              "resource.name",
		`{path: /a, items: "", resource: {box: "{{now.id}}"}}`:               "nothing says id",
		`{path: "/{{now.x}}", items: "", resource: {id: "{{now.id}}"}}`:      "its path refers to",
		`{path: /a, items: "", resource: {id: "{{now.id}}"}, all: 1}`:        "field all not found",
		`{path: /a, items: "", resource: {id: "{{now.id}}"}, after: {x: y}}`: "after.x",
	} {
		if _, err := parseProfile("x", []byte(head+text+"}")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// Pages that cannot be followed, and elements without a name, make a list one that may lack something.
func TestListThatIsNotWhole(t *testing.T) {
	for name, c := range map[string]struct {
		link, body string
		held       int
		part, bad  bool
	}{
		"whole":          {"", `[{"@id":"a"},{"@id":"b"}]`, 2, false, false},
		"nameless":       {"", `[{"@id":"a"},{}]`, 1, true, false},
		"elsewhere":      {`<http://elsewhere.example/x>; rel="next"`, `[{"@id":"a"}]`, 1, true, false},
		"no list":        {"", `{"a":1}`, 0, false, true},
		"null, as Caddy": {"", `null`, 0, false, false},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if c.link != "" {
				w.Header().Set("Link", c.link)
			}
			_, _ = io.WriteString(w, c.body)
		}))
		_, bare := bindBare(t, remediators.SystemConfig{URL: srv.URL, Profile: "caddy"})
		got, err := bare.List(t.Context(), "caddy.route", json.RawMessage(`{"server":"srv0","id":"x"}`))
		srv.Close()
		if (err != nil) != c.bad || len(got.Items) != c.held || got.Part != c.part {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Stripe's next page is asked for after the last element of the one before.
func TestListThatGoesOnAfterItsLast(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if after := r.URL.Query().Get("starting_after"); after != "" {
			if after != "we_2" || r.URL.Query().Get("limit") != "100" {
				t.Errorf("asked for %s", r.URL)
			}
			_, _ = io.WriteString(w, `{"data":[{"id":"we_3"}],"has_more":false}`)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"id":"we_1"},{"id":"we_2","created":978307200}],"has_more":true}`)
	}))
	defer srv.Close()
	_, bare := bindBare(t, remediators.SystemConfig{URL: srv.URL, Profile: "stripe"})
	got, err := bare.List(t.Context(), "stripe.webhook_endpoint", nil)
	if err != nil || len(got.Items) != 3 || got.Part || got.Items[1].Created.Year() != 2001 {
		t.Errorf("%+v, %v", got, err)
	}
}
