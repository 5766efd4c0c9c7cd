package api

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// refusedWell fails unless err is nil or refuses a request for what is wrong with it. It reports whether it is nil.
func refusedWell(t *testing.T, err error) bool {
	t.Helper()
	code := ledger.CodeOf(err)
	if err != nil && code != ledger.CodeInvalid && code != ledger.CodeMalformed {
		t.Fatalf("%v, which is %s", err, code)
	}
	return err == nil
}

// Every body that the checks let through can be read, and is answered as it was posted.
func FuzzRequests(f *testing.F) {
	d := loaded(f)
	f.Add(0, []byte(sampleEntry))
	f.Add(1, []byte(`{"name":"w","opens_at":"2026-01-02T03:04:05Z","buffer":"30m","labels":{"a":"b"}}`))
	f.Add(2, []byte(`{"only":["system=x",""],"to_entry":7,"parallel":1}`))
	f.Add(2, []byte(`{"to_entry":1e400,"parallel":0.1e1}`))
	f.Add(3, []byte(`{"decision":"undo","reason":"r","seen":"sha256:00"}`))
	f.Add(4, []byte(`{"after":{"n":1e400,"m":0.1e1},"resource":{"id":18446744073709551616}}`))
	kinds := []struct {
		op   string
		make func() any
	}{
		{"POST /v1/windows/:id/entries", func() any { return new(wire.EntryDraft) }},
		{"POST /v1/windows", func() any { return new(wire.WindowDraft) }},
		{"POST /v1/windows/:id/rollbacks", func() any { return new(wire.RollbackRequest) }},
		{"POST /v1/entries/:id/resolve", func() any { return new(wire.ResolveRequest) }},
		{"POST /v1/entries/:id/applied", func() any { return new(wire.AppliedRequest) }},
		{"POST /v1/windows/:id/entries/batch", func() any { return new(wire.EntryBatch) }},
	}
	f.Fuzz(func(t *testing.T, kind int, raw []byte) {
		k := kinds[uint(kind)%uint(len(kinds))]
		in := &call{schema: d.operations[k.op].body}
		var err error
		if in.raw, err = compactJSON(slices.Clone(raw)); in.raw == nil {
			refusedWell(t, err)
			return
		}
		in.fault = err
		into := k.make()
		if !refusedWell(t, in.decode(into)) {
			return
		}
		switch v := into.(type) {
		case *wire.EntryDraft:
			draft, err := draftOf("", v)
			if refusedWell(t, err) {
				keepsBytes(t, string(in.raw), draft)
			}
		case *wire.WindowDraft:
			_, err := readDuration("/buffer", v.Buffer)
			refusedWell(t, err)
		}
		if out, err := encodeBody(into); err != nil || !stdjson.Valid(out) {
			t.Fatalf("%s is written as %s, %v", in.raw, out, err)
		}
	})
}

// keepsBytes checks that the documents of an entry stand in it as they stand in the body.
func keepsBytes(t *testing.T, body string, d ledger.Draft) {
	t.Helper()
	for _, doc := range []string{string(d.Before.JSON), string(d.After.JSON), string(d.Resource), string(d.Undo), string(d.Read)} {
		if !strings.Contains(body, doc) {
			t.Fatalf("%s is not in %s", doc, body)
		}
	}
	stored, err := ledger.EncodeDraft(&d)
	if err != nil {
		t.Fatalf("%s cannot be stored: %v", body, err)
	}
	back, err := ledger.DecodeDraft(stored)
	if err != nil || string(back.Before.JSON) != string(d.Before.JSON) || string(back.After.JSON) != string(d.After.JSON) ||
		string(back.Resource) != string(d.Resource) || back.Tag != d.Tag || back.Note != d.Note {
		t.Fatalf("%s is stored as %s, %v", body, stored, err)
	}
}

