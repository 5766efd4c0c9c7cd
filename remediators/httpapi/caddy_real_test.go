package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

const (
	routeOld = `{"@id":"mig42","handle":[{"body":"old","handler":"static_response"}],"match":[{"path":["/mig42"]}]}`
	routeNew = `{"@id":"mig42","handle":[{"body":"new","handler":"static_response"}],"match":[{"path":["/mig42"]}]}`
	routes   = "/config/apps/http/servers/srv0/routes"
)

// admin is a Caddy with somebody who changes it by hand.
type admin struct {
	remediatortest.Hand
	t   *testing.T
	rem ledger.Remediator
}

// caddy is a Caddy as the system of these tests; its address is still to be said.
var caddy = setupOf(remediators.SystemConfig{Profile: "caddy"})

func startAdmin(t *testing.T) *admin {
	t.Helper()
	url := remediatortest.StartCaddy(t)
	return &admin{Hand: remediatortest.Hand{T: t, URL: url}, t: t, rem: caddy.At(url).Bind(t)}
}

// call is what a script or somebody else does.
func (a *admin) call(method, path, body string) string {
	a.t.Helper()
	if method != http.MethodGet {
		defer a.settle()
	}
	return a.Must(method, path, body)
}

// settle waits for the admin API's own restart, which follows each change of the configuration: until it
// is over, connections are reset.
func (a *admin) settle() {
	a.t.Helper()
	conn := &http.Transport{DisableKeepAlives: true}
	for good, tries := 0, 0; good < 3; tries++ {
		if tries > 1000 {
			a.t.Fatal("the admin API does not come back")
		}
		req, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.URL+"/config/admin", nil)
		if err != nil {
			a.t.Fatal(err)
		}
		resp, err := conn.RoundTrip(req)
		if err != nil {
			good = 0
			continue
		}
		_ = resp.Body.Close()
		good++
	}
}

func (a *admin) entry(kind string, action ledger.Action, resource, before, after string) *ledger.Entry {
	e := &ledger.Entry{State: ledger.EntryApplied, Draft: ledger.Draft{
		ID: ledger.NewID(), System: "sys", Kind: kind, Action: action, State: ledger.EntryApplied,
		Resource: json.RawMessage(resource), Before: image(before), After: image(after),
	}}
	if _, err := a.rem.Check(&e.Draft); err != nil {
		a.t.Fatal(err)
	}
	return e
}

// look returns what is seen with which images it shows.
func (a *admin) look(e *ledger.Entry) (ledger.Look, ledger.Comparison) {
	a.t.Helper()
	for range 5 { // a read without an answer is simply made again
		seen, err := a.rem.Look(a.t.Context(), e)
		if class, _ := classOf(err); class == ledger.CallAmbiguous || class == ledger.CallNotSent {
			continue
		}
		if err != nil {
			a.t.Fatal(err)
		}
		return seen, ledger.Compare(e.Before, e.After, seen.Now, seen.Scope)
	}
	a.t.Fatal("no answer to a read five times")
	return ledger.Look{}, ledger.Comparison{}
}

// send sends an undo as a runner does: Caddy resets kept connections when its configuration changes, so
// that a call may get no answer; one that is repeatable is then sent again.
func (a *admin) send(e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	a.t.Helper()
	req, err := a.rem.Preview(e, seen)
	if err != nil {
		a.t.Fatal(err)
	}
	defer a.settle()
	for range 5 {
		ans, err := a.rem.Undo(a.t.Context(), e, seen)
		class, _ := classOf(err)
		if class != ledger.CallNotSent && (class != ledger.CallAmbiguous || !req.Repeatable) {
			return ans, err
		}
	}
	a.t.Fatal("no answer five times")
	return ledger.Answer{}, nil
}

