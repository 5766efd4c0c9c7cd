package unleash

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

// bench is a feature flag of a real Unleash behind a proxy that can lose answers, with a window of a real
// ledger, and somebody who changes things by hand.
type bench struct {
	*remediatortest.Window
	t       *testing.T
	url     string
	proxy   *remediatortest.Proxy
	feature string
}

var features atomic.Int64

func start(t *testing.T) *bench {
	t.Helper()
	url := startUnleash(t)
	proxy := remediatortest.StartProxy(t, url)
	b := &bench{Window: openWindow(t, proxy.URL), t: t, url: url, proxy: proxy, feature: fmt.Sprintf("net.bulk-api%d", features.Add(1))}
	b.must("POST", "/projects/default/features", `{"name":"`+b.feature+`","type":"release"}`)
	return b
}

func newRegistry(t *testing.T, c remediators.SystemConfig, credential string) *remediators.Registry {
	t.Helper()
	c.Remediator, c.AllowPrivate, c.Credential = "unleash", true, "env:UNLEASH_TOKEN"
	c.Auth = remediators.AuthConfig{Scheme: "header", Name: "Authorization"}
	reg, _, err := remediators.NewRegistry(remediators.Options{
		Systems: map[string]remediators.SystemConfig{"flags": c}, Factories: map[string]remediators.Factory{"unleash": Factory},
		Clock: time.Now, Log: slog.New(slog.DiscardHandler), Getenv: func(string) string { return credential },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	return reg
}

func openWindow(t *testing.T, url string) *remediatortest.Window {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	reg := newRegistry(t, remediators.SystemConfig{URL: url, Retry: remediators.RetryConfig{Base: time.Millisecond, Cap: 10 * time.Millisecond, Attempts: 3}}, token)
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "l.db"), Clock: time.Now, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	waker := runner.NewWaker()
	l := ledger.New(ledger.Config{Store: store, Systems: reg, Clock: time.Now, Log: quiet, Waker: waker})
	run := runner.New(runner.Config{
		Ledger: l, Waker: waker, Clock: time.Now, Log: quiet, Sole: true, JitterFunc: func(d time.Duration) time.Duration { return d },
	})
	return remediatortest.OpenWindow(t, l, run.RunOne)
}

// call is what a script or somebody else does at Unleash itself.
func (b *bench) call(method, path, body string) (status int, answer string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+api+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func (b *bench) must(method, path, body string) string {
	b.t.Helper()
	status, answer := b.call(method, path, body)
	if status/100 != 2 {
		b.t.Fatalf("%s %s answered %d: %s", method, path, status, answer)
	}
	return answer
}

func (b *bench) env() string {
	return "/projects/default/features/" + b.feature + "/environments/development"
}

// shows reads the toggle: its switch, and its strategies as "name" or "name disabled".
func (b *bench) shows() string {
	b.t.Helper()
	t := parseToggle(json.RawMessage(b.must("GET", b.env(), "")))
	out := fmt.Sprintf("enabled=%t", t.enabled)
	for _, s := range t.strategies {
		out += " " + strings.Trim(string(s.doc["name"]), `"`)
		if s.disabled {
			out += "(disabled)"
		}
	}
	return out
}

func (b *bench) wantShows(want string) {
	b.t.Helper()
	if got := b.shows(); got != want {
		b.t.Errorf("Unleash shows %s, want %s", got, want)
	}
}

// toggled is an applied effect on the bench's toggle.
func (b *bench) toggled(before, after string) ledger.Draft {
	return ledger.Draft{
		System: "flags", Kind: KindToggle, Action: ledger.ActionUpdate, State: ledger.EntryApplied,
		Resource: json.RawMessage(`{"project":"default","feature":"` + b.feature + `","environment":"development"}`),
		Before:   ledger.Image{JSON: json.RawMessage(before)}, After: ledger.Image{JSON: json.RawMessage(after)},
	}
}

// captured records an intent whose before-image the ledger takes, makes the effect, and reports it.
func (b *bench) captured(after string, effect func()) *ledger.Entry {
	b.t.Helper()
	intent := b.toggled("", "")
	intent.State, intent.Capture = ledger.EntryIntended, true
	e := b.Record(intent)
	effect()
	return b.Applied(e, "", after)
}

func (b *bench) on() { b.t.Helper(); b.must("POST", b.env()+"/on", "") }

func warned(e *ledger.Entry, words string) bool {
	return slices.ContainsFunc(e.Warnings, func(w string) bool { return strings.Contains(w, words) })
}

// TestToggleOn: `on` makes a strategy; the undo takes it away again, however much the script said of it.
func TestToggleOn(t *testing.T) {
	for name, after := range map[string]string{"captured": "", "before captured": `{"enabled":true}`} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			e := b.captured(after, b.on)
			b.wantShows("enabled=true flexibleRollout")
			steps := b.WantPlan("undo")
			if r := steps[0].Request; !strings.HasSuffix(r.URL, "/off") || !strings.Contains(r.Summary, "then ") {
				t.Errorf("the plan would send %s %s, %q", r.Method, r.URL, r.Summary)
			}
			b.WantVerify("same")
			if run := b.Rollback(); !run.Complete {
				t.Errorf("counts %+v", run.Counts)
			}
			b.Want(e, "undone undone")
			b.wantShows("enabled=false")
			b.WantVerify("same")
			n := len(b.proxy.Changes())
			if again := b.Rollback(); !again.Complete || len(b.proxy.Changes()) != n {
				t.Errorf("a second rollback changed something: %v", b.proxy.Changes())
			}
		})
	}
}

