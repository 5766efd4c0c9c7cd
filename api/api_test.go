package api

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sideledger/api/wire"
	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// The document and the router have the same calls, and the same roles.
func TestDocumentIsTrue(t *testing.T) {
	b := newBench(t)
	if err := b.doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	byName := map[string]route{}
	for _, r := range b.api.routes() {
		byName[r.method+" "+r.path] = r
	}
	var inRouter, inDocument []string
	for _, r := range b.api.echo.Routes() {
		if r.Method == http.MethodHead && byName["GET "+r.Path].run != nil {
			continue // every GET that is no stream answers HEAD too
		}
		inRouter = append(inRouter, r.Method+" "+r.Path)
	}
	for name, op := range b.api.spec.operations {
		inDocument = append(inDocument, name)
		role, _ := op.spec.Extensions["x-role"].(string)
		recorder, _ := op.spec.Extensions["x-recorder"].(bool)
		if r := byName[name]; string(r.role) != role || (r.recorder != recorderNever) != recorder {
			t.Errorf("%s: the document says role %q, recorder %t; the router %q, %t", name, role, recorder, r.role, r.recorder != recorderNever)
		}
		if open := op.spec.Security != nil && len(*op.spec.Security) == 0; open != (role == "") {
			t.Errorf("%s: security and x-role differ", name)
		}
		if op.spec.Responses.Default() == nil {
			t.Errorf("%s: no problem document is promised", name)
		}
	}
	slices.Sort(inRouter)
	slices.Sort(inDocument)
	if d := cmp.Diff(inDocument, inRouter); d != "" {
		t.Errorf("document (-) and router (+) differ:\n%s", d)
	}
}

