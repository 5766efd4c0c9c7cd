package remediatortest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
)

// Secret is the credential that [Run] has the remediator use, and looks for in everything it says.
const Secret = "canary-7f3a-credential"

// A Subject is a remediator under test.
type Subject struct {
	// BindFunc makes the remediator of a system at third.URL whose credential is [Secret].
	BindFunc func(t *testing.T, third *Third) ledger.Remediator
	// BindToFunc is BindFunc for [Grade], which has no *testing.T.
	BindToFunc func(t T, third *Third) ledger.Remediator
	// EntryFunc makes an applied entry that changed the document at path, with all that its undo and its
	// look need, proof of absence included. "" is absence.
	EntryFunc func(action ledger.Action, path, before, after string) *ledger.Entry

	// What follows is for remediators of a certain third party.

	Dialect Dialect         // the API that the third party speaks; nil: plain documents at paths
	Actions []ledger.Action // the effects that there are; nil: all three
	// DocFunc makes a document of the third party for a path, one for each value, "old" or "new" or another
	// that stands in it; nil: {"v": VALUE}, and documents come back byte for byte.
	DocFunc func(path, value string) string
}

// third starts the third party of a test.
func (s Subject) third(t T) *Third {
	th := NewThird(t)
	th.Dialect = s.Dialect
	return th
}

// doc is the document at a path with a value in it; "" stays absence.
func (s Subject) doc(path, value string) string {
	switch {
	case value == "":
		return ""
	case s.DocFunc == nil:
		return `{"v":"` + value + `"}`
	default:
		return s.DocFunc(path, value)
	}
}

// actions are the kinds of effects with their images.
func (s Subject) actions(path string) (list []change) {
	for _, c := range []change{
		{ledger.ActionUpdate, "old", "new"}, {ledger.ActionCreate, "", "new"}, {ledger.ActionDelete, "old", ""},
	} {
		if s.Actions == nil || slices.Contains(s.Actions, c.action) {
			list = append(list, change{c.action, s.doc(path, c.before), s.doc(path, c.after)})
		}
	}
	return list
}

// A change is one effect with its images; "" is absence.
type change struct {
	action        ledger.Action
	before, after string
}

// update sets up the update that most tests are about.
func (s Subject) update(th *Third) *ledger.Entry {
	th.Set("/r/1", s.doc("/r/1", "new"))
	return s.EntryFunc(ledger.ActionUpdate, "/r/1", s.doc("/r/1", "old"), s.doc("/r/1", "new"))
}

// Run holds a remediator to the contract of [ledger.Remediator].
func Run(t *testing.T, s Subject) {
	for _, c := range s.checks() {
		t.Run(c.name, func(t *testing.T) { c.fn(goTest{t}) })
	}
}

// A check is one part of the contract.
type check struct {
	name string
	fn   func(T)
}

func (s Subject) checks() []check {
	list := []check{
		{"Undone", s.testUndone},
		{"AgainChangesNothing", s.testAgain},
		{"Classified", s.testClassified},
		{"LooksClassified", s.testLooks},
		{"LeaksNothing", s.testLeaks},
		{"Cancelled", s.testCancelled},
		{"NotFoundProvesNothing", s.testHidden},
		{"StaleReads", s.testStale},
		{"AnswersLost", s.testLoss},
		{"PreviewSendsNothing", s.testPreview},
		{"DriftSeen", s.testDrift},
	}
	if s.DocFunc == nil {
		list = append(list, check{"BytesSurvive", s.testBytes})
	}
	return list
}

func image(doc string) ledger.Image {
	if doc == "" {
		return ledger.Absent
	}
	return ledger.Image{JSON: json.RawMessage(doc)}
}

func (s Subject) look(t T, rem ledger.Remediator, e *ledger.Entry) ledger.Look {
	t.Helper()
	seen, err := rem.Look(t.Context(), e)
	if err != nil {
		t.Fatalf("look: %v", err)
	}
	return seen
}