func FuzzQuery(f *testing.F) {
	d := loaded(f)
	for _, q := range []string{"limit=1&cursor=abc", "state=open&state=kept", "only=system%3Dx&exclude=7", "order=desc&cursor=" + newCursor("d", "7"), "a;b", "%zz", "cursor=" + newCursor("w", "x")} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, op := range []string{"GET /v1/windows", "GET /v1/windows/:id/entries", "GET /v1/windows/:id/plan", "GET /v1/windows/:id/events"} {
			q, err := parseQuery(raw, d.operations[op])
			if !refusedWell(t, err) {
				continue
			}
			if n := q.limit(); n < 1 || n > 1000 {
				t.Fatalf("%s: limit %d", raw, n)
			}
			if id, err := q.windowCursor(); refusedWell(t, err) && q.Get("cursor") != "" && id == uuid.Nil {
				t.Fatalf("%s: a cursor that names nothing is the first page", raw)
			}
			for _, desc := range []bool{false, true} {
				if n, err := q.entryCursor(desc); refusedWell(t, err) && (n < 1) != (q.Get("cursor") == "") {
					t.Fatalf("%s: cursor %d", raw, n)
				}
			}
			_, err = q.terms()
			refusedWell(t, err)
			if n, err := (&call{header: http.Header{}, query: q}).after(); refusedWell(t, err) && n < 0 {
				t.Fatalf("%s: after %d", raw, n)
			}
			if link := q.next("/v1/windows", "c")["Link"]; strings.ContainsAny(link, "\r\n") {
				t.Fatalf("%s: %q", raw, link)
			}
		}
	})
}

func FuzzPreconditions(f *testing.F) {
	for _, v := range []string{`"1"`, `W/"1", "2"`, "*", ` "a,b" , "7"`, `"1`, ",,,", `""`} {
		f.Add(v, v)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		list := tagsOf([]string{one, two})
		for _, tag := range list.tags {
			if !strings.Contains(one, tag) && !strings.Contains(two, tag) || strings.Count(tag, `"`) != 2 {
				t.Fatalf("%q, %q have the tag %q", one, two, tag)
			}
		}
		if list.any {
			t.Fatalf("%q, %q are a star", one, two)
		}
		in := &call{header: http.Header{"If-Match": {one, two}}}
		_ = expecting(context.Background(), in)
		r := &http.Request{Method: http.MethodGet, Header: http.Header{"If-None-Match": {one, two}}}
		if known(r, etag(7)) && !strings.Contains(one+two, etag(7)) {
			t.Fatalf("%q, %q have %s", one, two, etag(7))
		}
		r.Header["If-None-Match"] = []string{etag(7) + ", " + one}
		if !known(r, etag(7)) {
			t.Fatalf("%s, %q lacks it", etag(7), one)
		}
	})
}

func FuzzPrefer(f *testing.F) {
	for _, v := range []string{"wait=5", `respond-async, wait="7"; x=y`, "wait=-1", "wait=99999999999999999999", "wait==1"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d := preferredWait([]string{text, text}); d < 0 || d > maxWait || d%time.Second != 0 {
			t.Fatalf("%q: %s", text, d)
		}
	})
}

func FuzzDurations(f *testing.F) {
	for _, v := range []string{"60s", "1h30m", "-5m", "2562047h47m16.854775807s", "1e3s", "0.5ns", "9223372036854775807ns"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := readDuration("/f", text)
		if !refusedWell(t, err) || text == "" {
			return
		}
		if faultOfFormat("duration", text) != "" {
			t.Fatalf("%q is read and is against the schema", text)
		}
		if back, err := readDuration("/f", duration(d)); err != nil || back != d {
			t.Fatalf("%q is %s and is written %s: %v", text, d, duration(d), err)
		}
	})
}

func FuzzLastEventID(f *testing.F) {
	for _, v := range []string{"0", "7", "-1", "9223372036854775808", "+7", "7 ", "٧"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := (&call{header: http.Header{"Last-Event-Id": {text}}}).after()
		if !refusedWell(t, err) {
			var e *ledger.Error
			if errors.As(err, &e) && len(text) > 3 && strings.Contains(e.Msg, text) && !strings.Contains("want the number of a record", text) {
				t.Fatalf("%q is repeated", text)
			}
			return
		}
		if n < 0 || text != "" && strings.TrimLeft(text, "+0") != strings.TrimLeft(strconv.FormatInt(n, 10), "0") {
			t.Fatalf("%q: %d", text, n)
		}
	})
}
