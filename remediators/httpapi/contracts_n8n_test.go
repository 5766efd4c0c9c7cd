package httpapi

import (
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest/cards"
)

// workflow is the body of a workflow of n8n.
func workflow(name, settings string) string {
	return `{"name":"` + name + `","nodes":[{"id":"a","name":"start","type":"n8n-nodes-base.manualTrigger","position":[0,0]}],"connections":{},"settings":{` + settings + `}}`
}

func n8nContracts() []contract {
	const list = "/workflows"
	one := func(resource string) string { return list + "/" + named(resource, "id") }
	post := func(path string) func(h hand, res string) {
		return func(h hand, res string) { h.Must("POST", one(res)+path, `{}`) }
	}
	draft := func(h hand, res string) { h.Must("PUT", one(res)+"?publishIfActive=false", workflow("import", "")) }
	seed := func(h hand) string {
		return `{"id":` + h.pick("/id", "POST", list, workflow("import", `"timezone":"UTC"`)) + `}`
	}
	base := contract{
		kind: "n8n.publication", action: ledger.ActionUpdate, card: cards.N8N, kept: list, outcome: ledger.OutcomeUndone,
		driftFunc:  func(h hand, res string) { h.Must("PUT", one(res), workflow("else", "")); post("/publish")(h, res) },
		removeFunc: func(h hand, res string) { h.Must("DELETE", one(res), "") },
	}
	unpublished, other, published := base, base, base
	unpublished.name, other.name, published.name = "unpublished", "another version", "published"
	unpublished.seedFunc = func(h hand) string { // with a draft that is newer than what is published
		res := seed(h)
		post("/publish")(h, res)
		draft(h, res)
		return res
	}
	other.seedFunc, published.seedFunc = unpublished.seedFunc, seed
	unpublished.effectFunc = func(h hand, res string) string { post("/unpublish")(h, res); return "" }
	other.effectFunc = func(h hand, res string) string { post("/publish")(h, res); return "" }
	published.effectFunc = other.effectFunc
	return append([]contract{unpublished, other, published}, workflowContracts(base, seed, post("/publish"))...)
}

func workflowContracts(base contract, seed func(h hand) string, publish func(h hand, res string)) []contract {
	base.kind = "n8n.workflow"
	base.driftFunc = func(h hand, res string) { h.Must("PUT", "/workflows/"+named(res, "id"), workflow("else", "")) }
	put := func(query string) func(h hand, res string) string {
		return func(h hand, res string) string {
			h.Must("PUT", "/workflows/"+named(res, "id")+query, workflow("new", `"executionTimeout":60`))
			return ""
		}
	}
	create, update, live, deleted := base, base, base, base
	create.action, create.seedFunc = ledger.ActionCreate, func(hand) string { return "" }
	create.effectFunc = func(h hand, _ string) string { return seed(h) }
	update.seedFunc, update.effectFunc = seed, put("")
	live.name = "the draft of one that is published"
	live.seedFunc = func(h hand) string { res := seed(h); publish(h, res); return res }
	live.effectFunc = put("?publishIfActive=false")
	deleted.action, deleted.seedFunc, deleted.driftFunc, deleted.outcome = ledger.ActionDelete, seed, nil, ledger.OutcomeCompensated
	deleted.effectFunc = func(h hand, res string) string { base.removeFunc(h, res); return "" }
	return []contract{create, update, live, deleted}
}

// A publication that a review or another workflow blocks is not in conflict: somebody has to settle it.
func TestReview(t *testing.T) {
	for what, path := range map[string]string{"review": "/review", "webhooks": "/rival"} {
		sc := n8nContracts()[0].begin(t)
		e := sc.record()
		sc.h.Must("POST", "/workflows/"+named(sc.resource, "id")+path, "")
		sc.w.Rollback()
		if e = sc.w.Want(e, "stuck blocked"); !strings.Contains(e.Detail, what) {
			t.Errorf("it says %q", e.Detail)
		}
	}
}

// A change that n8n published by itself is not said to be taken back by one call.
func TestPublishedWithTheChange(t *testing.T) {
	c := n8nContracts()[5]
	c.effectFunc = n8nContracts()[4].effectFunc
	sc := c.begin(t)
	e := sc.w.Record(sc.draft)
	if e.Reversible != ledger.ReversibleNone {
		t.Errorf("it is graded %s", e.Reversible)
	}
	sent := sc.s.Changes()
	sc.w.Rollback()
	if got := sc.w.Entry(e); got.State == ledger.EntryUndone || sc.s.Changes() != sent {
		t.Errorf("it is %s after %d changes", got.State, sc.s.Changes()-sent)
	}
}