// shows fails unless the third party shows this image and the remediator sees it.
func (s Subject) shows(t T, rem ledger.Remediator, e *ledger.Entry, want string) ledger.Look {
	t.Helper()
	seen := s.look(t, rem, e)
	if c := ledger.Compare(image(want), ledger.Image{}, seen.Now, seen.Scope); !c.Before {
		t.Fatalf("it shows %s, want %s", seen.Now.JSON, image(want).JSON)
	}
	return seen
}

func (s Subject) testUndone(t T) {
	for _, a := range s.actions("/r/1") {
		t.Run(string(a.action), func(t T) {
			th := s.third(t)
			rem := s.bind(t, th)
			th.Set("/r/1", a.after)
			e := s.EntryFunc(a.action, "/r/1", a.before, a.after)
			g, err := rem.Check(&e.Draft)
			if err != nil || !g.CanLook {
				t.Fatalf("check: %+v, %v", g, err)
			}
			seen := s.shows(t, rem, e, a.after)
			if a.after == "" && !seen.Proven {
				t.Error("absence without proof, though the parent is visible")
			}
			ans, err := rem.Undo(t.Context(), e, seen)
			if err != nil || ans.Class != ledger.AnswerAccepted {
				t.Fatalf("undo: %+v, %v", ans, err)
			}
			s.shows(t, rem, e, a.before)
			if got := th.Get("/r/1"); got != a.before || th.EffectsOn("/r/1") != 1 {
				t.Errorf("the third party has %q after %d effects", got, th.EffectsOn("/r/1"))
			}
			s.sentCredential(t, th)
		})
	}
}

func (s Subject) sentCredential(t T, th *Third) {
	t.Helper()
	reqs, _ := th.Calls()
	for _, r := range reqs {
		if !strings.Contains(fmt.Sprint(r.Header), Secret) {
			t.Errorf("%s %s came without the credential", r.Method, r.URL.Path)
		}
	}
}

func (s Subject) testAgain(t T) {
	for _, a := range s.actions("/r/1") {
		t.Run(string(a.action), func(t T) {
			th := s.third(t)
			rem := s.bind(t, th)
			th.Set("/r/1", a.after)
			e := s.EntryFunc(a.action, "/r/1", a.before, a.after)
			seen := s.look(t, rem, e)
			for range 2 { // the second on a look that is out of date
				if ans, err := rem.Undo(t.Context(), e, seen); err != nil {
					t.Fatalf("undo: %+v, %v", ans, err)
				}
			}
			if n := th.EffectsOn("/r/1"); n != 1 {
				t.Errorf("%d effects, want 1", n)
			}
			s.shows(t, rem, e, a.before)
		})
	}
}

// classOf is the class of an answer or of a call error.
func classOf(ans ledger.Answer, err error) string {
	var call *ledger.CallError
	switch {
	case errors.As(err, &call):
		return string(call.Class)
	case err != nil:
		return err.Error()
	default:
		return string(ans.Class)
	}
}

func retryAfter(ans ledger.Answer, err error) time.Duration {
	var call *ledger.CallError
	if errors.As(err, &call) {
		return call.RetryAfter
	}
	return ans.RetryAfter
}

func (s Subject) testClassified(t T) {
	for _, c := range []struct {
		mode    Mode
		want    string
		effects int
		wait    bool // it asks for 7 s
	}{
		{mode: Well, want: "accepted", effects: 1},
		{mode: LoseAfter, want: "ambiguous", effects: 1},
		{mode: DropBefore, want: "ambiguous"},
		{mode: Fail502, want: "ambiguous", effects: 1},
		{mode: Fail500, want: "failed"},
		{mode: Busy503, want: "retry", wait: true},
		{mode: LimitDelta, want: "retry", wait: true},
		{mode: LimitDate, want: "retry", wait: true},
		{mode: LimitReset, want: "retry", wait: true},
		{mode: Unauthorized, want: "auth"},
		{mode: Forbidden, want: "auth"},
		{mode: Refuse, want: "refused"},
		{mode: Redirect, want: "refused"},
		{mode: NothingHappens, want: "accepted"},
	} {
		t.Run(string(c.mode), func(t T) {
			th := s.third(t)
			th.Elsewhere = NewThird(t)
			rem := s.bind(t, th)
			e := s.update(th)
			seen := s.look(t, rem, e)
			th.Misbehave("/r/1", c.mode)
			ans, err := rem.Undo(t.Context(), e, seen)
			if got := classOf(ans, err); got != c.want {
				t.Errorf("class %s, want %s (%+v, %v)", got, c.want, ans, err)
			}
			if wait := retryAfter(ans, err); c.wait != (wait > 5*time.Second && wait <= 7*time.Second) {
				t.Errorf("retry after %s", wait)
			}
			if n := th.EffectsOn("/r/1"); n != c.effects {
				t.Errorf("%d effects, want %d", n, c.effects)
			}
			if reqs, _ := th.Elsewhere.Calls(); len(reqs) > 0 {
				t.Errorf("it followed a redirect: %s %s", reqs[0].Method, reqs[0].URL)
			}
		})
	}
}

