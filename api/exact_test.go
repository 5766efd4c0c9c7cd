package api

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sideledger/api/wire"
)

// literals are numbers that a float64, or a reader that means well, would change.
var literals = []string{
	"0.1e1", "1.0", "1E+2", "1e400", "-1e-400", "-0", "0.10", "9007199254740993", "18446744073709551616",
	"123456789012345678901234567890.123456789012345678901234567890", "1e-0", "-0.0e-7",
}

// Numbers stay as they were posted, byte for byte: in the answer, in every read, in the journal, in the plan
// and in what an undo would send; and they are compared by their value.
func TestBigNumbersStayAsTheyAre(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	resource := `{"path":"/n","id":18446744073709551616,"f":1.0}`
	list := "[" + strings.Join(literals, ",") + "]"
	before, after := `{"v":1e400,"list":`+list+`}`, `{"v":0.1e1,"list":`+list+`}`
	b.shelf.put("/n", strings.ReplaceAll(after, "0.1e1", "1")) // the same value in other words
	d := wire.EntryDraft{
		System: "shelf", Kind: "shelf", Action: "update", Resource: []byte(resource), Before: []byte(before), State: "intended",
		Read: []byte(`{"n":1e400}`), Undo: []byte(`{"n":[0.1e1]}`),
	}
	has := func(where string, body []byte, docs ...string) {
		t.Helper()
		for _, doc := range docs {
			if !bytes.Contains(body, []byte(doc)) {
				t.Errorf("%s has another text than %s:\n%s", where, doc, body)
			}
		}
	}
	var e wire.Entry
	rec := b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/entries", body: d}, 201, &e)
	has("the answer", rec.Body.Bytes(), `"resource":`+resource, `"before":`+before, `"read":{"n":1e400}`, `"undo":{"n":[0.1e1]}`)
	applied := b.do(req{method: "POST", path: "/v1/entries/" + e.ID + "/applied", body: `{"after": ` + after + ` }`}, 200, nil)
	has("the report", applied.Body.Bytes(), `"before":`+before, `"after":`+after)
	has("the entry", b.do(req{method: "GET", path: "/v1/entries/" + e.ID}, 200, nil).Body.Bytes(), `"resource":`+resource, `"before":`+before, `"after":`+after)
	has("the list", b.do(req{method: "GET", path: "/v1/windows/" + w.ID + "/entries"}, 200, nil).Body.Bytes(), `"resource":`+resource, `"before":`+before, `"after":`+after)
	has("the journal", b.do(req{method: "GET", path: "/v1/windows/" + w.ID + "/journal"}, 200, nil).Body.Bytes(), `"resource":`+resource, `"before":`+before, `"after":`+after)
	plan := b.do(req{method: "GET", path: "/v1/windows/" + w.ID + "/plan"}, 200, nil).Body.Bytes()
	has("the plan", plan, `"resource":`+resource, `"body":`+before, `"verdict":"undo"`)
	if run := b.rollback(w.ID, nil); !run.Complete || b.shelf.get("/n") != before {
		t.Errorf("%+v leaves %s", run, b.shelf.get("/n"))
	}
	var v wire.VerifyResult
	b.shelf.put("/n", strings.ReplaceAll(before, "1e400", "10E399"))
	b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/verify"}, 200, &v)
	if v.Items[0].Verdict != "same" {
		t.Errorf("the same value is %+v", v.Items[0])
	}
	b.shelf.put("/n", strings.ReplaceAll(before, "9007199254740993", "9007199254740992"))
	b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/verify"}, 200, &v)
	if v.Items[0].Verdict != "drifted" {
		t.Errorf("a number beyond a float64's precision is %+v", v.Items[0])
	}
}

// Every call that takes a body refuses what cannot be read with 400, and what is nested too deep with 422.
func TestEveryBodyIsStrict(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	d := b.draft("/a")
	d.State = "intended"
	e := b.record(w.ID, d)
	run := wire.Rollback{}
	b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/rollbacks"}, 202, &run)
	calls := 0
	for _, r := range b.api.routes() {
		if r.method != http.MethodPost {
			continue
		}
		calls++
		id := w.ID
		switch {
		case strings.HasPrefix(r.path, "/v1/entries"):
			id = e.ID
		case strings.HasPrefix(r.path, "/v1/rollbacks"):
			id = run.ID
		}
		path := strings.ReplaceAll(r.path, ":id", id)
		for body, want := range map[string]int{
			`{"reason":"a","reason":"b"}`:                400,
			`{"x":{"a":1,"\u0061":2}}`:                   400,
			"{\"reason\":\"\xff\"}":                      400,
			"{\"\xc3\x28\":1}":                           400,
			`{"reason":"\ud800"}`:                        400,
			`{"reason":"a"`:                              400,
			`{"reason":01}`:                              400,
			"\ufeff{}":                                   400,
			`{"x":"\u0000"}`:                             422,
			`{"x":` + nested("[", "]", 65) + `}`:         422,
			`{"x":` + nested(`{"a":`, "}", 65) + `}`:     422,
			`{"x":` + nested("[", "]", 200_000) + `}`:    422,
			strings.Repeat("[", 500_000):                 422,
			`{"x":` + strings.Repeat(`{"a":`, 100_000):   422,
			`{"there is no such field":1e400}`:           422,
			`{"x":` + strings.Repeat("1", 100_000) + `}`: 422,
		} {
			rec := recorded(b, req{method: "POST", path: path, body: body})
			if rec.Code != want {
				t.Errorf("%s with %.40q (%d bytes) answers %d %s, want %d", r.path, body, len(body), rec.Code, rec.Body, want)
			}
		}
	}
	if calls < 15 {
		t.Errorf("only %d calls", calls)
	}
}

func nested(open, end string, n int) string {
	inner := ""
	if open != "[" {
		inner = "1"
	}
	return fmt.Sprint(strings.Repeat(open, n), inner, strings.Repeat(end, n))
}
