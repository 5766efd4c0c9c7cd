package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest/cards"
)

// A change that needs an approval is not made; the entry says what a person has to do, and is found undone once it was
// applied there.
func TestApproval(t *testing.T) {
	c := launchDarklyContracts()[0]
	sc := c.begin(t)
	e := sc.record()
	const path = "/api/v2/flags/shop/bulk"
	cards.AskApproval(sc.s, path, "production", true)
	sent := sc.s.Changes()
	sc.w.Rollback()
	e = sc.w.Want(e, "stuck blocked")
	if !strings.Contains(e.Detail, "approved") || sc.s.Changes() != sent {
		t.Errorf("it says %q, and %d calls changed something", e.Detail, sc.s.Changes()-sent)
	}
	cards.AskApproval(sc.s, path, "production", false) // what follows is done there by those who approve
	sc.h.Must("PATCH", path, `{"patch":[{"op":"replace","path":"/environments/production/on","value":true}]}`)
	sc.w.Resolve(e, ledger.DecideRetry)
	sc.w.Want(e, "undone already_undone")
}

// What a profile says of an answer counts before what HTTP says of it.
func TestAnswersOfItsOwn(t *testing.T) {
	const undo = `{"method":"PUT","path":"/r/1","body":"{{before}}","retry":{"status":[409]},
		"blocked_when":[{"status":[409,400],"body":{"pointer":"/code","equals":"approval"},"because":"have it approved"}]}`
	for _, c := range []struct {
		status      int
		body        string
		answer, err string
	}{
		{400, `{"code":"approval"}`, "", "denied"},
		{409, `{"code":"approval"}`, "", "denied"},
		{400, `{"code":"other"}`, "refused", ""},
		{400, `no JSON`, "refused", ""},
		{409, `{"code":"rebalance"}`, "retry", ""},
		{412, `{}`, "conflict", ""},
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = w.Write([]byte(`{"v":2}`))
				return
			}
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		}))
		e := entry(ledger.ActionUpdate, "/r/1", `{"v":1}`, `{"v":2}`)
		e.Undo = raw(undo)
		rem := bind(t, remediators.SystemConfig{URL: web.URL, Credential: "env:TOKEN"})
		seen, err := rem.Look(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		ans, err := rem.Undo(t.Context(), e, seen)
		if class, _ := classOf(err); string(ans.Class) != c.answer || string(class) != c.err {
			t.Errorf("%d %s is %+v, %v", c.status, c.body, ans, err)
		}
		web.Close()
	}
}

func TestBlockedWhenIsReadStrictly(t *testing.T) {
	for _, bad := range []string{
		`[]`, `{}`, `[{"status":[405]}]`, `[{"because":"x"}]`, `[{"status":[403],"because":"x"}]`, `[{"status":[200],"because":"x"}]`, `[{"status":[405],"because":"x","say":1}]`,
	} {
		p := &parser{}
		p.undoing(p.object("/undo", raw(`{"method":"PUT","path":"/x","blocked_when":`+bad+`}`)), ledger.ActionUpdate)
		if p.err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
