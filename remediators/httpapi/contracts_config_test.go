package httpapi

import (
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
)

func giteaContracts(kind, list, owner string) []contract {
	r := rest{
		kind: kind, list: list, card: cards.Gitea, patch: "PATCH", again: ledger.OutcomeCompensated,
		created: `{"type":"gitea","active":true,"events":["push","issues","issue_assign","issue_label","issue_milestone","issue_comment"],"branch_filter":"release/*",
			"authorization_header":"Bearer abc","config":{"url":"https://old.example.com/in","content_type":"json","secret":"` + remediatortest.Secret + `"}}`,
		resource: `{` + owner + `,"id":%s`, drift: `{"active":true,"events":["create"],"branch_filter":"x"}`,
		checkFunc: func(t *testing.T, s *cards.Server) { keepsSecret(t, s, list) },
	}
	bare := r
	bare.created, bare.checkFunc = `{"type":"gitea","active":true,"config":{"url":"https://old.example.com/in","content_type":"json"}}`, nil
	return []contract{
		r.create(),
		r.update("switch, which reset the rest", "", `{"active":false}`),
		r.update("address and secret", `,"secret":"deploy-hook"`, `{"config":{"url":"https://new.example.com/in","secret":"new"},"events":["push"]}`),
		r.deleted("", `,"secret":"deploy-hook"`), bare.deleted("without secret", `,"without_secret":true`),
	}
}

func cloudflareContracts() []contract {
	const list = "/zones/z1/dns_records"
	r := rest{
		kind: "cloudflare.dns_record", list: list, card: cards.Cloudflare, patch: "PATCH", again: ledger.OutcomeCompensated,
		created:  `{"type":"CNAME","name":"app.example.com","content":"old.example.com","ttl":300,"proxied":true,"tags":["b:1","a:1"],"comment":"kept"}`,
		resource: `{"zone":"z1","id":%s`, drift: `{"content":"else.example.com"}`,
	}
	out := []contract{r.create(), r.update("", "", `{"content":"new.example.com","proxied":false,"comment":null}`), r.deleted("", "")}
	for i, c := range out {
		make := func(h hand) string {
			id := h.member("result", "POST", list, r.created)
			return `{"zone":"z1","id":"` + named(id, "id") + `"}`
		}
		if c.action == ledger.ActionCreate {
			out[i].effectFunc = func(h hand, _ string) string { return make(h) }
		} else {
			out[i].seedFunc = make
		}
	}
	return out
}

// named things have a path of their own, which the script chooses.
type namedThing struct {
	kind, path, resource string
	card                 func() cards.Card
	create, update       func(h hand)
	drift                func(h hand)
	kept                 string
}

func (n namedThing) contracts() []contract {
	remove := func(h hand, _ string) { h.Must("DELETE", n.path, "") }
	base := contract{
		kind: n.kind, guarded: true, card: n.card, kept: n.kept, outcome: ledger.OutcomeUndone, removeFunc: remove,
		seedFunc:  func(h hand) string { n.create(h); return n.resource },
		driftFunc: func(h hand, _ string) { n.drift(h) },
	}
	create, update, deleted := base, base, base
	create.action = ledger.ActionCreate
	create.seedFunc = func(hand) string { return "" }
	create.effectFunc = func(h hand, _ string) string { return base.seedFunc(h) }
	update.action = ledger.ActionUpdate
	update.effectFunc = func(h hand, _ string) string { n.update(h); return "" }
	deleted.action = ledger.ActionDelete
	deleted.effectFunc = func(h hand, r string) string { remove(h, r); return "" }
	deleted.driftFunc = func(h hand, _ string) { n.create(h); n.update(h) }
	return []contract{create, update, deleted}
}

func consulContracts() []contract {
	const path = "/v1/kv/app/bulk%20api"
	put := func(flags, value string) func(h hand) {
		return func(h hand) { h.Must("PUT", path+"?flags="+flags, value) }
	}
	return namedThing{
		kind: "consul.key", path: path, resource: `{"key":"/app/bulk api"}`, card: cards.Consul, kept: "/v1/kv/app",
		create: put("18446744073709551615", "off\xff\x00\n"), update: put("1", "on"), drift: put("2", "else"),
	}.contracts()
}

func pagerDutyContracts() []contract {
	const list = "/maintenance_windows"
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	body := func(end time.Duration, description string) string {
		return `{"maintenance_window":{"type":"maintenance_window","start_time":"` + at(-time.Minute) + `","end_time":"` + at(end) + `","description":"` + description +
			`","services":[{"id":"PS1","type":"service_reference"}]}}`
	}
	r := rest{kind: "pagerduty.maintenance_window", list: list, card: cards.PagerDuty, patch: "PUT", again: ledger.OutcomeCompensated, drift: body(3*time.Hour, "else")}
	out := []contract{r.create(), r.update("", "", body(2*time.Hour, "longer")), r.deleted("", "")}
	for i, c := range out {
		out[i].kept = "" // what has ended is kept
		make := func(h hand) string {
			h.Header["From"] = "ops@example.com"
			window := h.member("maintenance_window", "POST", list, body(time.Hour, "upgrade"))
			return `{"id":"` + named(window, "id") + `","from":"ops@example.com"}`
		}
		if c.action == ledger.ActionCreate {
			out[i].effectFunc = func(h hand, _ string) string { return make(h) }
		} else {
			out[i].seedFunc = make
		}
	}
	return out
}