// undo looks, undoes, looks, and fails unless that brought the before-image back.
func (a *admin) undo(e *ledger.Entry) {
	a.t.Helper()
	seen, c := a.look(e)
	if !c.After {
		a.t.Fatalf("before the undo it shows %s", seen.Now.JSON)
	}
	ans, err := a.send(e, seen)
	if err != nil || ans.Class != ledger.AnswerAccepted {
		a.t.Fatalf("undo: %+v, %v", ans, err)
	}
	if seen, c = a.look(e); !c.Before {
		a.t.Fatalf("after the undo it shows %s", seen.Now.JSON)
	}
}

func TestCaddyRoute(t *testing.T) {
	remediatortest.Proves(t, "caddy.route", "create undone", "update undone", "delete undone", "gone")
	a := startAdmin(t)
	start := a.call("GET", routes, "")

	a.call("POST", routes, routeNew)
	created := a.entry("caddy.route", ledger.ActionCreate, `{"id":"mig42"}`, "", routeNew)
	a.undo(created)
	if seen, _ := a.look(created); !seen.Proven {
		t.Error("gone, and no proof though /config/ is visible")
	}
	if now := a.call("GET", routes, ""); now != start {
		t.Errorf("routes are %s, want %s", now, start)
	}

	a.call("POST", routes, routeOld)
	a.call("PATCH", "/id/mig42", routeNew)
	updated := a.entry("caddy.route", ledger.ActionUpdate, `{"id":"mig42"}`, routeOld, routeNew)
	a.undo(updated)
	if now := a.call("GET", "/id/mig42", ""); now != routeOld {
		t.Errorf("the route is %s", now)
	}

	a.call("DELETE", "/id/mig42", "")
	a.undo(a.entry("caddy.route", ledger.ActionDelete, `{"id":"mig42","server":"srv0"}`, routeOld, ""))
	want := a.call("GET", routes, "")

	a.call("DELETE", "/id/base", "")
	base := `{"@id":"base","handle":[{"body":"v1","handler":"static_response"}],"match":[{"path":["/base"]}]}`
	a.undo(a.entry("caddy.route", ledger.ActionDelete, `{"id":"base","server":"srv0","index":0}`, base, ""))
	if now := a.call("GET", routes, ""); now != want {
		t.Errorf("the route is not at its old place: %s, want %s", now, want)
	}
}

// TestCaddyThroughTheLedger: the profile in a real window, from the record to the second rollback.
func TestCaddyThroughTheLedger(t *testing.T) {
	a := startAdmin(t)
	w := caddy.At(a.URL).Open(t)
	a.call("POST", routes, routeOld)
	a.call("PATCH", "/id/mig42", routeNew)
	d := a.entry("caddy.route", ledger.ActionUpdate, `{"id":"mig42"}`, routeOld, routeNew).Draft
	w.TakeBack(d, ledger.OutcomeUndone, nil)
	a.settle()
	if now := a.call("GET", "/id/mig42", ""); now != routeOld {
		t.Errorf("the route is %s", now)
	}
	w.WantState(ledger.WindowRolledBack)
}

func TestCaddyDriftIsSeen(t *testing.T) {
	remediatortest.Proves(t, "caddy.route", "drift", "between")
	a := startAdmin(t)
	a.call("POST", routes, routeNew)
	e := a.entry("caddy.route", ledger.ActionUpdate, `{"id":"mig42"}`, routeOld, routeNew)
	seen, _ := a.look(e)
	if !strings.Contains(seen.Validator, "/routes/1 ") {
		t.Fatalf("the trailer's ETag is %q", seen.Validator)
	}
	a.call("PATCH", "/id/mig42/handle/0/body", `"somebody else"`)
	ans, err := a.send(e, seen) // on the look before the change: the server has the last word
	if err != nil || ans.Class != ledger.AnswerConflict || ans.Status != http.StatusPreconditionFailed {
		t.Errorf("undo over drift: %+v, %v", ans, err)
	}
	if _, c := a.look(e); c.Before || c.After {
		t.Errorf("drift reads as %+v", c)
	}
	if now := a.call("GET", "/id/mig42", ""); !strings.Contains(now, "somebody else") {
		t.Errorf("drift was overwritten: %s", now)
	}
}

