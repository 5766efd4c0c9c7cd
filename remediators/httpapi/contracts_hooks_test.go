package httpapi

import (
	"fmt"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
)

// rest are the contracts of things in one list, which a JSON API makes, changes and removes.
type rest struct {
	kind, list string
	card       func() cards.Card
	created    string         // the body that makes one
	resource   string         // of the thing with an id: `{"project":"acme/shop","id":%s`, open at its end
	patch      string         // the method that changes one
	drift      string         // somebody else's change
	again      ledger.Outcome // of a delete
	keptBelow  string
	id         string // where an answer says it, a JSON pointer; empty: /id
	checkFunc  func(t *testing.T, s *cards.Server)
}

func (r rest) base(more string) contract {
	one := func(resource string) string { return r.list + "/" + named(resource, "id") }
	kept := r.keptBelow
	if kept == "" {
		kept = r.list
	}
	return contract{
		kind: r.kind, card: r.card, kept: kept, outcome: ledger.OutcomeUndone, checkFunc: r.checkFunc,
		seedFunc: func(h hand) string {
			return fmt.Sprintf(r.resource, h.pick(or(r.id, "/id"), "POST", r.list, r.created)) + more + "}"
		},
		driftFunc:  func(h hand, res string) { h.Must(r.patch, one(res), naming(r.drift, res)) },
		removeFunc: func(h hand, res string) { h.Must("DELETE", one(res), "") },
	}
}

// naming puts the id of a resource into a body that says it.
func naming(body, resource string) string {
	return strings.ReplaceAll(body, "$id", named(resource, "id"))
}

func (r rest) create() contract {
	c := r.base("")
	c.action, c.checkFunc = ledger.ActionCreate, nil
	seed := c.seedFunc
	c.seedFunc = func(hand) string { return "" }
	c.effectFunc = func(h hand, _ string) string { return seed(h) }
	return c
}

func (r rest) update(name, more, body string) contract {
	c := r.base(more)
	c.action, c.name = ledger.ActionUpdate, name
	c.effectFunc = func(h hand, res string) string {
		return h.Must(r.patch, r.list+"/"+named(res, "id"), naming(body, res))
	}
	return c
}

func (r rest) deleted(name, more string) contract {
	c := r.base(more)
	c.action, c.name, c.outcome, c.driftFunc = ledger.ActionDelete, name, r.again, nil
	c.effectFunc = func(h hand, res string) string { c.removeFunc(h, res); return "" }
	return c
}

func gitlabContracts(kind, owners, owner string) []contract {
	list := "/" + owners + "/acme%2Fshop/hooks"
	token := `,"token":"` + remediatortest.Secret + `"`
	r := rest{
		kind: kind, list: list, card: cards.GitLab, patch: "PUT", again: ledger.OutcomeCompensated,
		created:  `{"url":"https://old.example.com/in","merge_requests_events":true,"name":"deploy"` + token + `}`,
		resource: `{"` + owner + `":"acme/shop","id":%s`, drift: `{"url":"https://old.example.com/in","name":"else"}`,
		checkFunc: func(t *testing.T, s *cards.Server) { hasToken(t, s, list, remediatortest.Secret) },
	}
	bare := r
	bare.created = `{"url":"https://old.example.com/in","merge_requests_events":true,"name":"deploy"}`
	bare.checkFunc = func(t *testing.T, s *cards.Server) { hasToken(t, s, list, nil) }
	return []contract{
		r.create(),
		r.update("events", `,"token":"deploy-hook"`, `{"url":"https://old.example.com/in","push_events":false,"name":"new"}`),
		r.update("address", `,"token":"deploy-hook"`, `{"url":"https://new.example.com/in","push_events":false,"token":"new"}`),
		bare.update("address without token", `,"without_token":true`, `{"url":"https://new.example.com/in"}`),
		r.deleted("", `,"token":"deploy-hook"`), bare.deleted("without token", `,"without_token":true`),
	}
}

// hasToken fails unless every hook has this token.
func hasToken(t *testing.T, s *cards.Server, list string, want any) {
	t.Helper()
	for id := range 300 {
		if doc := s.Kept(fmt.Sprint(list, "/", id)); doc != nil && doc["token"] != want {
			t.Errorf("hook %d has the token %v", id, doc["token"])
		}
	}
}

func bitbucketContracts(kind, list, owner string) []contract {
	made := func(more string) string {
		return `{"description":"deploy","url":"https://old.example.com/in","active":true,"events":["repo:push","pullrequest:fulfilled"]` + more + `}`
	}
	r := rest{
		kind: kind, list: list, card: cards.Bitbucket, patch: "PUT", again: ledger.OutcomeCompensated, id: "/uuid",
		created: made(`,"secret":"` + remediatortest.Secret + `"`), resource: `{` + owner + `,"id":%s`,
		drift:     `{"url":"https://else.example.com/in","active":true,"events":["repo:fork"]}`,
		checkFunc: func(t *testing.T, s *cards.Server) { hasSecret(t, s, list, remediatortest.Secret) },
	}
	bare := r
	bare.created, bare.checkFunc = made(""), func(t *testing.T, s *cards.Server) { hasSecret(t, s, list, nil) }
	const secret = `,"secret":"deploy-hook"`
	return []contract{
		r.create(),
		r.update("switch and address", "", `{"url":"https://new.example.com/in","active":false,"events":["repo:push"],"skip_cert_verification":true}`),
		r.update("secret taken away", secret, `{"url":"https://new.example.com/in","active":true,"events":["repo:push"],"secret":null}`),
		bare.update("secret given", "", `{"url":"https://new.example.com/in","active":true,"events":["repo:push"],"secret":"new"}`),
		r.deleted("", secret), bare.deleted("without secret", ""),
	}
}

// hasSecret fails unless every hook has this secret.
func hasSecret(t *testing.T, s *cards.Server, list string, want any) {
	t.Helper()
	for id := range 300 {
		if doc := s.Kept(fmt.Sprintf("%s/{00000000-0000-4000-8000-%012d}", list, id)); doc != nil && doc["secret"] != want {
			t.Errorf("hook %d has the secret %v", id, doc["secret"])
		}
	}
}

func pagerDutyHookContracts() []contract {
	hook := func(more string) string {
		return `{"webhook_subscription":{"type":"webhook_subscription","events":["incident.triggered","incident.resolved"],"filter":{"id":"P393ZNQ","type":"service_reference"}` + more + `}}`
	}
	r := rest{
		kind: "pagerduty.webhook_subscription", list: "/webhook_subscriptions", card: cards.PagerDuty, patch: "PUT", again: ledger.OutcomeCompensated,
		id: "/webhook_subscription/id", resource: `{"id":%s`,
		created: hook(`,"description":"deploy","delivery_method":{"type":"http_delivery_method","url":"https://old.example.com/in"}`), drift: hook(`,"description":"else"`),
	}
	withHeaders := r
	withHeaders.created = hook(`,"delivery_method":{"type":"http_delivery_method","url":"https://old.example.com/in","custom_headers":[{"name":"X-Key","value":"` + remediatortest.Secret + `"}]}`)
	return []contract{
		r.create(), r.update("switch", "", hook(`,"description":"deploy","active":false`)), withHeaders.update("with headers", "", hook(`,"active":false,"description":"new"`)),
		r.deleted("", `,"unsigned":"true"`),
	}
}
