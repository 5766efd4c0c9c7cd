package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
	"sideledger/remediators/windowtest"
)

// A contract is one effect on one kind of a profile: how to make it, and what its undo comes to.
type contract struct {
	kind   string
	action ledger.Action
	name   string // tells contracts of one kind and action apart
	card   func() cards.Card
	judge  func(t *testing.T, s *cards.Server) // holds the calls to the vendor's own description; nil: there is none here

	outcome ledger.Outcome
	asked   bool // a person is asked before its undo
	guarded bool // the undo is conditional: a change between the look and the undo is left alone
	// hindersDelete: after this update a delete cannot be taken back any more.
	hindersDelete bool

	// seedFunc makes the resource that an update or a delete is about, and names it. For a create it makes what has to
	// be there before.
	seedFunc func(h hand) (resource string)
	// effectFunc makes the effect. A create names what it made.
	effectFunc func(h hand, resource string) string
	driftFunc  func(h hand, resource string) // somebody else's change after it; nil: there is none that can be told
	removeFunc func(h hand, resource string) // somebody else removes it; a create and an update have one
	kept       string                        // below which path the third party keeps such resources; empty: elsewhere
	checkFunc  func(t *testing.T, s *cards.Server)
}

// hand makes the calls of scripts and of other people.
type hand struct {
	remediatortest.Hand
	s *cards.Server
}

// member makes a call and returns one member of the answer.
func (h hand) member(member, method, path, body string) string {
	h.T.Helper()
	return h.pick("/"+member, method, path, body)
}

// pick makes a call and returns what stands at a JSON pointer of the answer.
func (h hand) pick(pointer, method, path, body string) string {
	h.T.Helper()
	doc := json.RawMessage(h.Must(method, path, body))
	tokens, _ := parsePointer(pointer)
	v, ok := at(doc, tokens)
	if !json.Valid(doc) || !ok {
		h.T.Fatalf("%s %s answered without %s: %s", method, path, pointer, doc)
	}
	return string(v)
}

// named returns a member of a resource as text.
func named(resource, member string) string {
	v, _ := at(json.RawMessage(resource), []string{member})
	s, _ := text(v)
	return s
}

// systemOf reads the system that a profile shows as its example, for the third party at url.
func systemOf(t testing.TB, profile string) windowtest.Setup {
	t.Helper()
	p, err := loadProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	var systems map[string]remediators.SystemConfig
	if err := yaml.Unmarshal([]byte(p.System), &systems); err != nil || len(systems) != 1 {
		t.Fatalf("profile %s: its system is %d systems (%v)", profile, len(systems), err)
	}
	for name, c := range systems {
		if err := c.Validate(name); err != nil || filepath.Base(c.Profile) != filepath.Base(profile) {
			t.Fatalf("profile %s: its system is not one of it: %v", profile, err)
		}
		c.Profile = profile
		c.Rate, c.Credential = remediators.RateConfig{}, "env:CREDENTIAL"
		setup := windowtest.Setup{System: name, Factory: Factory, Config: c}
		if c.Auth.Scheme == "basic" || c.Auth.Scheme == "sigv4" {
			setup.Secret = cards.User + ":" + remediatortest.Secret
		}
		return setup
	}
	return windowtest.Setup{}
}

// A scene is a third party at which the effect of a contract was made.
type scene struct {
	contract
	t        *testing.T
	s        *cards.Server
	h        hand
	w        *windowtest.Window
	rem      ledger.Remediator
	resource string
	draft    ledger.Draft
}

// profile is the name of the contract's profile, or the path of the example.
func (c contract) profile() string {
	name := strings.SplitN(c.kind, ".", 2)[0]
	if slices.Contains(profileNames(), name) {
		return name
	}
	path, _ := filepath.Abs("../../docs/examples/profile/" + name + ".yaml")
	return path
}

func (c contract) title() string {
	return strings.TrimSuffix(c.kind+"/"+string(c.action)+"/"+c.name, "/")
}