// TestCaddyIndexShift: the ETag holds the place in the list, so that an insertion before the route breaks the
// condition although the route is what it was. The next look brings the new ETag.
func TestCaddyIndexShift(t *testing.T) {
	a := startAdmin(t)
	a.call("POST", routes, routeNew)
	e := a.entry("caddy.route", ledger.ActionCreate, `{"id":"mig42"}`, "", routeNew)
	old, _ := a.look(e)
	a.call("PUT", routes+"/0", `{"@id":"first","match":[{"path":["/first"]}]}`)
	ans, err := a.send(e, old)
	if err != nil || ans.Class != ledger.AnswerConflict {
		t.Fatalf("undo with the old ETag: %+v, %v", ans, err)
	}
	seen, c := a.look(e)
	if !c.After || seen.Validator == old.Validator {
		t.Fatalf("after the shift: %+v, validator %q", c, seen.Validator)
	}
	a.undo(e)
	if now := a.call("GET", routes, ""); !strings.Contains(now, "first") || strings.Contains(now, "mig42") {
		t.Errorf("routes are %s", now)
	}
}

func TestCaddyConfig(t *testing.T) {
	remediatortest.Proves(t, "caddy.config", "create undone", "update undone", "delete undone", "gone")
	a := startAdmin(t)
	const path = "/apps/http/servers/srv0/read_timeout"
	resource := `{"path":"` + path + `"}`
	start := a.call("GET", "/config/", "")

	a.call("PUT", "/config"+path, `10000000000`)
	created := a.entry("caddy.config", ledger.ActionCreate, resource, "", "10000000000")
	a.undo(created)
	if seen, _ := a.look(created); !seen.Proven {
		t.Error("200 null is absence with proof")
	}
	if now := a.call("GET", "/config/", ""); now != start {
		t.Errorf("the configuration is %s, want %s", now, start)
	}

	a.call("PUT", "/config"+path, `10000000000`)
	a.call("PATCH", "/config"+path, `20000000000`)
	a.undo(a.entry("caddy.config", ledger.ActionUpdate, resource, "10000000000", "20000000000"))

	a.call("DELETE", "/config"+path, "")
	deleted := a.entry("caddy.config", ledger.ActionDelete, resource, "10000000000", "")
	seen, _ := a.look(deleted)
	req, err := a.rem.Preview(deleted, seen)
	if err != nil || req.Header["If-Match"] == "" || !req.Repeatable {
		t.Errorf("bringing it back is not conditional on its absence: %+v, %v", req, err)
	}
	a.undo(deleted)

	below := a.entry("caddy.config", ledger.ActionDelete, `{"path":"/apps/nope/deeper/x"}`, "1", "")
	if seen, _ := a.look(below); !seen.Now.IsAbsent() || !seen.Proven {
		t.Errorf("below a member that is not there: %+v", seen)
	}
	if ans, err := a.send(below, ledger.Look{Known: true, Now: ledger.Absent}); err != nil || ans.Class != ledger.AnswerFailed {
		t.Errorf("Caddy answers 500 to a place that cannot be: %+v, %v", ans, err)
	}
}

func TestCaddyPreview(t *testing.T) {
	a := startAdmin(t)
	a.call("POST", routes, routeNew)
	e := a.entry("caddy.route", ledger.ActionUpdate, `{"id":"mig42"}`, routeOld, routeNew)
	seen, _ := a.look(e)
	req, err := a.rem.Preview(e, seen)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, req, ledger.Request{
		Method: "PATCH", URL: a.URL + "/id/mig42", Body: json.RawMessage(routeOld), Repeatable: true,
		Header: map[string]string{"If-Match": seen.Validator, "Content-Type": "application/json"},
	})
}
