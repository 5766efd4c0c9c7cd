package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sideledger/api/wire"
)

// What --take makes of any expression and any output is JSON, or an error.
func FuzzTake(f *testing.F) {
	f.Add("resource.id=.id", `{"id":18446744073709551616}`, `{"a":1}`)
	f.Add("after=.", `{"n": 1e400, "m":0.1e1}`, `{}`)
	f.Add("after.a.b=.x[0] // nan", `{"x":[]}`, `{}`)
	f.Add(`resource.id="\(.id)" | @base64d`, `{"id":"/w=="}`, `{"id":{}}`)
	f.Add("resource.=.", `{}`, `{}`)
	f.Add("resource.id=last(range(1e18))", `{}`, `{}`)
	f.Fuzz(func(t *testing.T, flag, output, resource string) {
		takes, err := readTakes([]string{flag}, true)
		if err != nil {
			return
		}
		if !jsontext.Value(resource).IsValid() {
			return
		}
		tee := &tee{out: discard{}}
		_, _ = tee.Write([]byte(output))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		r, _ := takeAll(ctx, takes, tee, &wire.EntryDraft{Resource: json.RawMessage(resource)})
		for _, raw := range []json.RawMessage{r.After, r.Resource} {
			if raw != nil && !json.Valid(raw) {
				t.Fatalf("%q of %q into %q is %q", flag, output, resource, raw)
			}
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func FuzzImage(f *testing.F) {
	f.Add(`{ "a" : 1e400, "a\u0041":0.10 }`, "a")
	f.Add(`{"a":1,"a":2}`, "a")
	f.Add("\"\xff\"", "")
	f.Add("null", "x")
	f.Fuzz(func(t *testing.T, text, name string) {
		if strings.HasPrefix(text, "@") || text == "-" {
			return
		}
		raw, err := (&inputs{}).json("before", text)
		if err != nil {
			return
		}
		if !jsontext.Value(raw).IsValid() {
			t.Fatalf("%q is taken as %q", text, raw)
		}
		out, err := setAt(raw, []string{name}, json.RawMessage("7"))
		if err == nil && !json.Valid(out) {
			t.Fatalf("%q with %q is %q", raw, name, out)
		}
	})
}