// set starts the third party and makes what is there before the effect.
func (c contract) set(t *testing.T) *scene {
	t.Helper()
	card := c.card()
	s := cards.Start(t, card, remediatortest.Secret)
	if c.judge != nil {
		c.judge(t, s)
	}
	setup := systemOf(t, c.profile()).At(s.URL)
	header := maps.Clone(card.Need)
	if header == nil {
		header = map[string]string{}
	}
	header[card.Credential[0]] = card.Authorization(remediatortest.Secret)
	h := hand{remediatortest.Hand{T: t, URL: s.URL, Header: header}, s}
	return &scene{
		contract: c, t: t, s: s, h: h, w: setup.Open(t), rem: setup.Bind(t), resource: c.seedFunc(h),
		draft: ledger.Draft{System: setup.System, Kind: c.kind, Action: c.action, State: ledger.EntryApplied},
	}
}

// begin is set, and then the effect, with its images as they are captured.
func (c contract) begin(t *testing.T) *scene {
	t.Helper()
	sc := c.set(t)
	sc.draft = sc.effect(c)
	return sc
}

// effect makes the effect of a contract on the scene's resource and drafts its entry.
func (sc *scene) effect(c contract) ledger.Draft {
	sc.t.Helper()
	d := sc.draft
	d.ID, d.Action, d.Before, d.After = ledger.NewID(), c.action, ledger.Absent, ledger.Absent
	if c.action != ledger.ActionCreate {
		d.Before = sc.look(d).Now
	}
	if made := c.effectFunc(sc.h, sc.resource); c.action == ledger.ActionCreate {
		sc.resource = made
	}
	d.Resource = json.RawMessage(sc.resource)
	if c.action != ledger.ActionDelete {
		d.After = sc.look(d).Now
	}
	return d
}

func (sc *scene) look(d ledger.Draft) ledger.Look {
	sc.t.Helper()
	d.Resource = json.RawMessage(sc.resource)
	seen, err := sc.rem.Look(sc.t.Context(), &ledger.Entry{Draft: d})
	if err != nil {
		sc.t.Fatalf("look: %v", err)
	}
	return seen
}

// record records the effect, and answers the question where one is asked.
func (sc *scene) record() *ledger.Entry {
	sc.t.Helper()
	e := sc.w.Record(sc.draft)
	if strings.Contains(fmt.Sprint(e.Warnings), "nothing takes this back") {
		sc.t.Fatalf("it is not taken back: %s", e.Warnings)
	}
	return e
}

// rollback rolls back, and has the person answer who is asked.
func (sc *scene) rollback(e *ledger.Entry) {
	sc.t.Helper()
	sc.w.Rollback()
	if sc.asked && sc.w.Entry(e).Reason == ledger.ReasonBlocked && strings.HasPrefix(sc.w.Entry(e).Detail, "asked first") {
		sc.w.Resolve(e, ledger.DecideUndo)
	}
}

// TestContract takes every effect of every profile through a real ledger, against a third party that enforces its card.
func TestContract(t *testing.T) {
	for _, c := range raced(append(contracts(), exampleContracts()...)) {
		t.Run(c.title(), func(t *testing.T) {
			t.Parallel()
			t.Run("undone", c.testUndone)
			t.Run("drift", c.testDrift)
			t.Run("race", c.testRace)
			t.Run("gone", c.testGone)
			t.Run("lost answer", c.testLost)
			t.Run("refused", c.testRefused)
			t.Run("fails once", c.testFailsOnce)
		})
	}
}

// proves says what a contract proves whose calls the vendor's own mock judges too.
func (c contract) proves(t *testing.T, what string) {
	t.Helper()
	if c.kind == "stripe.webhook_endpoint" {
		remediatortest.Proves(t, c.kind, what)
	}
}