func (s Subject) testLooks(t T) {
	for mode, want := range map[Mode]string{
		DropBefore: "ambiguous", Fail500: "answered", Busy503: "answered", LimitDate: "answered", Endless: "answered",
		Bomb: "answered", Broken: "answered", CutOff: "answered", Unauthorized: "auth", Forbidden: "auth", Redirect: "answered", Refuse: "answered",
	} {
		t.Run(string(mode), func(t T) {
			th := s.third(t)
			th.Elsewhere = NewThird(t)
			rem := s.bind(t, th)
			e := s.update(th)
			th.Misbehave("/r/1", mode)
			seen, err := rem.Look(t.Context(), e)
			if got := classOf(ledger.Answer{}, err); got != want {
				t.Errorf("class %q, want %s (%+v, %v)", got, want, seen, err)
			}
			if reqs, _ := th.Elsewhere.Calls(); len(reqs) > 0 {
				t.Error("it followed a redirect")
			}
		})
	}
}

func (s Subject) testLeaks(t T) {
	const inBody = "canary-7f3a-body"
	for _, mode := range []Mode{
		Well, LoseAfter, DropBefore, Fail500, Fail502, Busy503, LimitDelta, Unauthorized, Forbidden, Hidden, False, Refuse, Redirect, Broken, Bomb,
	} {
		t.Run(string(mode), func(t T) {
			th := s.third(t)
			th.Elsewhere = NewThird(t)
			rem := s.bind(t, th)
			th.Set("/r/1", s.doc("/r/1", "new"))
			e := s.EntryFunc(ledger.ActionUpdate, "/r/1", s.doc("/r/1", inBody), s.doc("/r/1", "new"))
			seen := s.look(t, rem, e)
			req, err := rem.Preview(e, seen)
			said := fmt.Sprintf("%+v %v", req, err)
			if strings.Contains(said, Secret) {
				t.Error("the preview shows the credential")
			}
			th.Misbehave("/r/1", mode)
			ans, err := rem.Undo(t.Context(), e, seen)
			_, lookErr := rem.Look(t.Context(), e)
			said = fmt.Sprintf("%+v %v %+v %v", ans, err, lookErr, lookErr)
			if strings.Contains(said, Secret) || strings.Contains(said, inBody) {
				t.Errorf("it says: %s", said)
			}
		})
	}
}

func (s Subject) testCancelled(t T) {
	th := s.third(t)
	rem := s.bind(t, th)
	e := s.update(th)
	seen := s.look(t, rem, e)
	before, _ := th.Calls()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ans, err := rem.Undo(ctx, e, seen); err == nil {
		t.Errorf("a cancelled undo answered %+v", ans)
	}
	if after, _ := th.Calls(); len(after) != len(before) {
		t.Error("a cancelled undo was sent")
	}
	th.Misbehave("/r/1", Silent)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	th.SilentFunc = cancel
	begin := time.Now()
	if got := classOf(rem.Undo(ctx, e, seen)); got != "ambiguous" {
		t.Errorf("class %s of a call that was given up, want ambiguous", got)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s to give up", took)
	}
}

