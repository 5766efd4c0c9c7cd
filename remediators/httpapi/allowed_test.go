package httpapi

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

// arrived lists the calls at a third party as "METHOD /path?query".
func arrived(th *remediatortest.Third) []string {
	reqs, _ := th.Calls()
	var out []string
	for _, r := range reqs {
		out = append(out, r.Method+" "+r.RequestURI)
	}
	return out
}

// Every call that a recipe can lead to is held to the allow list when it is made: with a list that lacks
// one of them, that one never arrives.
func TestAllowHoldsForEveryCall(t *testing.T) {
	type step struct {
		name string
		lack string // what the list lacks
		do   func(t *testing.T, rem ledger.Remediator, th *remediatortest.Third) error
	}
	full := []string{"GET /r/*", "GET /parent", "PUT /r/*", "DELETE /r/*", "GET /jobs/*", "GET /poll/*"}
	undo := func(change func(e *ledger.Entry)) func(*testing.T, ledger.Remediator, *remediatortest.Third) error {
		return func(t *testing.T, rem ledger.Remediator, th *remediatortest.Third) error {
			th.Set("/r/1", `{"v":"new"}`)
			e := entry(ledger.ActionUpdate, "/r/1", `{"v":"old"}`, `{"v":"new"}`)
			change(e)
			_, err := rem.Undo(t.Context(), e, ledger.Look{Known: true, Now: e.After})
			return err
		}
	}
	accept := func(poll string) func(*testing.T, ledger.Remediator, *remediatortest.Third) error {
		return func(t *testing.T, rem ledger.Remediator, th *remediatortest.Third) error {
			th.Misbehave("/r/1", remediatortest.Accept)
			return undo(func(e *ledger.Entry) {
				e.Async = raw(`{"poll":{` + poll + `,"every":"1ms","max":"20ms","until":{"pointer":"/status","in":["done"]}}}`)
			})(t, rem, th)
		}
	}
	for _, s := range []step{
		{"look", "GET /r/*", func(t *testing.T, rem ledger.Remediator, _ *remediatortest.Third) error {
			_, err := rem.Look(t.Context(), entry(ledger.ActionUpdate, "/r/1", `{}`, `{}`))
			return err
		}},
		{"gone proof", "GET /parent", func(t *testing.T, rem ledger.Remediator, _ *remediatortest.Third) error {
			e := entry(ledger.ActionCreate, "/r/gone", "", `{}`)
			e.Read = raw(`{"path":"/r/gone","gone_proof":{"path":"/parent"}}`)
			_, err := rem.Look(t.Context(), e)
			return err
		}},
		{"undo by PUT", "PUT /r/*", undo(func(*ledger.Entry) {})},
		{"undo by DELETE", "DELETE /r/*", undo(func(e *ledger.Entry) { e.Undo = raw(`{"method":"DELETE","path":"/r/1"}`) })},
		{"blind undo", "PUT /r/*", undo(func(e *ledger.Entry) { e.Read = nil })},
		{"guarded undo", "PUT /r/*", undo(func(e *ledger.Entry) { e.Guard = raw(`{"header":"If-Match","value":"\"x\""}`) })},
		{"poll by path", "GET /poll/*", accept(`"path":"/poll/1"`)},
		{"poll by Location", "GET /jobs/*", accept(`"header":"Location"`)},
	} {
		t.Run(s.name, func(t *testing.T) {
			th := remediatortest.NewThird(t)
			th.Polls = 1
			method, prefix, _ := strings.Cut(strings.TrimSuffix(s.lack, "*"), " ")
			hit := func() bool {
				return slices.ContainsFunc(arrived(th), func(c string) bool { return strings.HasPrefix(c, method+" "+prefix) })
			}
			lacking := slices.DeleteFunc(slices.Clone(full), func(a string) bool { return a == s.lack })
			err := s.do(t, bind(t, remediators.SystemConfig{URL: th.URL, Credential: "env:TOKEN", Allow: lacking}), th)
			if class, _ := classOf(err); hit() || class != ledger.CallDenied && !strings.Contains(detail(err), "allow list") {
				t.Errorf("without %s: %v; arrived: %v", s.lack, err, arrived(th))
			}
			_ = s.do(t, bind(t, remediators.SystemConfig{URL: th.URL, Credential: "env:TOKEN", Allow: full}), th)
			if !hit() {
				t.Errorf("with it: arrived: %v", arrived(th))
			}
		})
	}
}