func (c contract) testUndone(t *testing.T) {
	c.proves(t, string(c.action)+" "+string(c.outcome))
	sc := c.begin(t)
	before := sc.draft.Before
	n := sc.s.Count(c.kept)
	var e *ledger.Entry
	if c.asked {
		e = sc.record()
		sc.w.WantPlan("blocked")
		sc.w.Rollback()
		sc.w.Want(e, "stuck blocked")
		sc.w.Resolve(e, ledger.DecideUndo)
		e = sc.w.Want(e, "undone "+string(c.outcome))
	} else {
		e = sc.w.TakeBack(sc.draft, c.outcome, sc.s.Changes)
	}
	sc.resource = string(e.Where())
	now := sc.look(e.Draft)
	scope := now.Scope
	if cmp := ledger.Compare(before, sc.draft.After, now.Now, scope); !cmp.Before {
		t.Errorf("it shows %s, want %s", now.Now.JSON, before.JSON)
	}
	if want := map[ledger.Action]int{ledger.ActionCreate: n - 1, ledger.ActionUpdate: n, ledger.ActionDelete: n + 1}[c.action]; c.kept != "" && sc.s.Count(c.kept) != want {
		t.Errorf("%d are kept below %s, want %d", sc.s.Count(c.kept), c.kept, want)
	}
	if c.checkFunc != nil {
		c.checkFunc(t, sc.s)
	}
	sc.leaksNothing()
}

// leaksNothing looks for the credential, and the secrets that are the same here, in everything that was kept.
func (sc *scene) leaksNothing() {
	sc.t.Helper()
	records, err := sc.w.Ledger.Records(sc.t.Context(), ledger.RecordQuery{WindowID: sc.w.ID, Limit: 10000})
	if err != nil {
		sc.t.Fatal(err)
	}
	entries, err := sc.w.Ledger.Entries(sc.t.Context(), ledger.EntryQuery{WindowID: sc.w.ID, Limit: 10000})
	if err != nil {
		sc.t.Fatal(err)
	}
	for _, r := range records {
		if strings.Contains(string(r.Body), remediatortest.Secret) {
			sc.t.Errorf("the journal has a secret: %s", r.Body)
		}
	}
	if raw, _ := json.Marshal(entries); strings.Contains(string(raw), remediatortest.Secret) {
		sc.t.Errorf("an entry has a secret: %s", raw)
	}
}

func (c contract) testDrift(t *testing.T) {
	if c.driftFunc == nil {
		return // nothing that somebody else could do to it can be seen
	}
	c.proves(t, "drift")
	sc := c.begin(t)
	e := sc.record()
	c.driftFunc(sc.h, sc.resource)
	sent := sc.s.Changes()
	sc.w.Rollback()
	sc.w.Want(e, "stuck drifted")
	if sc.s.Changes() != sent {
		t.Error("drift was not left alone")
	}
}

// testRace changes the resource between the look and the undo.
func (c contract) testRace(t *testing.T) {
	if !c.guarded {
		return // what such a third party keeps is overwritten: there is no condition
	}
	sc := c.begin(t)
	e := &ledger.Entry{Draft: sc.draft, State: ledger.EntryApplied}
	if c.asked {
		e.Decision = &ledger.Decision{Kind: ledger.DecideUndo}
	}
	seen := sc.look(e.Draft)
	c.driftFunc(sc.h, sc.resource)
	others := sc.look(e.Draft)
	ans, err := sc.rem.Undo(t.Context(), e, seen)
	if err != nil || ans.Class != ledger.AnswerConflict && ans.Class != ledger.AnswerRefused {
		t.Errorf("a change in between is answered %+v, %v", ans, err)
	}
	if now := sc.look(e.Draft); string(now.Now.JSON) != string(others.Now.JSON) {
		t.Errorf("a change in between was overwritten: %s, was %s", now.Now.JSON, others.Now.JSON)
	}
}

func (c contract) testGone(t *testing.T) {
	if c.action == ledger.ActionDelete {
		return
	}
	c.proves(t, "gone")
	for _, hidden := range []bool{true, false} {
		sc := c.begin(t)
		e := sc.record()
		c.removeFunc(sc.h, sc.resource)
		sent := sc.s.Changes()
		sc.s.Hide(hidden)
		sc.w.Rollback()
		switch {
		case !hidden && c.action == ledger.ActionCreate:
			sc.w.Want(e, "undone already_undone")
		case !hidden:
			sc.w.Want(e, "stuck drifted")
		case sc.w.Entry(e).State == ledger.EntryUndone:
			t.Error("a 404 that hides everything was believed")
		}
		if sc.s.Changes() != sent {
			t.Error("something was sent for what is gone")
		}
	}
}

