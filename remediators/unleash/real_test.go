package unleash

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// bench is a feature flag of a real Unleash behind a proxy that can lose answers, with a window of a real
// ledger, and somebody who changes things by hand.
type bench struct {
	*windowtest.Window
	remediatortest.Hand
	t       *testing.T
	url     string
	proxy   *remediatortest.Proxy
	feature string
}

var features atomic.Int64

// setup is an Unleash as the system of these tests; its address is still to be said.
var setup = windowtest.Setup{
	System: "flags", Factory: Factory, Secret: token,
	Config: remediators.SystemConfig{
		Remediator: "unleash", Credential: "env:UNLEASH_TOKEN", Auth: remediators.AuthConfig{Scheme: "header", Name: "Authorization"},
	},
}

// with is setup with another credential.
func with(secret string) windowtest.Setup {
	out := setup
	out.Secret = secret
	return out
}

func start(t *testing.T) *bench {
	t.Helper()
	url := startUnleash(t)
	proxy := remediatortest.StartProxy(t, url)
	b := &bench{
		Window: setup.At(proxy.URL).Open(t), Hand: remediatortest.Hand{T: t, URL: url + api, Header: map[string]string{"Authorization": token}},
		t: t, url: url, proxy: proxy, feature: fmt.Sprintf("net.bulk-api%d", features.Add(1)),
	}
	b.Must("POST", "/projects/default/features", `{"name":"`+b.feature+`","type":"release"}`)
	return b
}

func (b *bench) env() string {
	return "/projects/default/features/" + b.feature + "/environments/development"
}

// shows reads the toggle: its switch, and its strategies as "name" or "name disabled".
func (b *bench) shows() string {
	b.t.Helper()
	t := parseToggle(json.RawMessage(b.Must("GET", b.env(), "")))
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

func (b *bench) on() { b.t.Helper(); b.Must("POST", b.env()+"/on", "") }

// TestToggleOn: `on` makes a strategy; the undo takes it away again, however much the script said of it.
func TestToggleOn(t *testing.T) {
	remediatortest.Proves(t, KindToggle, "update undone")
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
	if !windowtest.Warned(e, "strategies before are not known") || e.Reversible != ledger.ReversibleEquivalent {
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
	off.Must("POST", off.env()+"/off", "")
	off.Rollback()
	off.Want(e, "undone undone")
	off.wantShows("enabled=true flexibleRollout")
}

// strategy adds a strategy by hand and returns its path.
func (b *bench) strategy(name string) string {
	b.t.Helper()
	var s struct{ ID string }
	if err := json.Unmarshal([]byte(b.Must("POST", b.env()+"/strategies", `{"name":"`+name+`"}`)), &s); err != nil {
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
				b.Must("PATCH", path, `[{"op":"replace","path":"/disabled","value":true}]`)
				e := b.captured(after, func() { b.Must("POST", b.env()+"/on"+query, "") })
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
		b.Must("PUT", path, `{"name":"flexibleRollout","parameters":{"rollout":"10","stickiness":"default","groupId":"x"},"constraints":[]}`)
		b.on()
	})
	b.Rollback()
	b.Want(e, "undone undone")
	b.WantVerify("same")
	b.wantShows("enabled=false flexibleRollout")
}

func TestToggleDriftIsKept(t *testing.T) {
	remediatortest.Proves(t, KindToggle, "drift")
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
	rem := setup.At(moved.url).Bind(t)
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
	b.Must("POST", b.env()+"/off", "")
	b.Rollback()
	b.Want(e, "stuck drifted")
	b.Resolve(e, ledger.DecideUndo)
	b.Want(e, "undone undone")
	b.wantShows("enabled=false")
}

func TestArchivedAndGone(t *testing.T) {
	remediatortest.Proves(t, KindToggle, "gone")
	b := start(t)
	e := b.captured("", b.on)
	b.Must("DELETE", "/projects/default/features/"+b.feature, "")
	steps := b.WantPlan("blocked")
	if !strings.Contains(steps[0].Detail, "archived") {
		t.Errorf("the plan says %q", steps[0].Detail)
	}
	b.Rollback()
	if got := b.Want(e, "stuck blocked"); !strings.Contains(got.Detail, "revive it and retry") {
		t.Errorf("detail %q", got.Detail)
	}
	rem := setup.At(b.url).Bind(t)
	// The undo on a look from before it was archived: Unleash answers 400 ArchivedFeatureError.
	_, err := rem.Undo(t.Context(), e, ledger.Look{Known: true, Now: e.After})
	if err == nil || !strings.Contains(err.Error(), "archived") {
		t.Errorf("undo of an archived toggle: %v", err)
	}

	b.Must("DELETE", "/archive/"+b.feature, "")
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
	b.Must("DELETE", "/projects/default/features/"+b.feature, "")
	b.Rollback()
	b.Want(e, "stuck blocked")
	b.Must("POST", "/projects/default/revive", `{"features":["`+b.feature+`"]}`)
	b.on()
	b.Resolve(e, ledger.DecideRetry)
	b.Want(e, "undone undone")
	b.wantShows("enabled=false")
}

// TestToggleAnswersLost: whichever of the two calls of an undo loses its answer, the next look sees how far it came.
func TestToggleAnswersLost(t *testing.T) {
	remediatortest.Proves(t, KindToggle, "lost")
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
	bound := setup.At(b.url)
	bound.Config.Allow = []string{"GET /api/admin/*", "POST /api/admin/projects/*"}
	rem := bound.Bind(t)
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
	rem := setup.At("http://127.0.0.1:1").Bind(t)
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
