package alertmanager

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// bench is a real Alertmanager behind a proxy that can lose answers, with a window of a real ledger, and
// somebody who changes silences by hand.
type bench struct {
	*windowtest.Window
	remediatortest.Hand
	t     *testing.T
	proxy *remediatortest.Proxy
}

// setup is an Alertmanager as the system of these tests; its address is still to be said.
var setup = windowtest.Setup{System: "alerts", Factory: Factory, Config: remediators.SystemConfig{Remediator: "alertmanager"}}

func start(t *testing.T) *bench {
	t.Helper()
	url := remediatortest.StartAlertmanager(t)
	proxy := remediatortest.StartProxy(t, url)
	return &bench{Window: setup.At(proxy.URL).Open(t), Hand: remediatortest.Hand{T: t, URL: url + "/api/v2"}, t: t, proxy: proxy}
}

// post posts a silence and returns its id.
func (b *bench) post(doc string) (id string) {
	b.t.Helper()
	status, answer := b.Call("POST", "/silences", doc)
	var out struct{ SilenceID string }
	if err := json.Unmarshal([]byte(answer), &out); err != nil || status != http.StatusOK {
		b.t.Fatalf("POST answered %d %s", status, answer)
	}
	return out.SilenceID
}

func (b *bench) get(id string) string {
	b.t.Helper()
	status, answer := b.Call("GET", "/silence/"+id, "")
	if status != http.StatusOK {
		b.t.Fatalf("GET answered %d", status)
	}
	return answer
}

func (b *bench) expire(id string) {
	b.t.Helper()
	if status, answer := b.Call("DELETE", "/silence/"+id, ""); status != http.StatusOK {
		b.t.Fatalf("DELETE answered %d %s", status, answer)
	}
}

// active returns the silences that are not expired.
func (b *bench) active() (list []silence) {
	b.t.Helper()
	_, answer := b.Call("GET", "/silences", "")
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		b.t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(s silence) bool { return s.expired() })
}

// wantActive fails unless exactly one silence is not expired, with this comment and this value of its matcher.
func (b *bench) wantActive(comment, value string) silence {
	b.t.Helper()
	list := b.active()
	if len(list) != 1 || *list[0].Comment != comment || list[0].Matchers[0].Value != value {
		b.t.Fatalf("active silences: %+v, want one that says %s %s", list, comment, value)
	}
	return list[0]
}

// doc is a silence as a script posts it: from an hour ago, for as long as said.
func doc(id, comment, value string, lasts time.Duration) string {
	at := func(d time.Duration) string { return time.Now().UTC().Add(d).Format("2006-01-02T15:04:05Z") }
	start := -time.Hour
	member := ""
	if id != "" {
		member = `"id":"` + id + `",`
	}
	return fmt.Sprintf(`{%s"matchers":[{"name":"service","value":%q,"isRegex":false}],"startsAt":%q,"endsAt":%q,"createdBy":"upgrade","comment":%q}`,
		member, value, at(start), at(lasts), comment)
}

// edit is what a careful script posts: the silence as it is shown, with another comment and another end.
func edit(t *testing.T, shown, comment string, lasts time.Duration) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(shown), &m); err != nil {
		t.Fatal(err)
	}
	m["comment"], m["endsAt"] = comment, time.Now().UTC().Add(lasts)
	delete(m, "status")
	delete(m, "updatedAt")
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// draft is an applied effect on a silence; "null" is absence, "" not known.
func draft(action ledger.Action, id, before, after string) ledger.Draft {
	d := ledger.Draft{
		System: "alerts", Kind: Kind, Action: action, State: ledger.EntryApplied, Resource: json.RawMessage(`{}`),
		Before: ledger.Image{JSON: json.RawMessage(before)}, After: ledger.Image{JSON: json.RawMessage(after)},
	}
	if id != "" {
		d.Resource = named(id)
	}
	return d
}

