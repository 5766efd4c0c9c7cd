package httpapi

import (
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// proxied is a Caddy behind a proxy that can lose answers, with a window of a real ledger.
type proxied struct {
	*admin
	*windowtest.Window
	proxy *remediatortest.Proxy
}

func startProxied(t *testing.T) *proxied {
	t.Helper()
	a := startAdmin(t)
	p := &proxied{admin: a, proxy: remediatortest.StartProxy(t, a.URL)}
	c := setupOf(remediators.SystemConfig{Profile: "caddy", Effects: []string{"* /config/*", "* /id/*"}})
	p.Window = c.At(p.proxy.URL).Open(t)
	return p
}

const timeout = "/apps/http/servers/srv0/read_timeout"

// Each undo at a real Caddy loses its answer after the effect: the look finds that it was carried out.
func TestCaddyAnswerLost(t *testing.T) {
	remediatortest.Proves(t, "caddy.route", "lost")
	remediatortest.Proves(t, "caddy.config", "lost")
	p := startProxied(t)
	p.call("POST", routes, routeOld)
	p.call("PATCH", "/id/mig42", routeNew)
	p.call("PUT", "/config"+timeout, "10000000000")
	for _, d := range []ledger.Draft{
		p.entry("caddy.route", ledger.ActionUpdate, `{"id":"mig42"}`, routeOld, routeNew).Draft,
		p.entry("caddy.config", ledger.ActionCreate, `{"path":"`+timeout+`"}`, "", "10000000000").Draft,
	} {
		sent := len(p.proxy.Changes())
		e := p.Record(d)
		p.proxy.Lose(1)
		p.Rollback("kind=" + d.Kind)
		p.settle()
		e = p.Want(e, "undone undone")
		if len(p.proxy.Changes()) != sent+1 || len(e.Attempts) != 1 || e.Attempts[0].Result != string(ledger.CallAmbiguous) {
			t.Errorf("sent %v, attempts %+v", p.proxy.Changes(), e.Attempts)
		}
	}
	if now := p.call("GET", "/id/mig42", ""); now != routeOld {
		t.Errorf("the route is %s", now)
	}
}

// Somebody else's value is left alone.
func TestCaddyConfigDrift(t *testing.T) {
	remediatortest.Proves(t, "caddy.config", "drift", "between")
	p := startProxied(t)
	p.call("PUT", "/config"+timeout, "20000000000")
	d := p.entry("caddy.config", ledger.ActionUpdate, `{"path":"`+timeout+`"}`, "10000000000", "20000000000")
	seen, _ := p.look(d)
	p.call("PATCH", "/config"+timeout, "30000000000")
	if ans, err := p.send(d, seen); err != nil || ans.Class != ledger.AnswerConflict {
		t.Errorf("a change in between: %+v, %v", ans, err)
	}
	e := p.Record(d.Draft)
	p.Rollback()
	p.Want(e, "stuck drifted")
	if now := p.call("GET", "/config"+timeout, ""); now != "30000000000" || len(p.proxy.Changes()) != 0 {
		t.Errorf("it is %s after %v", now, p.proxy.Changes())
	}
}

// Routes that are deleted through the ledger come back at their places: one with others behind it is inserted, the last
// one is appended, since Caddy refuses an insertion behind the end.
func TestCaddyLastRoute(t *testing.T) {
	for name, order := range map[string][]string{"from the end": {"mig42", "middle", "base"}, "from the beginning": {"base", "middle", "mig42"}} {
		t.Run(name, func(t *testing.T) {
			p := startProxied(t)
			p.call("POST", routes, `{"@id":"middle","match":[{"path":["/middle"]}]}`)
			p.call("POST", routes, routeOld)
			start := p.call("GET", routes, "")
			for _, id := range order {
				out, err := p.Ledger.Effect(t.Context(), p.ID, ledger.Draft{System: "sys"}, ledger.EffectCall{Method: "DELETE", Path: "/id/" + id})
				if err != nil || out.Outcome != ledger.EffectApplied {
					t.Fatalf("%+v, %v", out, err)
				}
				p.settle()
			}
			if run := p.Rollback(); !run.Complete || run.Counts.Undone != len(order) {
				t.Errorf("counts %+v", run.Counts)
			}
			p.settle()
			if now := p.call("GET", routes, ""); now != start {
				t.Errorf("routes are %s, want %s", now, start)
			}
		})
	}
}
