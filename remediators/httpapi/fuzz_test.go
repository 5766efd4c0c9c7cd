package httpapi

import (
	"encoding/json"
	"path"
	"testing"

	"sideledger/ledger"
)

// A recipe that is taken can be rendered without harm; one that is not is the caller's mistake.
func FuzzRecipe(f *testing.F) {
	f.Add(`{"method":"GET","path":"/hooks/{{resource.id}}","present":[200],"select":"/config","gone_proof":{"path":"/","status":[200]}}`,
		`{"method":"PUT","path":"/hooks/42","headers":{"X-A":"{{id}}"},"body":{"a":"{{before}}"},"success":{"status":[200],"body":{"equals":true}}}`,
		`{"header":"If-Match","value":"{{validator}}"}`, `{"poll":{"path":"/jobs/1","until":{"pointer":"/s","in":["ok"]}}}`)
	f.Add(`{"path":"/a?b={{resource.x/0}}","list":{"items":""},"match":{"pointer":"/id","equals":"{{resource.id}}"}}`, `{"method":"DELETE","path":"{{+before.href}}"}`, `{}`, `{"timeout":"1s"}`)
	f.Add(`[]`, `7`, `{"a":`, `null`)
	f.Fuzz(func(t *testing.T, read, undo, guard, async string) {
		for _, s := range []string{read, undo, guard, async} {
			if s != "" && !json.Valid([]byte(s)) {
				return // the edge has refused it
			}
		}
		docs := documents{read: json.RawMessage(read), undo: json.RawMessage(undo), guard: json.RawMessage(guard), async: json.RawMessage(async)}
		for _, action := range []ledger.Action{ledger.ActionCreate, ledger.ActionUpdate, ledger.ActionDelete} {
			rec, err := docs.parse(action)
			if err != nil {
				if ledger.CodeOf(err) != ledger.CodeInvalid {
					t.Fatal(err)
				}
				continue
			}
			if u := rec.undo; u != nil {
				_, _, _ = u.where.render(some)
				if out, err := u.body.render(some); err == nil && len(out) > 0 && !json.Valid(out) {
					t.Fatalf("%s makes the body %q", undo, out)
				}
			}
			if r := rec.read; r != nil {
				_, _, _ = r.where.render(some)
			}
		}
	})
}

func FuzzProfile(f *testing.F) {
	for _, name := range profileNames() {
		raw, err := profileFiles.ReadFile(path.Join("profiles", name+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(name, raw, `{"path":"/a","id":"7"}`)
	}
	f.Add("x", []byte("name: x\nabout: a\nkinds: {x.y: null}\n"), `{}`)
	f.Add("x", []byte("name: x\nabout: a\nkinds: {x.y: {about: a, resource: {key: [id]}, read: {path: /a}, create: [null]}}\n"), `{}`)
	f.Fuzz(func(_ *testing.T, name string, raw []byte, resource string) {
		p, err := parseProfile(name, raw)
		if err != nil || !json.Valid([]byte(resource)) {
			return
		}
		for _, k := range p.kinds {
			for _, action := range []ledger.Action{ledger.ActionCreate, ledger.ActionUpdate, ledger.ActionDelete} {
				if !k.complete(json.RawMessage(resource), action) {
					_ = k.lacks(json.RawMessage(resource), action)
				}
			}
			_ = k.checkResource(&ledger.Draft{Resource: json.RawMessage(resource), State: ledger.EntryApplied})
		}
	})
}

func FuzzPointers(f *testing.F) {
	f.Add("/a/0", `{"a":[1]}`)
	f.Add("/~2", `{}`)
	f.Fuzz(func(t *testing.T, p, doc string) {
		tokens, ok := parsePointer(p)
		if !ok || !json.Valid([]byte(doc)) {
			return
		}
		again := ""
		for _, s := range tokens {
			again += "/" + escapeToken(s)
		}
		if again != p {
			t.Fatalf("%q is read as %q", p, again)
		}
		if v, found := at(json.RawMessage(doc), tokens); found && !json.Valid(v) {
			t.Fatalf("%q of %s is %q", p, doc, v)
		}
	})
}
