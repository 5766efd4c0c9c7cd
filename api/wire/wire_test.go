package wire_test

import (
	stdjson "encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sideledger/api/wire"
)

// Absent, null and a document are three different things, byte for byte, in both JSON packages.
func TestRawFieldsSurvive(t *testing.T) {
	type codec struct {
		marshal   func(any) ([]byte, error)
		unmarshal func([]byte, any) error
	}
	codecs := map[string]codec{
		"encoding/json": {
			func(v any) ([]byte, error) {
				var b strings.Builder
				enc := stdjson.NewEncoder(&b)
				enc.SetEscapeHTML(false)
				err := enc.Encode(v)
				return []byte(b.String()), err
			},
			stdjson.Unmarshal,
		},
		"successor": {
			func(v any) ([]byte, error) { return json.Marshal(v, jsontext.PreserveRawStrings(true)) },
			func(b []byte, v any) error { return json.Unmarshal(b, v) },
		},
	}
	const doc = `{"z":1.0,"a":9007199254740993,"é":"\u00e9\/<&>","e":1E+2}`
	for name, c := range codecs {
		for in, want := range map[string]string{
			`{"system":"s","kind":"k","action":"create","before":null}`:           `"before":null`,
			`{"system":"s","kind":"k","action":"create","before":` + doc + `}`:    `"before":` + doc,
			`{"system":"s","kind":"k","action":"create","after":{},"before":[1]}`: `"before":[1],"after":{}`,
		} {
			var d wire.EntryDraft
			if err := c.unmarshal([]byte(in), &d); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			out, err := c.marshal(d)
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%s: %s became %s (%v), want %s in it", name, in, out, err, want)
			}
		}
		var d wire.EntryDraft
		if err := c.unmarshal([]byte(`{"system":"s"}`), &d); err != nil || d.Before != nil {
			t.Errorf("%s: a before that is not there reads as %q (%v)", name, d.Before, err)
		}
		if out, err := c.marshal(d); err != nil || strings.Contains(string(out), "before") {
			t.Errorf("%s: a before that is not there is written: %s (%v)", name, out, err)
		}
	}
}

func TestEntryRef(t *testing.T) {
	for in, want := range map[string]wire.EntryRef{`7`: "7", `"7"`: "7", `"0199"`: "0199"} {
		var r wire.EntryRef
		if err := json.Unmarshal([]byte(in), &r); err != nil || r != want {
			t.Errorf("%s reads as %q (%v), want %q", in, r, err, want)
		}
	}
	for _, in := range []string{`true`, `{}`, `[1]`, `null`} {
		var r wire.EntryRef
		if err := stdjson.Unmarshal([]byte(in), &r); err == nil && r != "" {
			t.Errorf("%s is taken as %q", in, r)
		}
	}
}
