package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

// classify makes an answer's class, or a call error's, a word.
func classify(ans ledger.Answer, err error) string {
	var call *ledger.CallError
	if errors.As(err, &call) {
		return string(call.Class) + ": " + call.Detail
	}
	return string(ans.Class)
}

func mustLook(t *testing.T, rem ledger.Remediator, e *ledger.Entry) ledger.Look {
	t.Helper()
	seen, err := rem.Look(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func TestMaskedValuesAreNeverWrittenBack(t *testing.T) {
	for _, c := range []struct {
		name, before, after, undo string
		masked                    []string
		want                      string // "": it is sent
	}{
		{name: "mask in the body", before: `{"v":1,"secret":"********"}`, undo: `{"method":"PUT","path":"/r/1","body":"{{before}}"}`, want: "secret_missing: /secret"},
		{name: "deep", before: `{"v":1,"a":[{"k":"[REDACTED]"}]}`, undo: `{"method":"PATCH","path":"/r/1","body":{"x":"{{before.a}}"}}`, want: "secret_missing: /x/0/k"},
		{name: "bullets", before: `{"v":"•••"}`, undo: `{"method":"PUT","path":"/r/1","body":"{{before}}"}`, want: "secret_missing: /v"},
		{name: "left out", before: `{"v":1,"secret":"***"}`, masked: []string{"/secret"}, undo: `{"method":"PUT","path":"/r/1","body":{"v":1}}`, want: "secret_missing: /secret"},
		{name: "left out of a patch", before: `{"v":1,"secret":"***"}`, masked: []string{"/secret"}, undo: `{"method":"PATCH","path":"/r/1","body":{"v":1}}`, want: "secret_missing: /secret"},
		{name: "never shown, declared", before: `{"v":1}`, masked: []string{"/secret"}, undo: `{"method":"PUT","path":"/r/1","body":{"v":1}}`, want: "secret_missing: /secret"},
		{name: "merge patch", before: `{"v":1,"secret":"***"}`, masked: []string{"/secret"}, undo: `{"method":"PATCH","path":"/r/1","content_type":"application/merge-patch+json","body":{"v":1}}`},
		{name: "real value", before: `{"v":1,"secret":"***"}`, masked: []string{"/secret"}, undo: `{"method":"PUT","path":"/r/1","body":{"v":1,"secret":"real"}}`},
		{name: "no body", before: `{"v":1,"secret":"***"}`, masked: []string{"/secret"}, undo: `{"method":"DELETE","path":"/r/1"}`},
		{name: "cron is no mask", before: `{"v":"* * * * *","w":"**","x":"<b>","y":"[x]"}`, undo: `{"method":"PUT","path":"/r/1","body":"{{before}}"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			th := remediatortest.NewThird(t)
			rem := bindThird(t, th)
			th.Set("/r/1", `{"v":2,"secret":"real"}`)
			e := entry(ledger.ActionUpdate, "/r/1", c.before, `{"v":2}`)
			e.Undo, e.Masked = raw(c.undo), c.masked
			seen := mustLook(t, rem, e)
			_, previewErr := rem.Preview(e, seen)
			ans, err := rem.Undo(t.Context(), e, seen)
			if c.want == "" {
				if err != nil || previewErr != nil {
					t.Fatalf("%+v, %v, %v", ans, err, previewErr)
				}
				return
			}
			if got := classify(ans, err); got != "denied: "+c.want || classify(ledger.Answer{}, previewErr) != got {
				t.Errorf("%s, preview %v", got, previewErr)
			}
			if th.EffectsOn("/r/1") != 0 {
				t.Error("it was written")
			}
		})
	}
}

// A secret that only the look shows to be there must not be dropped by a PUT without it.
func TestMaskSeenNow(t *testing.T) {
	th := remediatortest.NewThird(t)
	rem := bindThird(t, th)
	th.Set("/r/1", `{"v":2,"secret":"real"}`)
	th.Misbehave("/r/1", remediatortest.Mask)
	e := entry(ledger.ActionUpdate, "/r/1", `{"v":1}`, `{"v":2}`)
	e.Masked, e.Undo = []string{"/secret"}, raw(`{"method":"POST","path":"/r/1","body":{"v":1}}`)
	if got := classify(rem.Undo(t.Context(), e, mustLook(t, rem, e))); got != "denied: secret_missing: /secret" {
		t.Error(got)
	}
}

func TestGuards(t *testing.T) {
	th := remediatortest.NewThird(t)
	rem := bindThird(t, th)
	e := entry(ledger.ActionUpdate, "/r/1", `{"v":1}`, `{"v":2}`)
	e.Guard = raw(`{"header":"If-Match","value":"{{validator}}"}`)
	th.Set("/r/1", `{"v":2}`)
	seen := mustLook(t, rem, e)
	if req, err := rem.Preview(e, seen); err != nil || req.Header["If-Match"] != seen.Validator || seen.Validator == "" || !req.Repeatable {
		t.Errorf("%+v, %v", req, err)
	}
	th.Set("/r/1", `{"v":3}`)
	if got := classify(rem.Undo(t.Context(), e, seen)); got != "conflict" || th.Get("/r/1") != `{"v":3}` {
		t.Errorf("%s, %s", got, th.Get("/r/1"))
	}
	seen.Validator = ""
	if got := classify(rem.Undo(t.Context(), e, seen)); !strings.HasPrefix(got, "denied: the third party showed no validator") {
		t.Error(got)
	}
	// Bringing back what is gone is conditional on its absence.
	e = entry(ledger.ActionDelete, "/r/2", `{"v":1}`, "")
	e.Guard = raw(`{"header":"If-Match","value":"{{validator}}"}`)
	seen = mustLook(t, rem, e)
	th.Set("/r/2", `{"v":"somebody else"}`)
	if got := classify(rem.Undo(t.Context(), e, seen)); got != "conflict" || th.EffectsOn("/r/2") != 0 {
		t.Error(got)
	}
}

// Consul's way: the condition stands in the query, and 200 false means that it did not hold.
func TestFalseSuccess(t *testing.T) {
	th := remediatortest.NewThird(t)
	rem := bindThird(t, th)
	th.Set("/r/1", `{"v":2}`)
	e := entry(ledger.ActionUpdate, "/r/1", `{"v":1}`, `{"v":2}`)
	e.Undo = raw(`{"method":"PUT","path":"/r/1?flags=1","body":"{{before}}","success":{"status":[200],"body":{"pointer":"/v","equals":1.0}}}`)
	e.Guard = raw(`{"query":"cas","value":"{{validator}}"}`)
	seen := mustLook(t, rem, e)
	req, err := rem.Preview(e, seen)
	if err != nil || !strings.Contains(req.URL, "?flags=1&cas=%22") {
		t.Errorf("%+v, %v", req, err)
	}
	th.Set("/r/1", `{"v":3}`)
	if got := classify(rem.Undo(t.Context(), e, seen)); got != "conflict" {
		t.Errorf("a false behind a guard: %s", got)
	}
	th.Set("/r/1", `{"v":2}`)
	if got := classify(rem.Undo(t.Context(), e, mustLook(t, rem, e))); got != "accepted" {
		t.Errorf("1 and 1.0 are equal: %s", got)
	}
	th.Misbehave("/r/1", remediatortest.False)
	e.Guard = nil
	if got := classify(rem.Undo(t.Context(), e, seen)); got != "refused" {
		t.Errorf("a false without a guard: %s", got)
	}
	th.Misbehave("/r/1", remediatortest.Broken)
	if got := classify(rem.Undo(t.Context(), e, seen)); got != "failed" {
		t.Errorf("a body that is cut off says nothing: %s", got)
	}
}

func TestStatusesByTheEntry(t *testing.T) {
	th := remediatortest.NewThird(t)
	rem := bindThird(t, th)
	e := entry(ledger.ActionCreate, "/r/1", "", `{"v":1}`)
	if got := classify(rem.Undo(t.Context(), e, ledger.Look{Known: true, Now: image(`{"v":1}`)})); got != "gone" {
		t.Errorf("404 to a DELETE: %s", got)
	}
	e.Undo = raw(`{"method":"DELETE","path":"/r/1","success":{"status":[404]}}`)
	if got := classify(rem.Undo(t.Context(), e, ledger.Look{})); got != "accepted" {
		t.Errorf("404 listed as success: %s", got)
	}
	u := entry(ledger.ActionUpdate, "/r/1", `{"v":1}`, `{"v":2}`)
	u.Undo = raw(`{"method":"PATCH","path":"/r/1","body":"{{before}}"}`)
	if got := classify(rem.Undo(t.Context(), u, ledger.Look{})); got != "refused" {
		t.Errorf("404 to a PATCH that restores: %s", got)
	}
	u.Undo = raw(`{"method":"PUT","path":"/r/1","body":"{{before}}","success":{"status":[204]}}`)
	if got := classify(rem.Undo(t.Context(), u, ledger.Look{})); got != "failed" {
		t.Errorf("200 where only 204 is success: %s", got)
	}
	post := entry(ledger.ActionDelete, "/r/1", `{"v":1}`, "")
	post.Undo = raw(`{"method":"POST","path":"/r/1","body":"{{before}}"}`)
	if req, err := rem.Preview(post, ledger.Look{Known: true, Now: ledger.Absent}); err != nil || req.Repeatable {
		t.Errorf("a POST is not repeatable: %+v, %v", req, err)
	}
	post.Undo = nil
	if got := classify(rem.Undo(t.Context(), post, ledger.Look{})); !strings.HasPrefix(got, "denied") {
		t.Errorf("no undo: %s", got)
	}
}

func TestSelectAndList(t *testing.T) {
	th := remediatortest.NewThird(t)
	rem := bindThird(t, th)
	e := entry(ledger.ActionUpdate, "/hooks", `{"url":"a"}`, `{"url":"b"}`)
	e.Resource = raw(`{"id":7}`)
	e.Read = raw(`{"path":"/hooks","select":"/config","list":{"items":"/data"},"match":{"pointer":"/id","equals":"{{resource.id}}"},"validator":{"pointer":"/version"}}`)
	e.Verify = raw(`{"timeout":"30s","stable_for":"2s"}`)
	for _, c := range []struct{ doc, now, validator string }{
		{`{"data":[{"id":6,"config":{"url":"x"}},{"id":7.0, "version": 3, "config": {"url": "b"}}]}`, `{"url":"b"}`, "3"},
		{`{"data":[{"id":6}]}`, "null", ""},
		{`{"data":[{"id":7,"version":"v4"}]}`, "null", "v4"},
		{`{"data":[]}`, "null", ""},
	} {
		th.Set("/hooks", c.doc)
		seen := mustLook(t, rem, e)
		if string(seen.Now.JSON) != c.now || seen.Validator != c.validator || seen.Proven != (c.now == "null") {
			t.Errorf("%s: %+v", c.doc, seen)
		}
		if seen.Patience != 30*time.Second || seen.Stable != 2*time.Second {
			t.Errorf("verify: %+v", seen)
		}
	}
	for _, doc := range []string{`{"data":[{"id":7},{"id":7}]}`, `{"data":{}}`, `[]`} {
		th.Set("/hooks", doc)
		if _, err := rem.Look(t.Context(), e); !strings.HasPrefix(classify(ledger.Answer{}, err), "answered") {
			t.Errorf("%s: %v", doc, err)
		}
	}
	e.Read = nil
	if seen, err := rem.Look(t.Context(), e); err != nil || seen.Known {
		t.Errorf("without read: %+v, %v", seen, err)
	}
}

func TestAsync(t *testing.T) {
	th := remediatortest.NewThird(t)
	rem := bindThird(t, th)
	e := entry(ledger.ActionUpdate, "/r/1", `{"v":1}`, `{"v":2}`)
	for _, c := range []struct {
		async, want string
		polls       int
	}{
		{`{"poll":{"header":"Location","every":"1ms","until":{"pointer":"/status","in":["done","ok"]},"max":"10s"}}`, "accepted", 3},
		{`{"poll":{"header":"Location","every":"1ms","until":{"pointer":"/status","in":["never"]},"max":"50ms"}}`, "ambiguous: begun, and not done within async.poll.max", 1},
		{`{"poll":{"header":"X-Job","every":"1ms","until":{"pointer":"/status","in":["done"]}}}`, "ambiguous: begun, and the address of its progress is not below the system's url", 1},
		{`{"poll":{"path":"/nowhere","every":"1ms","until":{"pointer":"","in":[1]},"max":"20ms"}}`, "ambiguous: begun, and not done within async.poll.max", 1},
	} {
		th.Set("/r/1", `{"v":2}`)
		th.Polls = c.polls
		th.Once("/r/1", remediatortest.Accept)
		e.Async = raw(c.async)
		if _, err := rem.Check(&e.Draft); err != nil {
			t.Fatal(err)
		}
		if got := classify(rem.Undo(t.Context(), e, mustLook(t, rem, e))); got != c.want {
			t.Errorf("%s: %s", c.async, got)
		}
		if c.want == "accepted" && th.Get("/r/1") != `{"v":1}` {
			t.Errorf("done, and %s", th.Get("/r/1"))
		}
	}
	th.Once("/r/1", remediatortest.Accept)
	th.Polls = 1 << 30
	e.Async = raw(`{"poll":{"header":"Location","every":"1ms","until":{"pointer":"/status","in":["done"]}}}`)
	th.Set("/r/1", `{"v":2}`)
	seen := mustLook(t, rem, e)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := classify(rem.Undo(ctx, e, seen)); got != "ambiguous: begun, and given up before it was done" {
		t.Errorf("given up: %s", got)
	}
}

func TestHeaderValuesAreChecked(t *testing.T) {
	th := remediatortest.NewThird(t)
	rem := bindThird(t, th)
	e := entry(ledger.ActionUpdate, "/r/1", `{"note":"a\r\nX-Evil: 1","ok":"fine"}`, `{"v":2}`)
	e.Undo = raw(`{"method":"PUT","path":"/r/1","headers":{"X-Note":"{{before.note}}"},"body":{"v":1}}`)
	if got := classify(rem.Undo(t.Context(), e, ledger.Look{})); !strings.HasPrefix(got, "denied: header X-Note") || strings.Contains(got, "Evil") {
		t.Error(got)
	}
	e.Undo = raw(`{"method":"PUT","path":"/r/1","headers":{"X-Note":"<{{before.ok}}>","Idempotency-Key":"{{id}}"},"content_type":"application/vnd.x+json","body":{"v":1}}`)
	if got := classify(rem.Undo(t.Context(), e, ledger.Look{})); got != "accepted" {
		t.Fatal(got)
	}
	reqs, bodies := th.Calls()
	last := reqs[len(reqs)-1]
	if last.Header.Get("X-Note") != "<fine>" || last.Header.Get("Idempotency-Key") != e.ID.String() || last.Header.Get("Content-Type") != "application/vnd.x+json" {
		t.Errorf("%v", last.Header)
	}
	if bodies[len(bodies)-1] != `{"v":1}` {
		t.Errorf("%s", bodies[len(bodies)-1])
	}
}

func TestPreviewIsWhatIsSent(t *testing.T) {
	th := remediatortest.NewThird(t)
	rem := bind(t, remediators.SystemConfig{URL: th.URL + "/api/", Credential: "env:TOKEN", Auth: remediators.AuthConfig{Scheme: "header", Name: "X-Key"}})
	e := entry(ledger.ActionUpdate, "/r/1", `{"v":1}`, `{"v":2}`)
	req, err := rem.Preview(e, ledger.Look{Known: true, Now: image(`{"v":2}`)})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, req, ledger.Request{
		Method: "PUT", URL: th.URL + "/api/r/1", Header: map[string]string{"Content-Type": "application/json"}, Body: json.RawMessage(`{"v":1}`),
		Credential: ledger.CredentialSlot{Variable: "TOKEN", Header: "X-Key"}, Repeatable: true,
	})
	e.Undo = raw(`{"method":"PUT","path":"/r/1","headers":{"x-key":"mine"},"body":{}}`)
	if _, err := rem.Preview(e, ledger.Look{}); !strings.HasPrefix(classify(ledger.Answer{}, err), "denied") {
		t.Errorf("the credential's header is set by an entry: %v", err)
	}
}