// TestToggleSaidByTheScript: what the entry does not say, the undo leaves alone, and the recording says so.
func TestToggleSaidByTheScript(t *testing.T) {
	b := start(t)
	b.on()
	e := b.Record(b.toggled(`{"enabled":false}`, `{"enabled":true}`))
	if !warned(e, "strategies before are not known") || e.Reversible != ledger.ReversibleEquivalent {
		t.Errorf("graded %s, warned %q", e.Reversible, e.Warnings)
	}
	b.Rollback()
	b.Want(e, "undone undone")
	b.wantShows("enabled=false flexibleRollout")
	if c := b.proxy.Changes(); len(c) != 1 || !strings.HasSuffix(c[0], "/off") {
		t.Errorf("sent %v", c)
	}

	off := start(t)
	off.on()
	e = off.Record(off.toggled(`{"enabled":true}`, `{"enabled":false}`))
	off.must("POST", off.env()+"/off", "")
	off.Rollback()
	off.Want(e, "undone undone")
	off.wantShows("enabled=true flexibleRollout")
}

// strategy adds a strategy by hand and returns its path.
func (b *bench) strategy(name string) string {
	b.t.Helper()
	var s struct{ ID string }
	if err := json.Unmarshal([]byte(b.must("POST", b.env()+"/strategies", `{"name":"`+name+`"}`)), &s); err != nil {
		b.t.Fatal(err)
	}
	return b.env() + "/strategies/" + s.ID
}

// TestToggleOnOverDisabled: with only disabled strategies `on` adds one, or enables them if it is asked to.
func TestToggleOnOverDisabled(t *testing.T) {
	for name, query := range map[string]string{"adds": "", "enables": "?shouldActivateDisabledStrategies=true"} {
		for said, after := range map[string]string{"captured": "", "said": `{"enabled":true}`} {
			t.Run(name+" "+said, func(t *testing.T) {
				b := start(t)
				path := b.strategy("default")
				b.must("PATCH", path, `[{"op":"replace","path":"/disabled","value":true}]`)
				e := b.captured(after, func() { b.must("POST", b.env()+"/on"+query, "") })
				b.WantPlan("undo")
				b.Rollback()
				b.Want(e, "undone undone")
				b.wantShows("enabled=false default(disabled)")
				b.WantVerify("same")
			})
		}
	}
}

// TestStrategyChanged: a strategy that the upgrade changed goes back to what it was, and one that was there stays.
func TestStrategyChanged(t *testing.T) {
	b := start(t)
	path := b.strategy("flexibleRollout")
	e := b.captured("", func() {
		b.must("PUT", path, `{"name":"flexibleRollout","parameters":{"rollout":"10","stickiness":"default","groupId":"x"},"constraints":[]}`)
		b.on()
	})
	b.Rollback()
	b.Want(e, "undone undone")
	b.WantVerify("same")
	b.wantShows("enabled=false flexibleRollout")
}

