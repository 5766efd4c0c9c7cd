package httpapi

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
)

// contracts are those of all profiles.
func contracts() []contract {
	return slices.Concat(
		githubHookContracts("github.repo_hook", "/repos/acme/shop/hooks", `"owner":"acme","repo":"shop"`),
		githubHookContracts("github.org_hook", "/orgs/acme/hooks", `"org":"acme"`),
		githubFileContracts(), stripeContracts(),
		gitlabContracts("gitlab.project_hook", "projects", "project"), gitlabContracts("gitlab.group_hook", "groups", "group"),
		giteaContracts("gitea.repo_hook", "/repos/acme/shop/hooks", `"owner":"acme","repo":"shop"`), giteaContracts("gitea.org_hook", "/orgs/acme/hooks", `"org":"acme"`),
		cloudflareContracts(), consulContracts(), configMapContracts(), cronJobContracts(), cronJobObjectContracts(), launchDarklyContracts(), pagerDutyContracts(),
		datadogContracts(), grafanaDashboardContracts(), grafanaSilenceContracts(), kongContracts(), kafkaConnectContracts(), postHogContracts(), configCatContracts(), fliptContracts(), flagsmithContracts(),
		airflowContracts(), jenkinsContracts(), n8nContracts(), cloudSchedulerContracts(), appConfigContracts(), eventBridgeContracts(), vaultContracts(), pagerDutyHookContracts(),
		bitbucketContracts("bitbucket.repo_hook", "/repositories/acme/shop/hooks", `"workspace":"acme","repo":"shop"`), bitbucketContracts("bitbucket.workspace_hook", "/workspaces/acme/hooks", `"workspace":"acme"`),
	)
}

func githubHookContracts(kind, list, owner string) []contract {
	make := func(h hand) string {
		id := h.member("id", "POST", list, `{"name":"web","events":["push","release"],"config":{"url":"https://old.example.com/in","content_type":"json","secret":"`+remediatortest.Secret+`"}}`)
		return `{` + owner + `,"id":` + id + `,"secret":"deploy-hook"}`
	}
	one := func(resource string) string { return list + "/" + named(resource, "id") }
	base := contract{
		kind: kind, card: cards.GitHub, judge: judgeGitHub, seedFunc: make, kept: list, outcome: ledger.OutcomeUndone,
		driftFunc:  func(h hand, r string) { h.Must("PATCH", one(r), `{"active":false,"events":["issues"]}`) },
		removeFunc: func(h hand, r string) { h.Must("DELETE", one(r), "") },
		checkFunc:  func(t *testing.T, s *cards.Server) { keepsSecret(t, s, list) },
	}
	create, events, address, deleted := base, base, base, base
	create.action = ledger.ActionCreate
	create.seedFunc = func(hand) string { return "" }
	create.effectFunc = func(h hand, _ string) string { return make(h) }
	create.checkFunc = nil
	events.action, events.name = ledger.ActionUpdate, "switch and events"
	events.effectFunc = func(h hand, r string) string {
		return h.Must("PATCH", one(r), `{"active":false,"events":["push"]}`)
	}
	address.action, address.name = ledger.ActionUpdate, "address and secret"
	address.effectFunc = func(h hand, r string) string {
		return h.Must("PATCH", one(r)+"/config", `{"url":"https://new.example.com/in","content_type":"form","secret":"another"}`)
	}
	deleted.action, deleted.outcome = ledger.ActionDelete, ledger.OutcomeCompensated
	deleted.driftFunc = nil // another hook has another id
	deleted.effectFunc = func(h hand, r string) string { return h.Must("DELETE", one(r), "") }
	return []contract{create, events, address, deleted}
}

// keepsSecret fails unless every hook has the secret that it had.
func keepsSecret(t *testing.T, s *cards.Server, list string) {
	t.Helper()
	for id := range 300 {
		doc := s.Kept(fmt.Sprint(list, "/", id))
		if doc == nil {
			continue
		}
		if config, _ := doc["config"].(map[string]any); config["secret"] != remediatortest.Secret {
			t.Errorf("hook %d has the secret %v", id, config["secret"])
		}
	}
}

