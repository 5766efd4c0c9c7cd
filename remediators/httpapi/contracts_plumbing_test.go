package httpapi

import (
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
)

// unguarded says that the third party takes no conditions.
func unguarded(list []contract) []contract {
	for i := range list {
		list[i].guarded = false
	}
	return list
}

func kongContracts() []contract {
	var out []contract
	const service, http = `"service":{"id":"5b1e0000-0000-4000-8000-000000000001"}`, `"protocols":["http"]`
	for _, k := range []struct{ kind, list, old, new, drift string }{
		{"kong.service", "/services", `"name":"shop","host":"old.example.com","tags":["a","b"]`, `"name":"shop","host":"new.example.com","retries":3`, `"host":"else"`},
		{"kong.route", "/routes", `"name":"shop","paths":["/shop"],` + service, `"name":"shop","paths":["/new"],` + service + `,` + http, `"paths":["/else"]`},
		{"kong.plugin", "/plugins", `"name":"rate-limiting","config":{"minute":5,"redis":{"port":6379}},` + service, `"name":"rate-limiting","enabled":false,"config":{"minute":500},` + service, `"config":{"minute":7}`},
	} {
		const id = "/5b1e0000-0000-4000-8000-000000000002"
		put := func(method, body string) func(h hand) {
			return func(h hand) {
				h.Must("PUT", "/services/5b1e0000-0000-4000-8000-000000000001", `{"host":"base.example.com"}`)
				h.Must(method, k.list+id, "{"+body+"}")
			}
		}
		out = append(out, unguarded(namedThing{
			kind: k.kind, path: k.list + id, resource: `{"id":"` + id[1:] + `"}`, card: cards.Kong, kept: k.list,
			create: put("PUT", k.old), update: put("PUT", k.new), drift: put("PATCH", k.drift),
		}.contracts())...)
	}
	return out
}

func kafkaConnectContracts() []contract {
	const path = "/connectors/orders"
	put := func(topics string, more ...string) func(h hand) {
		return func(h hand) {
			h.Must("PUT", path+"/config", `{"name":"orders","connector.class":"FileStreamSink","topics":"`+topics+`","tasks.max":"1","connection.password":"${file:/secrets:db}"`+strings.Join(more, "")+`}`)
		}
	}
	out := unguarded(namedThing{
		kind: "kafkaconnect.connector", path: path, resource: `{"name":"orders"}`, card: cards.KafkaConnect, kept: "/connectors",
		create: put("old"), update: put("new"), drift: put("new", `,"errors.tolerance":"all"`),
	}.contracts())
	for _, c := range []struct{ before, after, other string }{{"", "pause", "stop"}, {"pause", "resume", "stop"}, {"stop", "resume", "pause"}} {
		move := func(h hand, to string) { h.Must("PUT", path+"/"+to, "") }
		out = append(out, contract{
			kind: "kafkaconnect.state", action: ledger.ActionUpdate, name: c.after + " after " + or(c.before, "running"), card: cards.KafkaConnect, kept: "/connectors", outcome: ledger.OutcomeUndone,
			seedFunc: func(h hand) string {
				if put("old")(h); c.before != "" {
					move(h, c.before)
				}
				return `{"name":"orders"}`
			},
			effectFunc: func(h hand, _ string) string { move(h, c.after); return "" },
			driftFunc:  func(h hand, _ string) { move(h, c.other) },
			removeFunc: func(h hand, _ string) { h.Must("DELETE", path, "") },
		})
	}
	return out
}

// While the workers rebalance nothing is carried out: the undo is sent again.
func TestRebalance(t *testing.T) {
	for _, c := range kafkaConnectContracts() {
		t.Run(c.title(), func(t *testing.T) {
			t.Parallel()
			sc := c.begin(t)
			e := sc.record()
			sent := sc.s.Changes()
			sc.s.FailNext(409, 0)
			sc.w.Rollback()
			sc.w.Want(e, "undone undone")
			if n := sc.s.Changes() - sent; n != 1 {
				t.Errorf("%d calls changed something, want 1", n)
			}
		})
	}
}

func vaultContracts() []contract {
	const path = "shop/db"
	call := func(verb, version string) func(h hand) {
		return func(h hand) { h.Must("POST", "/v1/secret/"+verb+"/"+path, `{"versions":[`+version+`]}`) }
	}
	c := switched{
		kind: "vault.kv_version", path: "/v1/secret/metadata/" + path, resource: `{"mount":"/secret","path":"/shop/db","version":2}`, card: cards.Vault, kept: "/secret/shop",
		seed: func(h hand) {
			h.Must("POST", "/v1/secret/data/"+path, `{"data":{"password":"`+remediatortest.Secret+`"}}`)
			h.Must("POST", "/v1/secret/data/"+path, `{"data":{"password":"`+remediatortest.Secret+`"}}`)
		},
	}.from("", nothing, call("delete", "2"), call("destroy", "2"))
	return []contract{c}
}

// A version that was destroyed does not come back, and whoever records it is told.
func TestDestroyed(t *testing.T) {
	c := vaultContracts()[0]
	c.effectFunc = func(h hand, _ string) string {
		h.Must("POST", "/v1/secret/destroy/shop/db", `{"versions":[2]}`)
		return ""
	}
	sc := c.begin(t)
	if e := sc.w.Record(sc.draft); e.Reversible != ledger.ReversibleNone {
		t.Errorf("it is graded %s", e.Reversible)
	}
}