func TestToggleDriftIsKept(t *testing.T) {
	for _, after := range []string{"", `{"enabled":true}`} {
		b := start(t)
		e := b.captured(after, b.on)
		b.strategy("default")
		b.WantPlan("drifted")
		b.Rollback()
		b.Want(e, "stuck drifted")
		b.wantShows("enabled=true flexibleRollout default")
		if n := len(b.proxy.Changes()); n != 0 {
			t.Errorf("%d calls over drift", n)
		}
	}
	// Between the look and the undo: the strategies are read once more before anything is sent.
	moved := start(t)
	late := moved.captured(`{"enabled":true}`, moved.on)
	_, rem, err := newRegistry(t, remediators.SystemConfig{URL: moved.url}, token).Find("flags")
	if err != nil {
		t.Fatal(err)
	}
	seen, err := rem.Look(t.Context(), late)
	if err != nil {
		t.Fatal(err)
	}
	moved.strategy("default")
	if ans, err := rem.Undo(t.Context(), late, seen); err != nil || ans.Class != ledger.AnswerConflict {
		t.Errorf("undo of what moved: %+v, %v", ans, err)
	}
	moved.wantShows("enabled=true flexibleRollout default")

	// Switched off by somebody else, with the strategy left: not ours to finish.
	b := start(t)
	e := b.captured("", b.on)
	b.must("POST", b.env()+"/off", "")
	b.Rollback()
	b.Want(e, "stuck drifted")
	b.Resolve(e, ledger.DecideUndo)
	b.Want(e, "undone undone")
	b.wantShows("enabled=false")
}

func TestArchivedAndGone(t *testing.T) {
	b := start(t)
	e := b.captured("", b.on)
	b.must("DELETE", "/projects/default/features/"+b.feature, "")
	steps := b.WantPlan("blocked")
	if !strings.Contains(steps[0].Detail, "archived") {
		t.Errorf("the plan says %q", steps[0].Detail)
	}
	b.Rollback()
	if got := b.Want(e, "stuck blocked"); !strings.Contains(got.Detail, "revive it and retry") {
		t.Errorf("detail %q", got.Detail)
	}
	reg := newRegistry(t, remediators.SystemConfig{URL: b.url}, token)
	_, rem, err := reg.Find("flags")
	if err != nil {
		t.Fatal(err)
	}
	// The undo on a look from before it was archived: Unleash answers 400 ArchivedFeatureError.
	_, err = rem.Undo(t.Context(), e, ledger.Look{Known: true, Now: e.After})
	if err == nil || !strings.Contains(err.Error(), "archived") {
		t.Errorf("undo of an archived toggle: %v", err)
	}

	b.must("DELETE", "/archive/"+b.feature, "")
	seen, err := rem.Look(t.Context(), e)
	if err != nil || !seen.Now.IsAbsent() || !seen.Proven {
		t.Errorf("a deleted flag is seen as %+v, %v", seen, err)
	}
	b.Resolve(e, ledger.DecideRetry)
	b.Want(e, "stuck drifted")

	elsewhere := *e
	elsewhere.Resource = json.RawMessage(strings.Replace(string(e.Resource), `"default"`, `"hidden"`, 1))
	if seen, err := rem.Look(t.Context(), &elsewhere); err != nil || !seen.Now.IsAbsent() || seen.Proven {
		t.Errorf("in a project that is not visible: %+v, %v", seen, err)
	}
}

func TestRevived(t *testing.T) {
	b := start(t)
	e := b.captured("", b.on)
	b.must("DELETE", "/projects/default/features/"+b.feature, "")
	b.Rollback()
	b.Want(e, "stuck blocked")
	b.must("POST", "/projects/default/revive", `{"features":["`+b.feature+`"]}`)
	b.on()
	b.Resolve(e, ledger.DecideRetry)
	b.Want(e, "undone undone")
	b.wantShows("enabled=false")
}