func TestCreated(t *testing.T) {
	remediatortest.Proves(t, Kind, "create undone")
	b := start(t)
	intent := draft(ledger.ActionCreate, "", "", "")
	intent.State, intent.Capture = ledger.EntryIntended, true
	e := b.Record(intent)
	if !windowtest.Warned(e, "alerts that are still firing notify") {
		t.Errorf("warnings %q", e.Warnings)
	}
	id := b.post(doc("", "upgrade", "billing", time.Hour))
	e = b.Applied(e, string(named(id)), "")
	if e.ResourceKey == (ledger.Key{}) || !strings.Contains(string(e.After.JSON), `"comment":"upgrade"`) {
		t.Errorf("the report completed %s, after %s", e.Resource, e.After.JSON)
	}
	b.WantPlan("undo")
	b.WantVerify("same")
	if run := b.Rollback(); !run.Complete {
		t.Errorf("counts %+v", run.Counts)
	}
	b.Want(e, "undone undone")
	if left := b.active(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
	if !strings.Contains(b.get(id), `"state":"expired"`) {
		t.Error("the undone silence leaves no tombstone: the test proves nothing about one")
	}
	b.WantVerify("same")
	n := len(b.proxy.Changes())
	if again := b.Rollback(); !again.Complete || len(b.proxy.Changes()) != n {
		t.Errorf("a second rollback changed something: %v", b.proxy.Changes())
	}
}

// TestExpiredByHand: the tombstone is the before-image of a create, with proof.
func TestExpiredByHand(t *testing.T) {
	b := start(t)
	id := b.post(doc("", "upgrade", "billing", time.Hour))
	e := b.Record(draft(ledger.ActionCreate, id, "null", doc("", "upgrade", "billing", time.Hour)))
	b.expire(id)
	b.WantPlan("already_undone")
	b.Rollback()
	b.Want(e, "undone already_undone")
	if n := len(b.proxy.Changes()); n != 0 {
		t.Errorf("%d calls for what was undone already", n)
	}
}

// TestForgotten: after its retention Alertmanager knows the id no more: GET answers 404, and DELETE 500 in 0.25.
// The list is the proof.
func TestForgotten(t *testing.T) {
	remediatortest.Proves(t, Kind, "gone")
	b := start(t)
	const id = "11111111-2222-4333-8444-555555555555"
	e := b.Record(draft(ledger.ActionCreate, id, "null", doc("", "upgrade", "billing", time.Hour)))
	hidden := b.Record(draft(ledger.ActionCreate, "11111111-2222-4333-8444-666666666666", "null", doc("", "upgrade", "billing", time.Hour)))
	b.proxy.Refuse("GET /api/v2/silences", http.StatusNotFound) // nothing of the API is visible
	b.Rollback("2")
	b.Want(hidden, "stuck blocked")
	b.proxy.Refuse("GET /api/v2/silences", 0)
	b.Rollback()
	b.Want(hidden, "undone already_undone")
	b.Want(e, "undone already_undone")

	status, answer := b.Call("DELETE", "/silence/"+id, "")
	ans, err := expired(remediators.Reply{Status: status, Body: []byte(answer)})
	if err != nil || ans.Class != ledger.AnswerGone {
		t.Errorf("DELETE of an unknown id answered %d %s, which reads as %+v, %v", status, answer, ans, err)
	}
	if ans, err := expired(remediators.Reply{Status: http.StatusInternalServerError, Body: []byte(`"disk full"`)}); err != nil || ans.Class != ledger.AnswerFailed {
		t.Errorf("another 500 reads as %+v, %v", ans, err)
	}
}

// TestOwnStart: the script says the start that it posted, and the server moved it. The undo leaves it alone, which
// keeps the id.
func TestOwnStart(t *testing.T) {
	b := start(t)
	posted := doc("", "as it was", "billing", time.Hour)
	id := b.post(posted)
	b.post(edit(t, b.get(id), "longer", 5*time.Hour))
	b.TakeBack(draft(ledger.ActionUpdate, id, posted, b.get(id)), ledger.OutcomeUndone, func() int { return len(b.proxy.Changes()) })
	if s := b.wantActive("as it was", "billing"); s.ID != id {
		t.Error("the undo cost the silence its id")
	}
}

func TestUpdatedInPlace(t *testing.T) {
	remediatortest.Proves(t, Kind, "update undone")
	b := start(t)
	id := b.post(doc("", "as it was", "billing", time.Hour))
	intent := draft(ledger.ActionUpdate, id, "", "")
	intent.State, intent.Capture = ledger.EntryIntended, true
	e := b.Record(intent)
	if b.post(edit(t, b.get(id), "longer", 5*time.Hour)) != id {
		t.Fatal("a new end gave it a new id: the test proves nothing")
	}
	e = b.Applied(e, "", "")
	b.WantPlan("undo")
	b.Rollback()
	b.Want(e, "undone undone")
	if s := b.wantActive("as it was", "billing"); s.ID != id || time.Until(s.EndsAt) > time.Hour {
		t.Errorf("it has the id %s and ends at %s", s.ID, s.EndsAt)
	}
	b.WantVerify("same")
}

// TestChain: created, updated with another id, expired; each undo finds the silence under the id that it has by then.
func TestChain(t *testing.T) {
	remediatortest.Proves(t, Kind, "update compensated", "delete compensated")
	for _, how := range []string{"reported", "in the after-image", "captured"} {
		t.Run(how, func(t *testing.T) {
			b := start(t)
			first := b.post(doc("", "v1", "billing", time.Hour))
			created := b.Record(draft(ledger.ActionCreate, first, "null", b.get(first)))
			intent := draft(ledger.ActionUpdate, first, b.get(first), "")
			intent.State = ledger.EntryIntended
			if intent.Capture = how == "captured"; intent.Capture {
				intent.Before = ledger.Image{}
			}
			updated := b.Record(intent)
			second := b.post(doc(first, "v2", "payments", time.Hour))
			if second == first {
				t.Fatal("changed matchers left the id: the test proves nothing")
			}
			switch how {
			case "reported":
				b.Applied(updated, string(named(second)), doc("", "v2", "payments", time.Hour))
			case "captured":
				b.Applied(updated, string(named(second)), "")
			default:
				b.Applied(updated, "", b.get(second))
			}
			gone := draft(ledger.ActionDelete, second, b.get(second), "null")
			b.expire(second)
			deleted := b.Record(gone)
			if !windowtest.Warned(deleted, "under another id") || deleted.Reversible != ledger.ReversibleCompensating {
				t.Errorf("graded %s, warned %q", deleted.Reversible, deleted.Warnings)
			}
			b.WantPlan("undo undo undo")

			b.Rollback("3") // only the newest
			e := b.Want(deleted, "undone compensated")
			third := b.wantActive("v2", "payments").ID
			if third == second || !strings.Contains(e.Detail, third) {
				t.Errorf("it came back as %s, and people are told %q", third, e.Detail)
			}
			b.WantVerify("same same same")
			b.Rollback("2")
			b.Want(updated, "undone compensated")
			if s := b.wantActive("v1", "billing"); s.ID == third || s.ID == first {
				t.Errorf("the matchers went back in place: %s", s.ID)
			}
			run := b.Rollback()
			b.Want(created, "undone undone")
			b.WantState(ledger.WindowRolledBack)
			if left := b.active(); len(left) > 0 || !run.Complete {
				t.Errorf("counts %+v, left %+v", run.Counts, left)
			}
			b.WantVerify("same same same")
		})
	}
}

func TestDriftIsKept(t *testing.T) {
	remediatortest.Proves(t, Kind, "drift")
	b := start(t)
	id := b.post(doc("", "as it was", "billing", time.Hour))
	before := b.get(id)
	b.post(edit(t, before, "longer", 5*time.Hour))
	e := b.Record(draft(ledger.ActionUpdate, id, before, b.get(id)))
	b.post(edit(t, before, "somebody else", 2*time.Hour))
	b.WantPlan("drifted")
	b.Rollback()
	b.Want(e, "stuck drifted")
	b.wantActive("somebody else", "billing")
	b.Resolve(e, ledger.DecideUndo)
	b.Want(e, "undone undone")
	b.wantActive("as it was", "billing")
}

// TestLostAnswers: the undo had its effect and nobody was told. It is found, and not made again.
func TestLostAnswers(t *testing.T) {
	remediatortest.Proves(t, Kind, "lost")
	b := start(t)
	made := b.post(doc("", "made", "a", time.Hour))
	created := b.Record(draft(ledger.ActionCreate, made, "null", b.get(made)))
	gone := b.post(doc("", "gone", "b", time.Hour))
	before := b.get(gone)
	b.expire(gone)
	deleted := b.Record(draft(ledger.ActionDelete, gone, before, "null"))
	b.proxy.Lose(1)
	b.Rollback("2")
	e := b.Want(deleted, "undone compensated")
	if s := b.active(); len(s) != 2 || len(b.proxy.Changes()) != 1 || !strings.Contains(e.Detail, "came back as") {
		t.Errorf("active: %+v after %v, detail %q", s, b.proxy.Changes(), e.Detail)
	}
	b.proxy.Lose(1)
	b.Rollback()
	b.Want(created, "undone undone")
	b.wantActive("gone", "b")
}

func TestOverIsIrreversible(t *testing.T) {
	b := start(t)
	id := b.post(doc("", "short", "billing", 1500*time.Millisecond))
	before := b.get(id)
	e := b.Record(draft(ledger.ActionDelete, id, before, "null"))
	if !windowtest.Warned(e, "can be taken back until") || e.Reversible != ledger.ReversibleCompensating {
		t.Errorf("graded %s, warned %q", e.Reversible, e.Warnings)
	}
	b.expire(id)
	var s silence
	if err := json.Unmarshal([]byte(before), &s); err != nil {
		t.Fatal(err)
	}
	over := time.NewTimer(time.Until(s.EndsAt) + 10*time.Millisecond)
	<-over.C // the one thing that is about time itself
	late := b.Record(draft(ledger.ActionDelete, id, before, "null"))
	if late.Reversible != ledger.ReversibleNone || !windowtest.Warned(late, "is over") {
		t.Errorf("graded %s, warned %q", late.Reversible, late.Warnings)
	}
	b.Rollback(e.ID.String(), late.ID.String())
	b.Want(late, "stuck irreversible")
	b.Resolve(late, ledger.DecideWaive)
	if got := b.Want(e, "stuck irreversible"); !strings.Contains(got.Detail, "whose end is past") {
		t.Errorf("detail %q", got.Detail)
	}
	if n := len(b.proxy.Changes()); n != 0 {
		t.Errorf("%d calls: %v", n, b.proxy.Changes())
	}
}

// TestUnreported: the update changed the id and its script died before it said so.
func TestUnreported(t *testing.T) {
	b := start(t)
	id := b.post(doc("", "v1", "billing", time.Hour))
	intent := draft(ledger.ActionUpdate, id, "", doc("", "v2", "payments", 2*time.Hour))
	intent.State, intent.Capture, intent.Perform = ledger.EntryIntended, true, time.Nanosecond
	e := b.Record(intent)
	b.post(strings.Replace(string(intent.After.JSON), "{", `{"id":"`+id+`",`, 1))
	b.Rollback()
	b.Want(e, "undone compensated")
	b.wantActive("v1", "billing")
}

func TestIntentsThatNobodyReported(t *testing.T) {
	b := start(t)
	intent := draft(ledger.ActionCreate, "", "null", "")
	intent.State, intent.Perform = ledger.EntryIntended, time.Nanosecond
	blind := b.Record(intent)
	intent.After = ledger.Image{JSON: json.RawMessage(doc("", "known", "billing", time.Hour))}
	known := b.Record(intent)
	b.post(string(intent.After.JSON))
	b.Rollback()
	b.Want(blind, "stuck in_doubt")
	b.Want(known, "undone undone")
	if left := b.active(); len(left) > 0 {
		t.Errorf("left %+v", left)
	}
}