// Every route by every role, in its own and in another window. A new route fails here until it has a rule.
func TestRolesByRoute(t *testing.T) {
	b := newBench(t, watched(&fakeVigil{}))
	tokens := map[string]string{
		"viewer": b.token(ledger.Token{Role: ledger.RoleViewer}), "operator": b.token(ledger.Token{Role: ledger.RoleOperator}),
		"admin": b.admin, "nobody": "-", "stranger": "sl_no_such_token",
	}
	// What a recorder may do, by route: in its window or with its entry; with another's entry in its window.
	allowed := map[string][2]bool{
		"GET /v1/windows/:id/entries": {true}, "POST /v1/windows/:id/entries": {true}, "POST /v1/windows/:id/entries/batch": {true},
		"GET /v1/entries/:id": {true, false}, "POST /v1/entries/:id/applied": {true, true}, "POST /v1/entries/:id/void": {true, true},
		"POST /v1/entries/:id/renew": {true, true}, "GET /v1/windows/:id/effects": {true}, "POST /v1/windows/:id/effects": {true},
	}
	open := []string{"GET /livez", "GET /readyz", "GET /version"}
	reads := []string{
		"GET /v1/windows", "GET /v1/windows/:id", "GET /v1/windows/:id/events", "GET /v1/windows/:id/journal",
		"GET /v1/windows/:id/entries", "GET /v1/entries/:id", "GET /v1/rollbacks/:id", "GET /v1/rollbacks/:id/events", "GET /v1/systems",
		"GET /metrics", "GET /openapi.json", "GET /docs", "GET /v1/head", "GET /v1/windows/:id/effects", "GET /v1/remediators",
	}
	changes := []string{
		"POST /v1/windows", "POST /v1/windows/:id/seal", "POST /v1/windows/:id/reopen", "POST /v1/windows/:id/keep",
		"POST /v1/windows/:id/entries", "POST /v1/windows/:id/entries/batch", "POST /v1/windows/:id/effects", "GET /v1/windows/:id/plan", "POST /v1/windows/:id/verify",
		"POST /v1/windows/:id/rollbacks", "POST /v1/rollbacks/:id/pause", "POST /v1/rollbacks/:id/resume", "POST /v1/rollbacks/:id/cancel", "POST /v1/rollbacks/:id/confirm",
		"POST /v1/entries/:id/applied", "POST /v1/entries/:id/void", "POST /v1/entries/:id/renew", "POST /v1/entries/:id/resolve", "POST /v1/rehearsals", "GET /v1/windows/:id/rehearsal", "GET /v1/windows/:id/unrecorded",
	}
	for _, r := range b.api.routes() {
		name := r.method + " " + r.path
		isOpen, isRead, isChange := slices.Contains(open, name), slices.Contains(reads, name), slices.Contains(changes, name)
		if !isOpen && !isRead && !isChange {
			t.Errorf("%s has no rule in this test", name)
		}
		mine, other := b.window("mine"), b.window("other")
		tokens["recorder"] = b.token(ledger.Token{Role: ledger.RoleRecorder, WindowID: mustID(t, mine.ID)})
		own := wire.Entry{}
		b.do(req{method: "POST", path: "/v1/windows/" + mine.ID + "/entries", body: b.draft("/own"), token: tokens["recorder"]}, 201, &own)
		foreign, elsewhere := b.record(mine.ID, b.draft("/foreign")), b.record(other.ID, b.draft("/other"))
		run := b.rollback(other.ID, nil)
		ask := func(role, id string) int {
			rec := newRecorder()
			rq := b.request(req{method: r.method, path: strings.ReplaceAll(r.path, ":id", id), token: tokens[role]})
			if r.stream && r.path != "/v1/windows/:id/plan" && r.path != "/v1/windows/:id/journal" {
				rq.Header.Set("Last-Event-ID", "not a number") // so that a stream that may be read ends at once, with 422
			}
			b.api.ServeHTTP(rec, rq)
			return rec.Code
		}
		id := mine.ID
		switch {
		case strings.HasPrefix(r.path, "/v1/entries"):
			id = own.ID
		case strings.HasPrefix(r.path, "/v1/rollbacks"):
			id = run.ID
		}
		outside := other.ID
		rule, has := allowed[name]
		if strings.HasPrefix(r.path, "/v1/entries") {
			outside = elsewhere.ID
			if got := ask("recorder", foreign.ID); has && (got == 404) == rule[1] {
				t.Errorf("%s as recorder, another's entry in its window: %d", name, got)
			}
		}
		if got := ask("recorder", outside); has && got != 404 {
			t.Errorf("%s as recorder in another window: %d, want 404", name, got)
		}
		for _, ask1 := range []struct {
			role string
			want bool
		}{
			{"nobody", isOpen},
			{"stranger", isOpen},
			{"recorder", isOpen || allowed[name][0]},
			{"viewer", isOpen || isRead},
			{"operator", true},
			{"admin", true},
		} {
			got := ask(ask1.role, id)
			if refused := got == 401 || got == 403 || got == 404; refused == ask1.want || got >= 500 {
				t.Errorf("%s as %s: %d", name, ask1.role, got)
			}
			if unknown := ask1.role == "nobody" || ask1.role == "stranger"; !ask1.want && unknown != (got == 401) {
				t.Errorf("%s as %s: %d", name, ask1.role, got)
			}
		}
	}
}