// testLost loses the answer of the undo, after its effect.
func (c contract) testLost(t *testing.T) {
	c.proves(t, "lost")
	sc := c.begin(t)
	e := sc.record()
	sent := sc.s.Changes()
	sc.s.LoseNext()
	sc.rollback(e)
	want := "undone " + string(c.outcome)
	if c.outcome == ledger.OutcomeCompensated {
		want = "stuck in_doubt" // nobody knows the new id, and nobody makes a second one
	}
	sc.w.Want(e, want)
	if n := sc.s.Changes() - sent; n != 1 {
		t.Errorf("%d calls changed something, want 1", n)
	}
}

// testRefused: what each refusal means, and how long it asks to wait.
func (c contract) testRefused(t *testing.T) {
	sc := c.begin(t)
	e := &ledger.Entry{Draft: sc.draft, State: ledger.EntryApplied}
	if c.asked {
		e.Decision = &ledger.Decision{Kind: ledger.DecideUndo}
	}
	for status, want := range map[int]string{401: "auth", 403: "auth", 429: "retry", 500: "failed", 400: "refused"} {
		sc.s.FailNext(status, 7*time.Second)
		ans, err := sc.rem.Undo(t.Context(), e, sc.look(e.Draft))
		got, wait := string(ans.Class), ans.RetryAfter
		if class, _ := classOf(err); class != "" {
			got = string(class)
		}
		if got != want || (status == 429) != (wait > 5*time.Second && wait <= 7*time.Second) {
			t.Errorf("%d is %s (%+v, %v), want %s", status, got, ans, err, want)
		}
	}
}

// testFailsOnce: a 500 that did nothing is looked into, and the undo is sent again.
func (c contract) testFailsOnce(t *testing.T) {
	sc := c.begin(t)
	e := sc.record()
	sc.s.FailNext(500, 0)
	sc.rollback(e)
	sc.w.Want(e, "undone "+string(c.outcome))
}

// TestContractsOfOneResource: what was recorded under the old id is undone under the one that it came back with.
func TestContractsOfOneResource(t *testing.T) {
	list := contracts()
	anew := slices.DeleteFunc(slices.Clone(list), func(c contract) bool { return c.outcome != ledger.OutcomeCompensated })
	for _, c := range raced(anew) {
		t.Run(c.title(), func(t *testing.T) {
			i := slices.IndexFunc(list, func(o contract) bool { return o.kind == c.kind && o.action == ledger.ActionUpdate && !o.hindersDelete })
			if i < 0 {
				t.Fatal("no update of this kind has a contract")
			}
			sc := c.set(t)
			before := sc.look(sc.draft)
			older := sc.w.Record(sc.effect(list[i]))
			newer := sc.w.Record(sc.effect(c))
			sc.rollback(newer)
			sc.w.Want(newer, "undone compensated")
			sc.w.Want(older, "undone undone")
			sc.resource = string(sc.w.Entry(newer).Where())
			now := sc.look(sc.draft)
			if cmp := ledger.Compare(before.Now, ledger.Image{}, now.Now, now.Scope); !cmp.Before {
				t.Errorf("it shows %s, want %s", now.Now.JSON, before.Now.JSON)
			}
			sc.leaksNothing()
		})
	}
}

// TestEveryKindHasItsContracts: no profile without a third party that enforces its card, and no way to undo that nobody takes.
func TestEveryKindHasItsContracts(t *testing.T) {
	have := map[string]int{}
	for _, c := range contracts() {
		have[c.kind+"/"+string(c.action)]++
	}
	for _, name := range profileNames() {
		if name == "caddy" || name == "rabbitmq" {
			continue // a real server is behind each: see their _real_test.go
		}
		p, err := loadProfile(name)
		if err != nil {
			t.Fatal(err)
		}
		for kind, k := range p.kinds {
			for action, ways := range k.byAction {
				if n := have[kind+"/"+string(action)]; n < len(ways) {
					t.Errorf("%s has %d ways to undo a %s, and %d contracts", kind, len(ways), action, n)
				}
			}
		}
	}
}