func (s Subject) testBytes(t T) {
	const doc = `{"n":9007199254740993,"e":1.0E+5,"z":-0.0,"s":"<\u00e9&/>","b":{"y":1,"a":[2,1]}}`
	th := s.third(t)
	rem := s.bind(t, th)
	th.Set("/r/1", doc)
	e := s.EntryFunc(ledger.ActionUpdate, "/r/1", doc, `{"n":1}`)
	if seen := s.look(t, rem, e); string(seen.Now.JSON) != doc {
		t.Errorf("captured\n%s, want\n%s", seen.Now.JSON, doc)
	}
	th.Set("/r/1", `{"n":1}`)
	if _, err := rem.Undo(t.Context(), e, s.look(t, rem, e)); err != nil {
		t.Fatal(err)
	}
	if got := th.Get("/r/1"); got != doc {
		t.Errorf("written back\n%s, want\n%s", got, doc)
	}
}

func (s Subject) testHidden(t T) {
	th := s.third(t)
	rem := s.bind(t, th)
	th.Set("/r/1", s.doc("/r/1", "new"))
	th.Misbehave("*", Hidden)
	c := s.actions("/r/1")[min(1, len(s.actions("/r/1"))-1)] // a create, where there is one
	e := s.EntryFunc(c.action, "/r/1", c.before, c.after)
	if seen := s.look(t, rem, e); seen.Proven || !seen.Now.IsAbsent() {
		t.Errorf("a credential that may see nothing proves absence: %+v", seen)
	}
	th.Misbehave("*", Well)
	th.Set("/r/1", "")
	if seen := s.look(t, rem, e); !seen.Proven {
		t.Error("absence without proof, though the parent is visible")
	}
}

func (s Subject) testStale(t T) {
	th := s.third(t)
	rem := s.bind(t, th)
	e := s.update(th)
	seen := s.look(t, rem, e)
	th.Stale("/r/1", 2)
	if _, err := rem.Undo(t.Context(), e, seen); err != nil {
		t.Fatal(err)
	}
	s.shows(t, rem, e, s.doc("/r/1", "new"))
	stale := s.shows(t, rem, e, s.doc("/r/1", "new"))
	if _, err := rem.Undo(t.Context(), e, stale); err != nil {
		t.Fatal(err)
	}
	s.shows(t, rem, e, s.doc("/r/1", "old"))
	if n := th.EffectsOn("/r/1"); n != 1 {
		t.Errorf("%d effects after stale reads, want 1", n)
	}
}

// testLoss undoes many entries while 30 % of the answers are lost, as a runner does: look, act, look.
func (s Subject) testLoss(t T) {
	th := s.third(t)
	rem := s.bind(t, th)
	th.Lose(0.3, 7)
	lost := 0
	for i := range 60 {
		path := fmt.Sprintf("/r/%d", i)
		list := s.actions(path)
		a := list[i%len(list)]
		th.Set(path, a.after)
		e := s.EntryFunc(a.action, path, a.before, a.after)
		seen := s.look(t, rem, e)
		for sends := 0; ledger.Compare(e.Before, e.After, seen.Now, seen.Scope).After; sends++ {
			if sends == 20 {
				t.Fatalf("%s: it is not undone after %d undos", path, sends)
			}
			if _, err := rem.Undo(t.Context(), e, seen); err != nil {
				lost++
			}
			seen = s.look(t, rem, e)
		}
		s.shows(t, rem, e, a.before)
		if n := th.EffectsOn(path); n != 1 {
			t.Errorf("%s: %d effects, want 1", path, n)
		}
	}
	if lost == 0 {
		t.Error("no answer was lost: the test proves nothing")
	}
}

func (s Subject) testPreview(t T) {
	th := s.third(t)
	rem := s.bind(t, th)
	e := s.update(th)
	seen := s.look(t, rem, e)
	before, _ := th.Calls()
	req, err := rem.Preview(e, seen)
	if err != nil {
		t.Fatal(err)
	}
	if req.Method == "" && req.Summary == "" {
		t.Error("the preview says nothing")
	}
	if after, _ := th.Calls(); len(after) != len(before) {
		t.Error("the preview made a call")
	}
}
