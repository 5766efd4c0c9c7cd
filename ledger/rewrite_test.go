package ledger

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// FuzzRewrite holds that replacing values and putting them back restores every byte, that what is not replaced
// keeps its bytes, and that the places are those of encoding/json.
func FuzzRewrite(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":[1,{"c":"x\"]}"},null],"d":{"a":"\u0041"}}`, `"s"`, `[]`, `{}`, `[[[]],{"":0}]`, ` { "a" : [ 1 , 2 ] } `, `-1.5e+3`, `{"a":{"a":{"a":true}}}`,
	} {
		f.Add(s, "/a")
		f.Add(s, "/b/-/c")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, doc, pointer string) {
		if !json.Valid([]byte(doc)) || !checkPointer(pointer) {
			return
		}
		p := pattern(steps(pointer))
		var taken []json.RawMessage
		r := rewriter{
			wants: func(path []token, _ []byte) bool { return p.names(path) },
			put: func(_ []token, value json.RawMessage) (json.RawMessage, error) {
				if !json.Valid(value) {
					t.Fatalf("%q is no value", value)
				}
				taken = append(taken, value)
				return json.RawMessage(`"HERE"`), nil
			},
		}
		out, err := r.rewrite(json.RawMessage(doc))
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(out) {
			t.Fatalf("%q became %q", doc, out)
		}
		i := 0
		back := rewriter{
			wants: func(path []token, _ []byte) bool { return p.names(path) },
			put: func([]token, json.RawMessage) (json.RawMessage, error) {
				i++
				return taken[i-1], nil
			},
		}
		again, err := back.rewrite(out)
		if err != nil || string(again) != doc || i != len(taken) {
			t.Fatalf("%q came back as %q (%d of %d values), %v", doc, again, i, len(taken), err)
		}
		if strings.Contains(pointer, "-") {
			return
		}
		v, _ := decode(json.RawMessage(doc))
		want, there := lookup(v, pointer)
		if _, hidden := markerIn(want); hidden {
			return // lookup stops there
		}
		if len(taken) > 1 || there != (len(taken) == 1) && len(taken) > 0 {
			return // a name that stands twice, or an element's number spelled 01
		}
		if len(taken) == 1 {
			got, _ := decode(taken[0])
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%q at %q: %v, want %v", doc, pointer, got, want)
			}
		}
	})
}