// The address of a poll never leads out of the system, and the credential stays with it.
func TestPollsStayAtHome(t *testing.T) {
	for _, location := range []string{
		"ELSE/jobs/1", "//NAKED/jobs/1", "http://u:p@NAKED/jobs/1", "http:/NAKED/jobs/1", "ftp://HOME/jobs/1", "https://HOME/jobs/1", "http://HOME.evil.example/jobs/1",
		"http://HOME@NAKED/jobs/1", "http://NAKED#@HOME/jobs/1", `\\NAKED\jobs`, `/\NAKED/jobs/1`, "/../jobs/1", "/%2e%2e/jobs/1", "jobs/1", "", " /jobs/1", "/jobs/1 x",
		"javascript:alert(1)", "data:,x", "file:///etc/passwd", "http://[::1]:1/jobs/1", "http://HOME:1/jobs/1", "/jobs//1", "/jobs/..;/x", "http://localhost/jobs/1", "?x", "#x",
	} {
		home, elsewhere := remediatortest.NewThird(t), remediatortest.NewThird(t)
		naked := func(th *remediatortest.Third) string { return strings.TrimPrefix(th.URL, "http://") }
		_, rem := bindBare(t, remediators.SystemConfig{URL: home.URL, Credential: "env:TOKEN"})
		a := &asyncing{header: "Location"}
		to := strings.NewReplacer("ELSE", elsewhere.URL, "NAKED", naked(elsewhere), "HOME", naked(home)).Replace(location)
		call, why := rem.pollCall(a, remediators.Reply{Header: map[string][]string{"Location": {to}}}, values{})
		if why == "" {
			_, err := rem.client.Do(t.Context(), call)
			if class, _ := classOf(err); class != "denied" && !strings.HasPrefix(call.Path, "/jobs/") {
				t.Errorf("%s: asks for %+v: %v", location, call, err)
			}
		}
		if got := arrived(elsewhere); len(got) > 0 {
			t.Errorf("%s: elsewhere arrived %v", location, got)
		}
	}
}

// Whatever a value holds, the call stays where the recipe put it: one segment, in the path it is in.
func TestValuesStayInTheirPlace(t *testing.T) {
	th := remediatortest.NewThird(t)
	rem := bind(t, remediators.SystemConfig{URL: th.URL, Allow: []string{"PUT /hooks/*/on", "GET /hooks/*/on"}})
	for _, value := range []string{
		"..", ".", "../admin", "..%2fadmin", "%2e%2e", "%2e%2e%2fadmin", "a/../../admin", `..\admin`, "..;/admin", "a/on?x=", "a?x", "a#x", "a/on#", "//evil.example", "http://evil.example",
		"a b", "a\r\nHost: evil", "a\x00", "a%00", "%252e%252e", "．．", "‥", "a／..／b", "\u2024\u2024", "", "a&b=c", "a;b", "{{resource.x}}", "%", "é", "../../hooks/1", "a%2Fb", "*", "@evil", ":80",
	} {
		e := entry(ledger.ActionUpdate, "/x", `{"v":"old"}`, `{"v":"new"}`)
		e.Resource, _ = json.Marshal(map[string]string{"id": value})
		e.Undo = raw(`{"method":"PUT","path":"/hooks/{{resource.id}}/on?q={{resource.id}}","headers":{"X-Id":"{{resource.id}}"},"body":"{{before}}"}`)
		e.Read = raw(`{"path":"/hooks/{{resource.id}}/on"}`)
		_, _ = rem.Look(t.Context(), e)
		_, _ = rem.Undo(t.Context(), e, ledger.Look{Known: true, Now: e.After})
	}
	reqs, _ := th.Calls()
	for _, r := range reqs {
		path, query, _ := strings.Cut(r.RequestURI, "?")
		if !strings.HasPrefix(path, "/hooks/") || !strings.HasSuffix(path, "/on") || strings.Count(path, "/") != 3 || strings.Contains(r.Host, "evil") ||
			strings.ContainsAny(query, "&;# ") || r.Header.Get("Host") != "" {
			t.Errorf("%s %s", r.Method, r.RequestURI)
		}
	}
	if len(reqs) == 0 {
		t.Error("nothing was sent: the test proves nothing")
	}
}

