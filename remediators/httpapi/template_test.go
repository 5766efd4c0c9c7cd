package httpapi

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
)

var some = values{
	resource:  json.RawMessage(`{"id":"a/b ü","n":42,"dots":"..","empty":"","null":null,"path":"/apps/h t/x","list":["x",{"k":"v"}]}`),
	before:    json.RawMessage(`{"config":{"url":"https://x?a=1&b"},"big":9007199254740993,"e":1.0E+5,"a.b":{"c/d":true}}`),
	after:     json.RawMessage(`null`),
	validator: `"v 1"`, id: "0190",
}

func TestPathAndQuery(t *testing.T) {
	for s, want := range map[string]string{
		"/hooks/{{resource.id}}":                 "/hooks/a%2Fb%20%C3%BC",
		"/h/{{ resource/n }}/x":                  "/h/42/x",
		"/h/{{resource./list/1/k}}":              "/h/v",
		"/h/{{resource.list.0}}.json":            "/h/x.json",
		"/h/{{before./a.b/c~1d}}":                "/h/true",
		"/config{{+resource.path}}":              "/config/apps/h%20t/x",
		"/config/{{+resource.path}}/y":           "/config/apps/h%20t/x/y",
		"/h?url={{before.config.url}}&id={{id}}": "/h?url=https%3A%2F%2Fx%3Fa%3D1%26b&id=0190",
		"/h/{{before.e}}/{{before.big}}":         "/h/1.0E+5/9007199254740993",
		"/plain":                                 "/plain",
	} {
		loc, err := parseLocation(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		path, query, err := loc.render(some)
		if query != "" {
			path += "?" + query
		}
		if err != nil || path != want {
			t.Errorf("%s: %s, %v, want %s", s, path, err, want)
		}
	}
	for s, want := range map[string]error{
		"/h/{{resource.dots}}": errSegment, "/h/{{resource.empty}}": errSegment, "/h/{{resource.null}}": errScalar,
		"/h/{{resource.list}}": errScalar, "/h/{{resource.no}}": errMissing, "/h/{{after.x}}": errMissing, "/h/{{now.x}}": errUnknown,
		"/h{{+resource.id}}": errSlash, "/h?a={{+resource.path}}": errNotHere,
	} {
		loc, err := parseLocation(s)
		if err == nil {
			_, _, err = loc.render(some)
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", s, err, want)
		}
	}
}

func TestReferencesThatCannotBeRead(t *testing.T) {
	for _, s := range []string{
		"{{}}", "{{env.HOME}}", "{{secret}}", "{{resource", "resource}}", "{{resource.}}", "{{resource..a}}", "{{resource/~2}}", "{{id.x}}", "{{validator/a}}",
		"{{resource.x | upper}}{{", "{{ before. }}", "{{{resource.id}}}", "{{after}}}}", "{{before}} {{x}}", "{{.before}}", "{{resources.id}}", "{{credential}}",
	} {
		if _, err := parseText(s); !errors.Is(err, errGrammar) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestBody(t *testing.T) {
	for s, want := range map[string]string{
		`"{{before}}"`: string(some.before),
		`{"a":"{{before.big}}","b": [ "{{before.e}}" ]}`:    `{"a":9007199254740993,"b": [ 1.0E+5 ]}`,
		`{"a":"n={{before.big}}!"}`:                         `{"a":"n=9007199254740993!"}`,
		`{"a":"\u007b\u007bid}}","b":"\u003c"}`:             `{"a":"0190","b":"\u003c"}`,
		`{"a":"<{{validator}}>"}`:                           `{"a":"<\"v 1\">"}`,
		`{"a":"{{validator}}","\"x\\":1.50}`:                `{"a":"\"v 1\"","\"x\\":1.50}`,
		`{"a":"{{resource.null}}","b":"{{resource.list}}"}`: `{"a":null,"b":["x",{"k":"v"}]}`,
		`5`: `5`,
	} {
		b, err := parseBody(json.RawMessage(s))
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		got, err := b.render(some)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", s, got, err, want)
		}
	}
	for s, want := range map[string]error{
		`{"{{id}}":1}`: errMember, `{"{{id}}" : 1}`: errMember, `{"a":"{{env.X}}"}`: errGrammar, `{"a":"x{{resource.list}}"}`: errScalar,
		`"{{after}}"`: errMissing, `"{{now}}"`: errUnknown, `{"a":`: errBodyJSON, `"{{+resource.path}}"`: errNotHere,
	} {
		b, err := parseBody(json.RawMessage(s))
		if err == nil {
			_, err = b.render(some)
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", s, err, want)
		}
	}
}

// What a value holds is never read as a reference.
func TestValuesAreNotTemplates(t *testing.T) {
	v := values{before: json.RawMessage(`{"a":"{{id}}"}`), id: "0190"}
	b, err := parseBody(json.RawMessage(`{"x":"{{before.a}}","y":"-{{before.a}}-"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.render(v); err != nil || string(got) != `{"x":"{{id}}","y":"-{{id}}-"}` {
		t.Errorf("%s, %v", got, err)
	}
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{`{"a":"{{before.big}}"}`, `["{{id}}x","\u007b{"]`, `"{{before}}"`, `{"a\"{{":1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := parseBody(json.RawMessage(s))
		if err != nil {
			return
		}
		out, err := b.render(some)
		if err != nil {
			return
		}
		if !json.Valid(out) {
			t.Errorf("%q became %q", s, out)
		}
		if len(b.holes) == 0 && string(out) != s {
			t.Errorf("%q has no references and became %q", s, out)
		}
	})
}

func FuzzPath(f *testing.F) {
	f.Add("a/../b")
	f.Add("..")
	f.Add("?x#y")
	f.Fuzz(func(t *testing.T, id string) {
		raw, _ := json.Marshal(map[string]string{"id": id})
		loc, err := parseLocation("/h/{{resource.id}}/end")
		if err != nil {
			t.Fatal(err)
		}
		path, query, err := loc.render(values{resource: raw})
		if err == nil && (query != "" || strings.Count(path, "/") != 3 || strings.ContainsAny(path, "?# \r\n")) {
			t.Errorf("%q became %s?%s", id, path, query)
		}
	})
}

// A location that is taken, filled with anything, stays one path below the system's address.
func FuzzLocation(f *testing.F) {
	for _, s := range []string{
		"/h/{{resource.id}}/end", "/{{+resource.id}}", "/a?x={{resource.id}}&y={{id}}", "{{+resource.id}}/x", "/a{{+resource.id}}", "/{{resource./id}}", "/{{ resource.id }}", "/{{resource.id}}{{resource.id}}",
		"/a/{{x}}", "/{{resource", "/}}", "/..{{resource.id}}", "/{{resource.id}}..", "/.{{resource.id}}/", "/a?{{id}}={{id}}",
	} {
		for _, v := range []string{"x", "..", "/a/b", "/../x", "a?b#c", "a\r\nb", "."} {
			f.Add(s, v)
		}
	}
	f.Fuzz(func(t *testing.T, at, value string) {
		loc, err := parseLocation(at)
		if err != nil || loc.check() != nil {
			return
		}
		raw, _ := json.Marshal(map[string]string{"id": value})
		v := values{resource: raw, id: "0190"}
		loc.path.pieces(v)
		path, query, err := loc.render(v)
		if err != nil || remediators.CheckPath(path) != nil {
			return // refused before it is sent
		}
		if strings.ContainsAny(path, "?# \r\n\x00\\") || strings.HasPrefix(path, "//") || strings.ContainsAny(query, "\x00") {
			t.Errorf("%q with %q became %q?%q", at, value, path, query)
		}
		if pieces := loc.path.pieces(v); len(pieces) != 1 || pieces[0] != path {
			t.Errorf("%q with %q: rendered %q, in pieces %q", at, value, path, pieces)
		}
	})
}

// Reading any recipe ends, in a recipe or in an error that names a field of it and repeats nothing else.
func FuzzRecipeErrors(f *testing.F) {
	f.Add(`{"path":"/a","gone_proof":{"path":"/"}}`, `{"method":"PUT","path":"/a/{{resource.id}}","body":"{{before}}","headers":{"X-A":"{{id}}"}}`)
	f.Add(`{"path":"/a","list":{"items":"/x"},"match":{"pointer":"/id","equals":1}}`, `{"method":"DELETE","path":"/a","success":{"status":[200],"body":{"pointer":"/a","equals":null}}}`)
	f.Add(`[]`, `"x"`)
	f.Add(`{"path":1}`, `{"headers":{"a":1,"A":"b"}}`)
	f.Fuzz(func(t *testing.T, read, undo string) {
		if !json.Valid([]byte(read)) || !json.Valid([]byte(undo)) {
			return // refused at the edge
		}
		rec, err := documents{read: json.RawMessage(read), undo: json.RawMessage(undo)}.parse(ledger.ActionUpdate)
		var bad *ledger.Error
		if err != nil && (!errors.As(err, &bad) || bad.Code != ledger.CodeInvalid || !strings.HasPrefix(bad.Field, "/read") && !strings.HasPrefix(bad.Field, "/undo")) {
			t.Errorf("%s, %s: %v", read, undo, err)
		}
		if err == nil {
			for _, p := range rec.probings() {
				_, _ = p.probeFunc(some)
			}
			rec.requests()
		}
	})
}
