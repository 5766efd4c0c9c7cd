package api

import (
	"slices"
	"strings"
	"testing"

	"sideledger/api/wire"
)

// again makes a request a second time and expects the first answer.
func (b *bench) again(name string, r req, first *responseRecorder) {
	b.Helper()
	second := recorded(b, r)
	if second.Code != first.Code || second.Body.String() != first.Body.String() || second.Header().Get("Idempotency-Replayed") != "true" ||
		second.Header().Get("ETag") != first.Header().Get("ETag") || second.Header().Get("Location") != first.Header().Get("Location") {
		b.Errorf("%s: first %d %s\nthen %d %s", name, first.Code, first.Body, second.Code, second.Body)
	}
}

// A key gets its first answer again though by now a check that comes before the change would refuse the call.
func TestReplayComesBeforeEveryCheck(t *testing.T) {
	b := newBench(t)
	b.shelf.put("/captured", `{"v":1}`)
	b.shelf.put("/reported", `{"v":2}`)
	w := b.window("w")
	entries := "/v1/windows/" + w.ID + "/entries"
	intent := b.draft("/reported")
	intent.State, intent.Before, intent.After = "intended", []byte(`{"v":1}`), nil
	reported := b.record(w.ID, intent)
	capturing := b.draft("/captured")
	capturing.State, capturing.Capture, capturing.Before, capturing.After = "intended", true, nil, nil
	drifted := b.record(w.ID, b.draft("/drifted"))
	b.shelf.put("/drifted", `{"v":7}`)
	b.rollback(w.ID, wire.RollbackRequest{Only: []string{drifted.ID}})
	var stuck wire.Entry
	b.do(req{method: "GET", path: "/v1/entries/" + drifted.ID}, 200, &stuck)

	calls := map[string]req{
		"record":  {method: "POST", path: entries, body: b.draft("/a")},
		"batch":   {method: "POST", path: entries + "/batch", body: wire.EntryBatch{Entries: []wire.EntryDraft{b.draft("/b")}}},
		"capture": {method: "POST", path: entries, body: capturing},
		"applied": {method: "POST", path: "/v1/entries/" + reported.ID + "/applied", body: `{"after":{"v":2}}`},
		"resolve": {method: "POST", path: "/v1/entries/" + drifted.ID + "/resolve", body: wire.ResolveRequest{Decision: "undo", Reason: "r", Seen: stuck.NowDigest}},
	}
	first := map[string]*responseRecorder{}
	for name, r := range calls {
		calls[name] = keyed(r, name)
		first[name] = recorded(b, calls[name])
		if first[name].Code >= 300 {
			t.Fatalf("%s: %d %s", name, first[name].Code, first[name].Body)
		}
	}
	first["resolve"] = recorded(b, calls["resolve"]) // as it was before it was acted on: what was stored with it
	// The world moves on: the resource is gone, the window is over, the system is not configured any more.
	b.do(req{method: "POST", path: first["capture"].Header().Get("Location") + "/void", body: `{"reason":"r"}`}, 200, nil)
	b.rollback(w.ID, nil)
	b.shelf.put("/drifted", `{"v":8}`)
	b.shelf.take(true)
	before := b.shelf.looks()
	for name, r := range calls {
		b.again(name, r, first[name])
		r.body = `{"reason":"another body"}`
		if p := b.problem(r, 422, "invalid"); p.Field != "Idempotency-Key" {
			t.Errorf("%s with another body: %+v", name, p)
		}
	}
	if n := b.shelf.looks(); n != before {
		t.Errorf("%d looks for answers that were there", n-before)
	}
}

// A precondition is part of the first answer, not of its repetition.
func TestReplayWithAStalePrecondition(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	seal := req{method: "POST", path: "/v1/windows/" + w.ID + "/seal", header: map[string]string{"Idempotency-Key": "k", "If-Match": `"1"`}}
	first := b.do(seal, 200, nil)
	b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/reopen"}, 200, nil)
	for _, tags := range []string{`"1"`, `W/"1"`, "nothing of the kind", `"9", "10"`} {
		seal.header["If-Match"] = tags
		b.again(tags, seal, first)
	}
	seal.header["Idempotency-Key"] = "another"
	b.problem(seal, 412, "stale")
}

// Verify looks once under a key.
func TestVerifyHonoursItsKey(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	b.record(w.ID, b.draft("/a"))
	verify := keyed(req{method: "POST", path: "/v1/windows/" + w.ID + "/verify"}, "k")
	var v wire.VerifyResult
	first := b.do(verify, 200, &v)
	if len(v.Items) != 1 || v.Items[0].Verdict != "same" {
		t.Fatalf("%s", first.Body)
	}
	b.shelf.put("/a", `{"v":"somebody else"}`)
	before := b.shelf.looks()
	b.again("verify", verify, first)
	if b.shelf.looks() != before {
		t.Error("it looked again")
	}
	verify.header = map[string]string{"Idempotency-Key": "another"}
	b.do(verify, 200, &v)
	if v.Items[0].Verdict != "drifted" {
		t.Errorf("%+v", v)
	}
	verify.body = `{"reason":"x"}`
	b.problem(verify, 422, "invalid")
}