// A recorder lists its own entries only, and reads nothing once its window is over; its late facts are
// still taken.
func TestRecorderAndItsWindow(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	tok := b.token(ledger.Token{Role: ledger.RoleRecorder, WindowID: mustID(t, w.ID)})
	b.record(w.ID, b.draft("/theirs"))
	var own wire.Entry
	b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/entries", body: b.draft("/own"), token: tok}, 201, &own)
	var l wire.EntryList
	b.do(req{method: "GET", path: "/v1/windows/" + w.ID + "/entries", token: tok}, 200, &l)
	if len(l.Items) != 1 || l.Items[0].ID != own.ID {
		t.Errorf("it sees %d entries", len(l.Items))
	}
	b.rollback(w.ID, nil)
	b.problem(req{method: "GET", path: "/v1/windows/" + w.ID + "/entries", token: tok}, 401, "unauthenticated")
	b.problem(req{method: "GET", path: "/v1/entries/" + own.ID, token: tok}, 401, "unauthenticated")
	var late wire.Entry
	b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/entries", body: b.draft("/late"), token: tok}, 201, &late)
	if !late.Late || late.State != "stuck" || late.Reason != "late" || late.Next == "" {
		t.Errorf("%+v", late)
	}
	d := b.draft("/more")
	d.State = "intended"
	b.problem(req{method: "POST", path: "/v1/windows/" + w.ID + "/entries", body: d, token: tok}, 409, "conflict")
}