// TestToggleAnswersLost: whichever of the two calls of an undo loses its answer, the next look sees how far it came.
func TestToggleAnswersLost(t *testing.T) {
	for n := 1; n <= 2; n++ {
		for _, after := range []string{"", `{"enabled":true}`} {
			b := start(t)
			e := b.captured(after, b.on)
			b.proxy.Lose(n)
			run := b.Rollback()
			b.Want(e, "undone undone")
			b.wantShows("enabled=false")
			if !run.Complete {
				t.Errorf("answer %d lost: %+v after %v", n, run.Counts, b.proxy.Changes())
			}
		}
	}
}

// TestToggleForbidden: a change request or a missing permission answers 403, and the entry is blocked.
func TestToggleForbidden(t *testing.T) {
	b := start(t)
	e := b.captured("", b.on)
	b.proxy.Refuse("POST "+api+b.env()+"/off", http.StatusForbidden)
	b.Rollback()
	b.Want(e, "stuck blocked")
	b.wantShows("enabled=true flexibleRollout")
	b.proxy.Refuse("POST "+api+b.env()+"/off", 0)
	b.Rollback()
	b.Want(e, "undone undone")
	b.wantShows("enabled=false")
}

// TestToggleAllow: an allow list without DELETE is said at the recording, and stops the undo before its first call.
func TestToggleAllow(t *testing.T) {
	b := start(t)
	reg := newRegistry(t, remediators.SystemConfig{URL: b.url, Allow: []string{"GET /api/admin/*", "POST /api/admin/projects/*"}}, token)
	_, rem, err := reg.Find("flags")
	if err != nil {
		t.Fatal(err)
	}
	e := b.captured("", b.on)
	g, err := rem.Check(&e.Draft)
	if err != nil || !slices.ContainsFunc(g.Warnings, func(w string) bool { return strings.Contains(w, "no DELETE on strategies") }) {
		t.Errorf("warned %q, %v", g.Warnings, err)
	}
	if _, err := rem.Undo(t.Context(), e, ledger.Look{Known: true, Now: e.After}); err == nil {
		t.Error("half an undo was sent")
	}
	b.wantShows("enabled=true flexibleRollout")
	plain := b.toggled(`{"enabled":false}`, `{"enabled":true}`)
	if g, err := rem.Check(&plain); err != nil || len(g.Warnings) != 1 {
		t.Errorf("warned %q, %v", g.Warnings, err)
	}
}

func TestToggleIsStrict(t *testing.T) {
	reg := newRegistry(t, remediators.SystemConfig{URL: "http://127.0.0.1:1"}, token)
	_, rem, err := reg.Find("flags")
	if err != nil {
		t.Fatal(err)
	}
	good := (&bench{feature: "f"}).toggled(`{"enabled":false}`, `{"enabled":true}`)
	if _, err := rem.Check(&good); err != nil {
		t.Fatal(err)
	}
	for name, bend := range map[string]func(*ledger.Draft){
		"kind":       func(d *ledger.Draft) { d.Kind = "unleash.other" },
		"create":     func(d *ledger.Draft) { d.Action = ledger.ActionCreate },
		"undo":       func(d *ledger.Draft) { d.Undo = json.RawMessage(`{}`) },
		"no feature": func(d *ledger.Draft) { d.Resource = json.RawMessage(`{"project":"p","environment":"e"}`) },
		"path": func(d *ledger.Draft) {
			d.Resource = json.RawMessage(`{"project":"..","feature":"f","environment":"e"}`)
		},
		"member": func(d *ledger.Draft) {
			d.Resource = json.RawMessage(`{"project":"p","feature":"f","environment":"e","x":1}`)
		},
		"image": func(d *ledger.Draft) { d.Before = ledger.Image{JSON: json.RawMessage(`{"enabled":1}`)} },
		"no id": func(d *ledger.Draft) {
			d.After = ledger.Image{JSON: json.RawMessage(`{"enabled":true,"strategies":[{"name":"x"}]}`)}
		},
	} {
		d := good
		bend(&d)
		if _, err := rem.Check(&d); ledger.CodeOf(err) != ledger.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
