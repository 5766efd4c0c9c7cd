package httpapi

import (
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest/cards"
)

func launchDarklyContracts() []contract {
	const list = "/api/v2/flags/shop"
	toggle := func(h hand, on string) {
		h.Must("PATCH", list+"/bulk", `{"patch":[{"op":"replace","path":"/environments/production/on","value":`+on+`}]}`)
	}
	out := []contract{{
		kind: "launchdarkly.toggle", guarded: true, action: ledger.ActionUpdate, card: cards.LaunchDarkly, kept: list, outcome: ledger.OutcomeUndone,
		seedFunc: func(h hand) string {
			h.Must("POST", list, `{"key":"bulk"}`)
			return `{"project":"shop","flag":"bulk","environment":"production"}`
		},
		effectFunc: func(h hand, _ string) string { toggle(h, "false"); return "" },
		driftFunc:  func(h hand, _ string) { toggle(h, `"neither"`) },
		removeFunc: func(h hand, _ string) { h.Must("DELETE", list+"/bulk", "") },
	}}
	return append(out, launchDarklyFlagContracts()...)
}

func launchDarklyFlagContracts() []contract {
	const list, resource = "/api/v2/flags/shop", `{"project":"shop","flag":"bulk"}`
	make := func(h hand) string {
		h.Must("POST", list, `{"key":"bulk","name":"Bulk API","description":"old","tags":["b","a"]}`)
		return resource
	}
	set := func(name, value string) func(h hand, _ string) string {
		return func(h hand, _ string) string {
			return h.Must("PATCH", list+"/bulk", `{"patch":[{"op":"replace","path":"/`+name+`","value":`+value+`}]}`)
		}
	}
	base := contract{
		kind: "launchdarkly.flag", card: cards.LaunchDarkly, kept: list, outcome: ledger.OutcomeUndone, seedFunc: make,
		driftFunc:  func(h hand, res string) { set("description", `"else"`)(h, res) },
		removeFunc: func(h hand, _ string) { h.Must("DELETE", list+"/bulk", "") },
	}
	create := base
	create.action, create.seedFunc = ledger.ActionCreate, func(hand) string { return "" }
	create.effectFunc = func(h hand, _ string) string { return make(h) }
	out := []contract{create}
	for _, c := range [][3]string{{"archived", "true", `"neither"`}, {"name", `"New API"`, `"else"`}, {"description", `"new"`, `"else"`}, {"tags", `["a","c"]`, `[]`}, {"temporary", "true", `"neither"`}} {
		update := base
		update.action, update.name, update.guarded = ledger.ActionUpdate, c[0], true
		update.effectFunc = set(c[0], c[1])
		update.driftFunc = func(h hand, res string) { set(c[0], c[2])(h, res) }
		out = append(out, update)
	}
	return out
}

// A flag of LaunchDarkly that was deleted is gone for good, and whoever records it is told.
func TestLaunchDarklyDelete(t *testing.T) {
	c := launchDarklyFlagContracts()[0]
	c.seedFunc, c.action = func(h hand) string { return c.effectFunc(h, "") }, ledger.ActionUpdate
	sc := c.set(t)
	d := sc.draft
	d.ID, d.Action, d.Resource = ledger.NewID(), ledger.ActionDelete, []byte(sc.resource)
	d.Before, d.After = sc.look(sc.draft).Now, ledger.Absent
	c.removeFunc(sc.h, "")
	if e := sc.w.Record(d); e.Reversible != ledger.ReversibleNone {
		t.Errorf("it is graded %s", e.Reversible)
	}
}