func TestProblemsEverywhere(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	entries := "/v1/windows/" + w.ID + "/entries"
	long := `{"system":"shelf","kind":"k","action":"create","resource":{},"before":null,"after":"` + strings.Repeat("x", 1<<20) + `"}`
	secret := "hunter2hunter2"
	for name, c := range map[string]struct {
		r      req
		status int
		code   string
		field  string
	}{
		"no route":         {req{method: "GET", path: "/v2/" + secret}, 404, "not_found", ""},
		"no method":        {req{method: "DELETE", path: "/v1/windows"}, 405, "invalid", ""},
		"odd method":       {req{method: "TRACE", path: "/v1/windows"}, 405, "invalid", ""},
		"HEAD of a stream": {req{method: "HEAD", path: "/v1/windows/" + w.ID + "/plan"}, 405, "invalid", ""},
		"too large":        {req{method: "POST", path: entries, body: long}, 413, "too_large", ""},
		"bad id":           {req{method: "GET", path: "/v1/windows/" + secret}, 404, "not_found", ""},
		"unknown id":       {req{method: "GET", path: "/v1/windows/" + ledger.NewID().String()}, 404, "not_found", ""},
		"unknown list":     {req{method: "GET", path: "/v1/windows/" + ledger.NewID().String() + "/entries"}, 404, "not_found", ""},
		"unknown plan":     {req{method: "GET", path: "/v1/windows/" + ledger.NewID().String() + "/plan"}, 404, "not_found", ""},
		"unknown journal":  {req{method: "GET", path: "/v1/windows/" + ledger.NewID().String() + "/journal"}, 404, "not_found", ""},
		"unknown events":   {req{method: "GET", path: "/v1/windows/" + ledger.NewID().String() + "/events"}, 404, "not_found", ""},
		"unknown entry":    {req{method: "POST", path: "/v1/entries/" + ledger.NewID().String() + "/renew"}, 404, "not_found", ""},
		"unknown rollback": {req{method: "POST", path: "/v1/rollbacks/" + ledger.NewID().String() + "/pause"}, 404, "not_found", ""},
		"not JSON":         {req{method: "POST", path: "/v1/windows", body: secret}, 400, "invalid", ""},
		"media type":       {req{method: "POST", path: "/v1/windows", body: `{"name":"x"}`, header: map[string]string{"Content-Type": "text/plain"}}, 400, "invalid", "Content-Type"},
		"encoding":         {req{method: "POST", path: "/v1/windows", body: `{"name":"x"}`, header: map[string]string{"Content-Encoding": "gzip"}}, 400, "invalid", "Content-Encoding"},
		"unknown field":    {req{method: "POST", path: "/v1/windows", body: `{"name":"x","titel":"` + secret + `"}`}, 422, "invalid", "/titel"},
		"no body":          {req{method: "POST", path: "/v1/windows"}, 422, "invalid", "/name"},
		"unknown filter":   {req{method: "GET", path: "/v1/windows?stat=stuck"}, 422, "invalid", "/stat"},
		"bad filter":       {req{method: "GET", path: "/v1/windows?state=" + secret}, 422, "invalid", "state"},
		"twice":            {req{method: "GET", path: "/v1/windows?limit=1&limit=2"}, 422, "invalid", "limit"},
		"limit":            {req{method: "GET", path: "/v1/windows?limit=1001"}, 422, "invalid", "limit"},
		"limit text":       {req{method: "GET", path: "/v1/windows?limit=" + secret}, 422, "invalid", "limit"},
		"cursor":           {req{method: "GET", path: "/v1/windows?cursor=" + secret}, 422, "invalid", "cursor"},
		"term":             {req{method: "GET", path: entries + "?only=" + secret}, 422, "invalid", "only"},
		"unknown system":   {req{method: "POST", path: entries, body: `{"system":"` + secret + `","kind":"k","action":"create","resource":{},"before":null}`}, 422, "invalid", "/system"},
		"duration":         {req{method: "POST", path: entries, body: `{"system":"shelf","kind":"k","action":"create","resource":{},"before":null,"perform_within":"0s"}`}, 422, "invalid", "/perform_within"},
		"parallel":         {req{method: "POST", path: "/v1/windows/" + w.ID + "/rollbacks", body: `{"parallel":65}`}, 422, "invalid", "/parallel"},
		"key":              {req{method: "POST", path: "/v1/windows", body: `{"name":"x"}`, header: map[string]string{"Idempotency-Key": strings.Repeat("k", 256)}}, 422, "invalid", "Idempotency-Key"},
		"stale ETags":      {req{method: "POST", path: "/v1/windows/" + w.ID + "/seal", header: map[string]string{"If-Match": `"7", "8"`}}, 412, "stale", ""},
		"no token":         {req{method: "GET", path: "/v1/windows", token: "-"}, 401, "unauthenticated", ""},
		"basic":            {req{method: "GET", path: "/v1/windows", token: "-", header: map[string]string{"Authorization": "Basic " + secret}}, 401, "unauthenticated", ""},
		"in a batch":       {req{method: "POST", path: entries + "/batch", body: `{"entries":[{"system":"shelf","kind":"k","action":"create","resource":{},"before":null,"after":{},"depends_on":["` + ledger.NewID().String() + `"]}]}`}, 422, "invalid", "/entries/0/depends_on/0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.T = t
			p := b.problem(c.r, c.status, c.code)
			if p.Field != c.field {
				t.Errorf("field %q, want %q", p.Field, c.field)
			}
			if raw, _ := stdjson.Marshal(p); strings.Contains(string(raw), secret) {
				t.Errorf("the caller's value is repeated: %s", raw)
			}
		})
	}
	rec := b.do(req{method: "DELETE", path: "/v1/windows"}, 405, nil)
	if allow := rec.Header().Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "POST") {
		t.Errorf("Allow: %s", allow)
	}
	if rec := b.do(req{method: "OPTIONS", path: "/v1/windows", token: "-"}, 204, nil); !strings.Contains(rec.Header().Get("Allow"), "POST") {
		t.Errorf("OPTIONS: %v", rec.Header())
	}
	if rec := b.do(req{method: "GET", path: "/v1/windows", token: "-"}, 401, nil); rec.Header().Get("WWW-Authenticate") == "" {
		t.Error("a 401 does not say how to authenticate")
	}
	b.do(req{method: "HEAD", path: "/v1/windows/" + w.ID}, 200, nil)
}

// An internal error is logged once in full and shown as nothing. Of a panic the value, which may hold anything, is not logged
// either: where it happened is.
func TestInternalErrorsAreLoggedAndNotShown(t *testing.T) {
	b := newBench(t)
	b.api.echo.GET("/break", func(echoContext) error { return errors.New("pq: secret table") })
	b.api.echo.GET("/panic", func(echoContext) error { panic("secret state") })
	for _, path := range []string{"/break", "/panic"} {
		p := b.problem(req{method: "GET", path: path}, 500, "internal")
		if strings.Contains(p.Detail, "secret") {
			t.Errorf("%+v", p)
		}
	}
	for text, want := range map[string]int{"pq: secret table": 1, "secret state": 0, "TestInternalErrorsAreLoggedAndNotShown.func2": 1} {
		if n := strings.Count(b.log.String(), text); n != want {
			t.Errorf("%q stands in the log %d times, want %d", text, n, want)
		}
	}
	if strings.Contains(b.log.String(), b.admin) {
		t.Error("the log has a token")
	}
}