// What a recipe will certainly never be allowed is said when it is recorded, with the field and the fix.
func TestDenialsAtRecording(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: "http://127.0.0.1:1", Allow: []string{"GET /r/*", "PUT /r/*", "GET /jobs/*", "PUT /a/*/z"}})
	for _, c := range []struct {
		name   string
		change func(d *ledger.Draft)
		want   string // the fields, in order
	}{
		{"allowed", func(*ledger.Draft) {}, ""},
		{"the undo", func(d *ledger.Draft) { d.Undo = raw(`{"method":"PUT","path":"/admin","body":"{{before}}"}`) }, "/undo/path"},
		{"its method", func(d *ledger.Draft) { d.Undo = raw(`{"method":"POST","path":"/r/1"}`) }, "/undo/path"},
		{"the read", func(d *ledger.Draft) { d.Read = raw(`{"path":"/secrets"}`) }, "/read/path"},
		{"the proof", func(d *ledger.Draft) { d.Read = raw(`{"path":"/r/1","gone_proof":{"path":"/"}}`) }, "/read/gone_proof/path"},
		{"the poll", func(d *ledger.Draft) {
			d.Async = raw(`{"poll":{"path":"/admin/jobs","until":{"in":["done"]}}}`)
		}, "/async/poll/path"},
		{"two", func(d *ledger.Draft) {
			d.Undo, d.Read = raw(`{"method":"DELETE","path":"/r/1"}`), raw(`{"path":"/x"}`)
		}, "/undo/path /read/path"},
		{"by a value", func(d *ledger.Draft) {
			d.Undo = raw(`{"method":"PUT","path":"/{{resource.top}}/1","body":"{{before}}"}`)
		}, "/undo/path"},
		{"a method by the query", func(d *ledger.Draft) {
			d.Undo = raw(`{"method":"PUT","path":"/r/1?_method=DELETE","body":"{{before}}"}`)
		}, "/undo/path"},
		{"not known yet, and may be", func(d *ledger.Draft) { d.Undo = raw(`{"method":"PUT","path":"/r/{{now.id}}","body":"{{before}}"}`) }, ""},
		{"not known yet, and cannot be", func(d *ledger.Draft) { d.Undo = raw(`{"method":"PUT","path":"/x/{{now.id}}","body":"{{before}}"}`) }, "/undo/path"},
		{"not known yet, and ends otherwise", func(d *ledger.Draft) { d.Undo = raw(`{"method":"PUT","path":"/a/{{now.id}}/y","body":"{{before}}"}`) }, "/undo/path"},
		{"not known yet, and fits", func(d *ledger.Draft) { d.Undo = raw(`{"method":"PUT","path":"/a/{{now.id}}/z","body":"{{before}}"}`) }, ""},
		{"a whole path not known yet", func(d *ledger.Draft) { d.Undo = raw(`{"method":"PUT","path":"{{+now.path}}","body":"{{before}}"}`) }, ""},
		{"an id that comes with /applied", func(d *ledger.Draft) {
			d.State, d.Undo = ledger.EntryIntended, raw(`{"method":"PUT","path":"/x/{{resource.id}}","body":"{{before}}"}`)
		}, "/undo/path"},
	} {
		e := entry(ledger.ActionUpdate, "/r/1", `{"v":"old"}`, `{"v":"new"}`)
		e.Resource, e.Read = raw(`{"top":"admin"}`), raw(`{"path":"/r/1"}`)
		c.change(&e.Draft)
		g, err := rem.Check(&e.Draft)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var fields []string
		for _, d := range g.Denied {
			fields = append(fields, d.Field)
			if !strings.Contains(d.Msg, "systems.sys.allow") || strings.Contains(d.Msg, "admin/") || strings.Contains(d.Msg, "/1") {
				t.Errorf("%s: %s", c.name, d.Msg)
			}
		}
		if got := strings.Join(fields, " "); got != c.want || (c.want != "") != strings.Contains(strings.Join(g.Warnings, "\n"), "will be blocked") {
			t.Errorf("%s: %q, %q", c.name, got, g.Warnings)
		}
	}
}

// A profile's request is put right by the resource.
func TestDenialsOfProfiles(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: "http://127.0.0.1:1", Profile: "caddy", Allow: []string{"GET /id/*", "GET /config/*"}})
	d := &ledger.Draft{
		ID: ledger.NewID(), System: "sys", Kind: "caddy.config", Action: ledger.ActionUpdate, State: ledger.EntryApplied,
		Resource: raw(`{"path":"/apps/http"}`), Before: image(`{"v":1}`), After: image(`{"v":2}`),
	}
	g, err := rem.Check(d)
	if err != nil || len(g.Denied) == 0 || g.Denied[0].Field != "/resource" {
		t.Errorf("%+v, %v", g, err)
	}
}
