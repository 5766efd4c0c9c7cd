package api

import (
	stdjson "encoding/json"
	"errors"
	"strings"
	"testing"

	"sideledger/api/wire"
	"sideledger/ledger"
)

const sampleEntry = `{"system":"flags","kind":"unleash.toggle","action":"update",
 "resource": {"project":"default","feature":"net.bulk-api","environment":"production"},
 "before": {"enabled": false, "strategies":[{"name":"flexibleRollout","parameters":{"rollout":"100","stickiness":"default"}}]},
 "after": {"enabled": true, "strategies":[{"name":"flexibleRollout","parameters":{"rollout":"100","stickiness":"default"}}]},
 "undo": null, "read": null, "guard": null, "capture": false, "state": "applied", "perform_within": "60s",
 "on_rollback": "undo", "depends_on": [], "owned": ["/enabled"], "tag": "t", "note": "", "source": "upgrade.sh:212"}`

// take is what the server does with a body before a handler sees it.
func take(s *schema, raw []byte, into any) error {
	c, err := compactJSON(raw)
	if err != nil {
		return err
	}
	if err := s.check(c); err != nil {
		return err
	}
	return decodeBody(c, into)
}

func loaded(t testing.TB) *description {
	t.Helper()
	d, err := describe()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func BenchmarkTakeEntry(b *testing.B) {
	s := loaded(b).operations["POST /v1/windows/:id/entries"].body
	b.Run("compiled", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var d wire.EntryDraft
			if err := take(s, []byte(sampleEntry), &d); err != nil {
				b.Fatal(err)
			}
		}
	})
	c, err := compactJSON([]byte(sampleEntry))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("compiled, check alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.check(c); err != nil {
				b.Fatal(err)
			}
		}
	})
	k := loaded(b).doc.Components.Schemas["EntryDraft"].Value
	b.Run("kin-openapi", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v any
			if err := stdjson.Unmarshal([]byte(sampleEntry), &v); err != nil {
				b.Fatal(err)
			}
			if err := k.VisitJSON(v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestBodiesAreStrict(t *testing.T) {
	s := loaded(t).operations["POST /v1/windows/:id/entries"].body
	base := func(member string) string {
		return `{"system":"s","kind":"k","action":"create","resource":{},` + member + `}`
	}
	for name, c := range map[string]struct {
		body  string
		code  ledger.Code
		field string
	}{
		"good":               {base(`"before":null`), "", ""},
		"not JSON":           {`{"system":`, ledger.CodeMalformed, ""},
		"two values":         {base(`"tag":"a"`) + `{}`, ledger.CodeMalformed, ""},
		"a comment":          {`/* x */{}`, ledger.CodeMalformed, ""},
		"duplicate":          {base(`"tag":"a","tag":"a"`), ledger.CodeMalformed, ""},
		"duplicate below":    {base(`"after":{"a":1,"\u0061":2}`), ledger.CodeMalformed, ""},
		"bad UTF-8":          {base("\"tag\":\"\xff\""), ledger.CodeMalformed, ""},
		"lone surrogate":     {base(`"after":"\ud800"`), ledger.CodeMalformed, ""},
		"unknown":            {base(`"sytem":"x"`), ledger.CodeInvalid, "/sytem"},
		"other case":         {base(`"Tag":"x"`), ledger.CodeInvalid, "/Tag"},
		"unknown, secret":    {base(`"hunter2 is my password":1`), ledger.CodeInvalid, ""},
		"missing":            {`{"system":"s","kind":"k","resource":{}}`, ledger.CodeInvalid, "/action"},
		"null":               {base(`"tag":null`), ledger.CodeInvalid, "/tag"},
		"wrong type":         {base(`"tag":7`), ledger.CodeInvalid, "/tag"},
		"enum":               {base(`"state":"undone"`), ledger.CodeInvalid, "/state"},
		"duration":           {base(`"perform_within":"60"`), ledger.CodeInvalid, "/perform_within"},
		"id":                 {base(`"id":"{0199f7a2-0000-7000-8000-000000000000}"`), ledger.CodeInvalid, "/id"},
		"in a list":          {base(`"depends_on":["0199f7a2-0000-7000-8000-000000000000","x"]`), ledger.CodeInvalid, "/depends_on/1"},
		"secret":             {base(`"secret":["/token"]`), "", ""},
		"secret's pointer":   {base(`"secret":[1]`), ledger.CodeInvalid, "/secret/0"},
		"NUL":                {base(`"note":"a\u0000b"`), ledger.CodeInvalid, ""},
		"no NUL":             {base(`"note":"a\\u0000b"`), "", ""},
		"NUL after escape":   {base(`"note":"a\\\u0000b"`), ledger.CodeInvalid, ""},
		"depth 64":           {base(`"after":` + strings.Repeat("[", 63) + strings.Repeat("]", 63)), "", ""},
		"depth 65":           {base(`"after":` + strings.Repeat("[", 64) + strings.Repeat("]", 64)), ledger.CodeInvalid, ""},
		"brackets in string": {base(`"note":"` + strings.Repeat("[", 100) + `"`), "", ""},
		"not an object":      {`[]`, ledger.CodeInvalid, ""},
		"long":               {base(`"tag":"` + strings.Repeat("x", 201) + `"`), ledger.CodeInvalid, "/tag"},
		"runes are counted":  {base(`"tag":"` + strings.Repeat("é", 200) + `"`), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var d wire.EntryDraft
			err := take(s, []byte(c.body), &d)
			if ledger.CodeOf(err) != c.code {
				t.Fatalf("%v: code %q, want %q", err, ledger.CodeOf(err), c.code)
			}
			var e *ledger.Error
			if errors.As(err, &e) && (e.Field != c.field || strings.Contains(e.Error(), "hunter2")) {
				t.Errorf("field %q, want %q: %v", e.Field, c.field, err)
			}
		})
	}
}

// What a caller posts in a document comes through byte for byte, white space aside.
func TestDocumentsKeepTheirBytes(t *testing.T) {
	s := loaded(t).operations["POST /v1/windows/:id/entries"].body
	const doc = `{"z":1.0,"a":9007199254740993,"é":"\u00e9\/<&>\u2028","e":-1E+2,"n":null,"deep":[{"b":[]},[ ]]}`
	var d wire.EntryDraft
	body := `{"system":"s", "kind":"k","action":"update","resource":{ "b" : 1.10,"a":"\u0041" },"before": ` + doc + ` , "after" : null }`
	if err := take(s, []byte(body), &d); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(doc, "[ ]", "[]")
	if string(d.Before) != want || string(d.Resource) != `{"b":1.10,"a":"\u0041"}` || string(d.After) != "null" || d.Undo != nil {
		t.Errorf("%s\n%s\n%s", d.Before, d.Resource, d.After)
	}
	out, err := encodeBody(wire.Entry{Before: d.Before, Resource: d.Resource, Now: []byte("null")})
	if err != nil || !strings.Contains(string(out), `"before":`+want) || !strings.Contains(string(out), `"now":null`) ||
		strings.Contains(string(out), `"after"`) || !strings.Contains(string(out), `"undo":null`) || !strings.Contains(string(out), `"owned":[]`) {
		t.Errorf("%s, %v", out, err)
	}
}

// The caller chooses the names of labels: an error names the labels, not the one.
func TestChosenNamesAreNotRepeated(t *testing.T) {
	s := loaded(t).operations["POST /v1/windows"].body
	for _, labels := range []string{`{"hunter2":7}`, `{"a":"b","hunter2":null}`, `{"hunter2":"` + strings.Repeat("x", 201) + `"}`, `{"hunter2":{"a":1}}`, `{"hunter2/hunter2":7}`} {
		var e *ledger.Error
		err := s.check([]byte(`{"name":"w","labels":` + labels + `}`))
		if !errors.As(err, &e) || e.Code != ledger.CodeInvalid || e.Field != "/labels" || strings.Contains(e.Error(), "hunter2") {
			t.Errorf("%s: %v", labels, err)
		}
	}
}