func TestRollbackThroughTheAPI(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	if w.State != "open" || w.Head.Number != 1 || w.RollbackID != nil || w.SealedAt != nil {
		t.Errorf("%+v", w)
	}
	first := b.record(w.ID, b.draft("/a"))
	b.record(w.ID, b.draft("/b"))
	b.shelf.put("/a", `{"v":"somebody else"}`)
	var plan wire.Plan
	b.do(req{method: "GET", path: "/v1/windows/" + w.ID + "/plan"}, 200, &plan)
	if len(plan.Steps) != 2 || plan.Steps[0].Seq != 2 || plan.Steps[0].Verdict != "undo" || plan.Steps[0].Request.Method != "PUT" ||
		plan.Steps[0].Request.Credential.Variable != "SHELF_TOKEN" || plan.Steps[1].Verdict != "drifted" || plan.Counts["undo"] != 1 {
		t.Errorf("%+v", plan)
	}
	b.record(w.ID, b.draft("/c"))
	b.problem(req{method: "POST", path: "/v1/windows/" + w.ID + "/rollbacks", body: wire.RollbackRequest{Plan: plan.Fingerprint}}, 412, "stale")
	run := b.rollback(w.ID, wire.RollbackRequest{Reason: "drill"})
	if run.State != "finished" || run.Complete || run.Counts.Undone != 2 || run.Counts.Stuck != 1 || run.Partial || run.Reason != "drill" {
		t.Errorf("%+v", run)
	}
	var e wire.Entry
	rec := b.do(req{method: "GET", path: "/v1/entries/" + first.ID}, 200, &e)
	if e.State != "stuck" || e.Reason != "drifted" || e.NowDigest == "" || string(e.Now) != `{"v":"somebody else"}` || e.Next == "" {
		t.Errorf("%s", rec.Body)
	}
	resolve := req{method: "POST", path: "/v1/entries/" + first.ID + "/resolve", body: wire.ResolveRequest{Decision: "undo", Reason: "ours", Seen: "sha256:00"}}
	b.problem(resolve, 412, "stale")
	resolve.body = wire.ResolveRequest{Decision: "undo", Reason: "ours", Seen: e.NowDigest}
	b.do(resolve, 200, &e)
	if e.State != "undone" || e.UndoneAt == nil || len(e.Attempts) == 0 || b.shelf.get("/a") != `{"v":1}` {
		t.Errorf("resolve answers before it was acted on: %+v", e)
	}
	again := b.rollback(w.ID, nil)
	b.do(req{method: "GET", path: "/v1/windows/" + w.ID}, 200, &w)
	if w.State != "rolled_back" || *w.RollbackID != again.ID || again.State != "finished" {
		t.Errorf("%+v, %+v", w, again)
	}
	var v wire.VerifyResult
	b.do(req{method: "POST", path: "/v1/windows/" + w.ID + "/verify"}, 200, &v)
	if len(v.Items) != 3 || v.Items[0].Verdict != "same" {
		t.Errorf("%+v", v)
	}
	file := b.do(req{method: "GET", path: "/v1/windows/" + w.ID + "/journal"}, 200, nil).Body
	rep, err := journal.Verify(file)
	if err != nil || !rep.OK || rep.WindowID != w.ID || rep.Records != w.Head.Number || fmt.Sprintf("%x", rep.Head) != w.Head.Hash {
		t.Errorf("%+v, %v", rep, err)
	}
}