// What the schema refuses is kept like any other refusal, for calls with a window and for those without.
func TestSchemaRefusalsAreKept(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	for name, c := range map[string]struct{ path, bad, good string }{
		"no window":     {"/v1/windows", `{"nam":"w"}`, `{"name":"w"}`},
		"unknown field": {"/v1/windows/" + w.ID + "/seal", `{"raeson":"r"}`, `{"reason":"r"}`},
		"NUL":           {"/v1/windows/" + w.ID + "/seal", `{"reason":"\u0000"}`, `{"reason":"r"}`},
		"depth":         {"/v1/windows/" + w.ID + "/keep", `{"reason":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`, `{"reason":"r"}`},
		"in the domain": {"/v1/windows", `{"name":"w","opens_at":"2026-01-02T03:04:05Z","ends_at":"2026-01-02T03:04:05Z"}`, `{"name":"w"}`},
	} {
		r := keyed(req{method: "POST", path: c.path, body: c.bad}, name)
		first := b.do(r, 422, nil)
		b.again(name, r, first)
		r.body = c.good
		if p := b.problem(r, 422, "invalid"); p.Field != "Idempotency-Key" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	// What cannot be read has no body to compare with: the key stays free.
	r := keyed(req{method: "POST", path: "/v1/windows", body: `{"name":`}, "unreadable")
	b.problem(r, 400, "invalid")
	r.body = `{"name":"w"}`
	b.do(r, 201, nil)
}

func TestIfMatchTakesAList(t *testing.T) {
	b := newBench(t)
	for tags, want := range map[string]int{
		`"1"`: 200, `"1", "2"`: 200, `"7","1"`: 200, ` , "7" ,, "1",`: 200, "*": 200, " * ": 200, `W/"1", "1"`: 200, `"a,b", "1"`: 200,
		`"7"`: 412, `"7", "8"`: 412, `W/"1"`: 412, `1`: 412, ``: 412, `"1`: 412, `"01"`: 412, `"+1"`: 412, `"1""2"`: 412, `*, "7"`: 412, `"a"1"`: 412, `"99999999999999999999"`: 412,
	} {
		w := b.window("w")
		if rec := recorded(b, req{method: "POST", path: "/v1/windows/" + w.ID + "/seal", header: map[string]string{"If-Match": tags}}); rec.Code != want {
			t.Errorf("If-Match: %s answers %d %s, want %d", tags, rec.Code, rec.Body, want)
		}
	}
	w := b.window("w")
	hr := b.request(req{method: "POST", path: "/v1/windows/" + w.ID + "/seal"})
	hr.Header["If-Match"] = []string{`"7"`, `"1"`}
	rec := newRecorder()
	if b.api.ServeHTTP(rec, hr); rec.Code != 200 {
		t.Errorf("two headers: %d %s", rec.Code, rec.Body)
	}
	// A window that is still to be opened has no tag; "*" expects nothing more than the call does.
	open := req{method: "POST", path: "/v1/windows", body: `{"name":"w"}`, header: map[string]string{"If-Match": `"1"`}}
	b.problem(open, 412, "stale")
	open.header["If-Match"] = "*"
	b.do(open, 201, nil)
}

// Every read that is not of the moment carries an ETag, and answers 304 to it.
func TestReadsCarryETags(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	b.record(w.ID, b.draft("/a"))
	for _, path := range []string{
		"/v1/windows", "/v1/windows/" + w.ID, "/v1/windows/" + w.ID + "/entries", "/v1/windows/" + w.ID + "/journal", "/v1/systems", "/v1/remediators", "/openapi.json", "/docs",
	} {
		tag := b.do(req{method: "GET", path: path}, 200, nil).Header().Get("ETag")
		if len(tagsOf([]string{tag}).tags) != 1 {
			t.Errorf("%s: ETag %s", path, tag)
			continue
		}
		for _, given := range []string{tag, "W/" + tag, `"x,y", ` + tag, "*"} {
			rec := b.do(req{method: "GET", path: path, header: map[string]string{"If-None-Match": given}}, 304, nil)
			if rec.Body.Len() > 0 || rec.Header().Get("ETag") != tag {
				t.Errorf("%s: %v %s", path, rec.Header(), rec.Body)
			}
		}
		if rec := b.do(req{method: "GET", path: path, header: map[string]string{"If-None-Match": `"0"`}}, 200, nil); rec.Body.Len() == 0 {
			t.Errorf("%s: nothing", path)
		}
	}
	journal := req{method: "GET", path: "/v1/windows/" + w.ID + "/journal"}
	old := b.do(journal, 200, nil).Header().Get("ETag")
	b.record(w.ID, b.draft("/b"))
	journal.header = map[string]string{"If-None-Match": old}
	if tag := b.do(journal, 200, nil).Header().Get("ETag"); tag == old {
		t.Error("a longer journal has the same tag")
	}
	if tag := b.do(req{method: "GET", path: "/v1/windows/" + w.ID + "/plan"}, 200, nil).Header().Get("ETag"); tag != "" {
		t.Errorf("a plan carries the ETag %s", tag)
	}
}

func TestTagLists(t *testing.T) {
	for text, want := range map[string][]string{
		`"1"`: {`"1"`}, `"a b", W/"c"`: {`"a b"`, `W/"c"`}, `""`: {`""`}, `"a`: nil, `W/`: nil, `"1" x, "2"`: nil, `"1", x`: {`"1"`}, `w/"1"`: nil,
	} {
		if got := tagsOf([]string{text}).tags; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if l := tagsOf(nil); l.given || l.any || l.tags != nil {
		t.Errorf("%+v", l)
	}
}