func githubFileContracts() []contract {
	const path = "/repos/acme/shop/contents/conf/flags.yaml"
	const resource = `{"owner":"acme","repo":"shop","branch":"main","path":"/conf/flags.yaml"}`
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	old := "bulk-api: false # " + strings.Repeat("x", 80) + "\n"
	sha := func(h hand) string { return h.member("sha", "GET", path+"?ref=main", "") }
	write := func(h hand, content, more string) string {
		return h.Must("PUT", path, `{"message":"m","branch":"main","content":"`+b64(content)+`"`+more+`}`)
	}
	base := contract{
		kind: "github.file", guarded: true, card: cards.GitHub, judge: judgeGitHub, kept: "/repos/acme/shop", outcome: ledger.OutcomeUndone,
		seedFunc:   func(h hand) string { write(h, old, ""); return resource },
		driftFunc:  func(h hand, _ string) { write(h, "somebody: else\n", `,"sha":`+sha(h)) },
		removeFunc: func(h hand, _ string) { h.Must("DELETE", path, `{"message":"m","branch":"main","sha":`+sha(h)+`}`) },
	}
	create, update, deleted := base, base, base
	create.action = ledger.ActionCreate
	create.seedFunc = func(hand) string { return "" }
	create.effectFunc = func(h hand, _ string) string { write(h, "bulk-api: true\n", ""); return resource }
	update.action = ledger.ActionUpdate
	update.effectFunc = func(h hand, _ string) string { return write(h, "bulk-api: true\n", `,"sha":`+sha(h)) }
	deleted.action = ledger.ActionDelete
	deleted.effectFunc = func(h hand, r string) string { base.removeFunc(h, r); return "" }
	deleted.driftFunc = func(h hand, _ string) { write(h, "somebody: else\n", "") }
	return []contract{create, update, deleted}
}

func stripeContracts() []contract {
	const list = "/v1/webhook_endpoints"
	form := func(h hand, path, body string) string {
		h.Header["Content-Type"] = "application/x-www-form-urlencoded"
		defer delete(h.Header, "Content-Type")
		return h.member("id", "POST", path, body)
	}
	make := func(h hand) string {
		return `{"connect":false,"id":` + form(h, list, "url=https%3A%2F%2Fold.example.com%2Fin%3Fa%3Db&enabled_events[]=charge.failed&enabled_events[]=charge.succeeded&api_version=2024-06-20") + `}`
	}
	one := func(resource string) string { return list + "/" + named(resource, "id") }
	base := contract{
		kind: "stripe.webhook_endpoint", card: cards.Stripe, judge: judgeStripe, seedFunc: make, kept: list, outcome: ledger.OutcomeUndone,
		driftFunc:  func(h hand, r string) { form(h, one(r), "url=https%3A%2F%2Felse.example.com") },
		removeFunc: func(h hand, r string) { h.Must("DELETE", one(r), "") },
	}
	create, update, address, deleted := base, base, base, base
	create.action = ledger.ActionCreate
	create.seedFunc = func(hand) string { return "" }
	create.effectFunc = func(h hand, _ string) string { return make(h) }
	address.action, address.name = ledger.ActionUpdate, "address"
	address.effectFunc = func(h hand, r string) string { return form(h, one(r), "url=https%3A%2F%2Fnew.example.com") }
	update.action, update.name, update.hindersDelete = ledger.ActionUpdate, "disabled", true
	update.effectFunc = func(h hand, r string) string {
		return form(h, one(r), "url=https%3A%2F%2Fnew.example.com&disabled=true&description=new&enabled_events[]=charge.failed")
	}
	deleted.action, deleted.outcome = ledger.ActionDelete, ledger.OutcomeCompensated
	deleted.driftFunc = nil
	deleted.effectFunc = func(h hand, r string) string { return h.Must("DELETE", one(r), "") }
	return []contract{create, update, address, deleted}
}
