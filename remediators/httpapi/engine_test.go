package httpapi

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

func TestForms(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                                     "",
		`{"b":"x y&z","a":1.50}`:                 "b=x+y%26z&a=1.50",
		`{"e":["a","b"],"n":null,"t":true}`:      "e[]=a&e[]=b&n=&t=true",
		`{"m":{"k e":"v","n":{"o":"p"}},"l":[]}`: "m[k+e]=v&m[n][o]=p",
	} {
		if got, err := wire(formType, json.RawMessage(in)); err != nil || string(got) != want {
			t.Errorf("%s is sent as %q (%v), want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{`[]`, `"a"`, `{"a":[[1]]}`, `{"a":[{"b":1}]}`} {
		if got, err := wire(formType, json.RawMessage(bad)); err == nil {
			t.Errorf("%s is sent as %q", bad, got)
		}
	}
	if got, err := wire("text/plain; charset=utf-8", json.RawMessage(`"a\nb"`)); err != nil || string(got) != "a\nb" {
		t.Errorf("text is sent as %q (%v)", got, err)
	}
	if _, err := wire("text/plain", json.RawMessage(`{"a":1}`)); err == nil {
		t.Error("an object is sent as text")
	}
}

// TestOptionalMembers: what finds nothing is left out, with its comma; an update restores only what is not as it was.
func TestOptionalMembers(t *testing.T) {
	v := values{before: json.RawMessage(`{"a":1,"n":null,"s":{"x":"y"}}`), now: json.RawMessage(`{"a":2,"s":{"x":"y"}}`)}
	for in, want := range map[string]string{
		`{"a":"{{before.a?}}","z":"{{before.z?}}"}`:                            `{"a":1}`,
		`{"z":"{{before.z?}}","a":"{{before.a?}}"}`:                            `{"a":1}`,
		`{"z":"{{before.z?}}"}`:                                                `{}`,
		`{"z":"{{before.z?}}","y":"{{before.y?}}", "x":{"w":"{{before.w?}}"}}`: `{ "x":{}}`,
		`{"n":"{{before.n?}}","m":"{{before.n??}}"}`:                           `{"n":null}`,
		`{"k": 7 , "z" : "{{before.z?}}" }`:                                    `{"k": 7  }`,
	} {
		b, err := parseBody(json.RawMessage(in))
		if err != nil {
			t.Fatal(in, err)
		}
		if got, err := b.render(v); err != nil || string(got) != want {
			t.Errorf("%s becomes %s (%v), want %s", in, got, err, want)
		}
	}
	b, _ := parseBody(json.RawMessage(`{"a":"{{before.a?}}","s":"{{before.s?}}"}`))
	v.update = true
	if got, _ := b.render(v); string(got) != `{"a":1}` {
		t.Errorf("an update restores what is as it was: %s", got)
	}
	v.mine = [][]string{{"s", "x"}}
	if got, _ := b.render(v); string(got) != `{}` {
		t.Errorf("an update restores what the entry does not own: %s", got)
	}
	for _, bad := range []string{`["{{before.a?}}"]`, `"{{before?}}"`, `{"a":"x{{before.a?}}"}`, `{"a":["{{before.a?}}"]}`} {
		if _, err := parseBody(json.RawMessage(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestFilters(t *testing.T) {
	v := values{
		before: json.RawMessage(`{"c":"aGVs\nbG8K\n","s":"disabled","bin":"/w==","no":"%%","o":{},"d":{"v":1,"id":7,"e":1.0E+5},"name":"projects/p/jobs/j","l":[{"a":null,"b":[],"c":{"x":null}},{"a":0,"b":[1]}]}`),
		now:    json.RawMessage(`{"d":{"v":2,"e":3,"more":4}}`),
	}
	for in, want := range map[string]string{
		`"{{before.c|base64}}"`: `"aGVsbG8K"`, `"{{before.c|text}}"`: `"hello\n"`,
		`"{{before.s|is:disabled}}"`: `true`, `"{{before.s|is:enabled}}"`: `false`, `"{{before.o|is:x}}"`: `false`,
		`"{{before.d|keep:id,v}}"`: `{"e":1.0E+5,"v":2}`, `"{{before.o|keep:v}}"`: `{}`, `"{{before.d|without:id,v}}"`: `{"e":1.0E+5}`,
		`"{{before.name|last}}"`: `"j"`, `"{{before.s|last}}"`: `"disabled"`,
		`"{{before.l|given}}"`: `[{"c":{"x":null}},{"a":0,"b":[1]}]`, `"{{before.o|given}}"`: `{}`,
	} {
		b, err := parseBody(json.RawMessage(in))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.render(v); err != nil || string(got) != want {
			t.Errorf("%s becomes %s (%v), want %s", in, got, err, want)
		}
	}
	for _, bad := range []string{`"{{before.bin|text}}"`, `"{{before.no|base64}}"`, `"{{before.o|text}}"`, `"{{before.x|text}}"`, `"{{before.s|keep:v}}"`, `"{{before.s|without:v}}"`, `"{{before.s|given}}"`, `"{{before.o|last}}"`} {
		b, err := parseBody(json.RawMessage(bad))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.render(v); err == nil {
			t.Errorf("%s becomes %s", bad, got)
		}
	}
	for _, bad := range []string{"{{before.c|exec}}", "{{before.c|keep:}}", "{{before.c|keep:a,}}", "{{now.c|keep:a}}", "{{before.c|without:}}", "{{before.c|keep:without:a}}"} {
		if _, err := parseText(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// hookScene is a GitHub hook whose secret the system may know.
func hookScene(t *testing.T, secrets map[string]string) (*scene, contract) {
	t.Helper()
	list := githubHookContracts("github.repo_hook", "/repos/acme/shop/hooks", `"owner":"acme","repo":"shop"`)
	deleted := list[len(list)-1]
	sc := deleted.set(t)
	setup := systemOf(t, "github").At(sc.s.URL)
	setup.Config.Secrets = secrets
	sc.w, sc.rem = setup.Open(t), setup.Bind(t)
	return sc, deleted
}

// TestSecretMissing: a secret that nobody can read back and nobody can give stops the undo, and the recording says so.
func TestSecretMissing(t *testing.T) {
	for name, c := range map[string]struct {
		secrets map[string]string
		secret  string // as the resource names it
		want    string
	}{
		"nobody names it":  {map[string]string{"deploy-hook": "env:X"}, "", "secret_missing: /config/secret"},
		"not configured":   {nil, "deploy-hook", "secret_missing: the system's configuration has no secrets.deploy-hook"},
		"its file is away": {map[string]string{"deploy-hook": "file:/nowhere/at/all"}, "deploy-hook", "secret_missing: read the credential file:/nowhere/at/all"},
	} {
		t.Run(name, func(t *testing.T) {
			sc, deleted := hookScene(t, c.secrets)
			id := named(sc.resource, "id")
			sc.resource = `{"owner":"acme","repo":"shop","id":` + id + `,"secret":"` + c.secret + `"}`
			if c.secret == "" {
				sc.resource = `{"owner":"acme","repo":"shop","id":` + id + `}`
			}
			e := sc.w.Record(sc.effect(deleted))
			if !strings.Contains(strings.Join(e.Warnings, "\n"), "the undo will be blocked: "+c.want) {
				t.Errorf("warned of %q", e.Warnings)
			}
			sent := sc.s.Changes()
			sc.w.Rollback()
			if e = sc.w.Want(e, "stuck blocked"); !strings.HasPrefix(e.Detail, c.want) {
				t.Errorf("detail %q", e.Detail)
			}
			if sc.s.Changes() != sent {
				t.Error("it was sent all the same")
			}
		})
	}
}

// TestSecretsStayUnseen: a plan names a secret and does not show it.
func TestSecretsStayUnseen(t *testing.T) {
	sc, deleted := hookScene(t, map[string]string{"deploy-hook": "env:X"})
	sc.w.Record(sc.effect(deleted))
	raw, err := json.Marshal(sc.w.WantPlan("undo"))
	if err != nil || strings.Contains(string(raw), remediatortest.Secret) || !strings.Contains(string(raw), "$secret:reference:deploy-hook") {
		t.Errorf("the plan is %s (%v)", raw, err)
	}
}

// TestSecretsOfEntries: an entry's own recipe reaches no secret, and a profile's only in a body.
func TestSecretsOfEntries(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: "https://x.example.com", Secrets: map[string]string{"a": "env:X"}})
	for _, undo := range []string{
		`{"method":"PUT","path":"/a","body":{"s":"{{secret.a}}"}}`, `{"method":"PUT","path":"/{{secret.a}}"}`,
		`{"method":"PUT","path":"/a","headers":{"X-A":"{{secret.a}}"}}`,
	} {
		d := ledger.Draft{
			System: "sys", Kind: Kind, Action: ledger.ActionUpdate, State: ledger.EntryApplied, Resource: json.RawMessage(`{"a":"a"}`),
			Before: image(`{"x":1}`), After: image(`{"x":2}`), Undo: json.RawMessage(undo),
		}
		if _, err := rem.Check(&d); ledger.CodeOf(err) != ledger.CodeInvalid {
			t.Errorf("%s: %v", undo, err)
		}
	}
	const profile = "name: x\nabout: a\nkinds: {x.y: {about: a, resource: {key: [id]}, read: {path: /a}, update: [{reversible: exact, undo: {method: PUT, path: \"/{{secret.id}}\"}}]}}\n"
	if _, err := parseProfile("x", []byte(profile)); err == nil {
		t.Error("a profile puts a secret into a path")
	}
}

// TestWhatOneCallBringsBack: an entry that changed more than one call brings back is not said to be undone by it.
func TestWhatOneCallBringsBack(t *testing.T) {
	sc, _ := hookScene(t, nil)
	d := sc.draft
	d.ID, d.Action, d.Resource, d.Before = ledger.NewID(), ledger.ActionUpdate, json.RawMessage(sc.resource), sc.look(sc.draft).Now
	sc.h.Must("PATCH", "/repos/acme/shop/hooks/"+named(sc.resource, "id"), `{"active":false,"config":{"url":"https://x.example.com","content_type":"json","secret":"s"}}`)
	d.After = sc.look(d).Now
	e := sc.w.Record(d)
	if e.Reversible != ledger.ReversibleNone || !strings.Contains(strings.Join(e.Warnings, "\n"), "record one entry for each of") {
		t.Errorf("graded %s, %q", e.Reversible, e.Warnings)
	}
	// The same change, of which the entry owns a part only, is taken back to that part.
	d.ID, d.Owned = ledger.NewID(), []string{"/active"}
	e = sc.w.Record(d)
	if e.Reversible != ledger.ReversibleExact {
		t.Errorf("graded %s, %q", e.Reversible, e.Warnings)
	}
	sc.w.Rollback(e.ID.String())
	sc.w.Want(e, "undone undone")
	if doc := sc.s.Kept("/repos/acme/shop/hooks/" + named(sc.resource, "id")); doc["active"] != true || !strings.Contains(string(sc.look(d).Now.JSON), "https://x.example.com") {
		t.Errorf("it is %v", doc)
	}
}

// TestProfileOfYourOwn: a path in the configuration is a profile, read as strictly as ours.
func TestProfileOfYourOwn(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const good = "name: mine\nabout: a\nkinds: {mine.thing: {about: a, resource: {key: [id]}, read: {path: \"/things/{{resource.id}}\"}}}\n"
	rem := bind(t, remediators.SystemConfig{URL: "https://x.example.com", Profile: write("mine.yaml", good)})
	diff(t, rem.Kinds(), []string{"http.request", "mine.thing"})
	for _, bad := range []string{
		filepath.Join(dir, "none.yaml"), write("other.yaml", good), write("mine.json", good), write("unread.yaml", "name: unread\nabuot: a\n"), dir,
		write("long.yaml", strings.Repeat("#", maxProfile+1)), "mine.yaml",
	} {
		s := setupOf(remediators.SystemConfig{URL: "https://x.example.com", Profile: bad})
		_, _, err := remediators.NewRegistry(remediators.Options{
			Systems: map[string]remediators.SystemConfig{"sys": s.Config}, Factories: map[string]remediators.Factory{"http": Factory},
		})
		if err == nil || !strings.HasPrefix(err.Error(), "systems.sys.profile: ") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestListedIsNotGone: a 404 whose list has the resource all the same proves nothing.
func TestListedIsNotGone(t *testing.T) {
	sc, _ := hookScene(t, nil)
	d := sc.draft
	d.Read = json.RawMessage(`{"path":"/repos/acme/shop/hooks/1","headers":{"Accept":"application/vnd.github+json","X-GitHub-Api-Version":"2022-11-28"},
		"gone_proof":{"path":"/repos/acme/shop/hooks","list":{"items":""},"match":{"pointer":"/id","equals":"{{resource.id}}"}}}`)
	d.Resource = json.RawMessage(sc.resource)
	seen, err := sc.rem.Look(t.Context(), &ledger.Entry{Draft: d})
	if err != nil || !seen.Now.IsAbsent() || seen.Proven {
		t.Errorf("it is listed: %+v, %v", seen, err)
	}
	d.Resource = json.RawMessage(`{"owner":"acme","repo":"shop","id":1}`)
	if seen, err = sc.rem.Look(t.Context(), &ledger.Entry{Draft: d}); err != nil || !seen.Proven {
		t.Errorf("it is not listed: %+v, %v", seen, err)
	}
}
