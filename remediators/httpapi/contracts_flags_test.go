package httpapi

import (
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest/cards"
)

func postHogContracts() []contract {
	const list = "/api/projects/7/feature_flags/"
	one := func(resource string) string { return list + named(resource, "id") + "/" }
	patch := func(body string) func(h hand, resource string) string {
		return func(h hand, resource string) string { return h.Must("PATCH", one(resource), body) }
	}
	remove := patch(`{"deleted":true}`)
	seed := func(h hand) string {
		return `{"project":7,"id":` + h.pick("/id", "POST", list, `{"key":"bulk","name":"bulk API","filters":{"groups":[{"properties":[],"rollout_percentage":10}]},"tags":["b","a"]}`) + `}`
	}
	base := contract{
		kind: "posthog.feature_flag", card: cards.PostHog, outcome: ledger.OutcomeUndone, seedFunc: seed,
		driftFunc:  func(h hand, res string) { patch(`{"active":false,"name":"else","filters":{"groups":[]}}`)(h, res) },
		removeFunc: func(h hand, res string) { remove(h, res) },
	}
	create, toggle, filters, deleted := base, base, base, base
	create.action, create.seedFunc = ledger.ActionCreate, func(hand) string { return "" }
	create.effectFunc = func(h hand, _ string) string { return seed(h) }
	toggle.action, toggle.name, toggle.effectFunc = ledger.ActionUpdate, "switch", patch(`{"active":false}`)
	toggle.driftFunc = func(h hand, res string) { patch(`{"active":"neither"}`)(h, res) }
	filters.action, filters.name, filters.effectFunc = ledger.ActionUpdate, "filters", patch(`{"name":"new","filters":{"groups":[{"properties":[],"rollout_percentage":100}]}}`)
	toggle.guarded, filters.guarded = true, true
	deleted.action, deleted.effectFunc = ledger.ActionDelete, remove
	deleted.driftFunc = func(h hand, res string) { patch(`{"deleted":false,"name":"else"}`)(h, res) }
	return []contract{create, toggle, filters, deleted}
}

// A project of PostHog that asks for approvals opens a change request for each call: the entry is blocked, and nothing is
// sent again.
func TestPostHogApproval(t *testing.T) {
	for _, c := range postHogContracts() {
		sc := c.begin(t)
		e := sc.record()
		cards.AskForEach(sc.s, "/api/projects/7/feature_flags/"+named(sc.resource, "id")+"/", true)
		sc.w.Rollback()
		if e = sc.w.Want(e, "stuck blocked"); !strings.Contains(e.Detail, "change request") {
			t.Errorf("%s: it says %q", c.title(), e.Detail)
		}
	}
}

// A flag that was taken away is gone for good once another one has its key.
func TestPostHogKeyIsTaken(t *testing.T) {
	list := postHogContracts()
	c := list[len(list)-1]
	sc := c.begin(t)
	e := sc.record()
	list[0].effectFunc(sc.h, "")
	sent := sc.s.Changes()
	sc.w.Rollback()
	if got := sc.w.Entry(e); got.State != ledger.EntryStuck || sc.s.Changes() != sent {
		t.Errorf("it is %s %s", got.State, got.Reason)
	}
}

func configCatContracts() []contract {
	make := func(kind, version, name, patch, drift string) contract {
		path := "/" + version + "/environments/e1/settings/42/value"
		change := func(body string) func(h hand, _ string) string {
			return func(h hand, _ string) string { return h.Must("PATCH", path+"?reason=upgrade", body) }
		}
		return contract{
			kind: kind, action: ledger.ActionUpdate, name: name, card: cards.ConfigCat, kept: "/" + version + "/environments/e1/settings/42", outcome: ledger.OutcomeUndone,
			seedFunc:   func(h hand) string { h.Must("POST", path, "{}"); return `{"environment":"e1","setting":42}` },
			effectFunc: change(patch),
			driftFunc:  func(h hand, res string) { change(drift)(h, res) },
			removeFunc: func(h hand, _ string) { h.Must("DELETE", path, "") },
		}
	}
	const on, off = `[{"op":"replace","path":"/value","value":true}]`, `[{"op":"replace","path":"/value","value":"neither"}]`
	const rules = `[{"op":"replace","path":"/value","value":true},{"op":"replace","path":"/rolloutPercentageItems","value":[{"percentage":30,"value":true},{"percentage":70,"value":false}]}]`
	const truth, drift = `{"op":"replace","path":"/defaultValue","value":{"boolValue":true}}`, `[{"op":"replace","path":"/defaultValue","value":{"stringValue":"x"}}]`
	const target = `,{"op":"replace","path":"/targetingRules","value":[{"conditions":[],"percentageOptions":[{"percentage":100,"value":{"boolValue":true}}]}]}`
	return append(configCatSettingContracts(),
		make("configcat.value", "v1", "value", on, off), make("configcat.value", "v1", "rules", rules, off),
		make("configcat.default_value", "v2", "value", `[`+truth+`]`, drift), make("configcat.default_value", "v2", "rules", `[`+truth+target+`]`, drift),
		make("configcat.default_value", "v2", "attribute", `[`+truth+`,{"op":"replace","path":"/percentageEvaluationAttribute","value":"Country"}]`, drift),
	)
}

// configCatSettingContracts are those of a flag, whose deletion nothing takes back.
func configCatSettingContracts() []contract {
	return undeleted{
		kind: "configcat.setting", card: cards.ConfigCat, kept: "/v1/settings",
		makeFunc: func(h hand) string {
			return `{"config":"c1","setting":` + h.member("settingId", "POST", "/v1/configs/c1/settings", `{"key":"bulk","name":"bulk API","settingType":"boolean"}`) + `}`
		},
		oneFunc: func(r string) string { return "/v1/settings/" + named(r, "setting") },
		update:  `[{"op":"replace","path":"/name","value":"new"},{"op":"replace","path":"/hint","value":"new"}]`,
		drift:   `[{"op":"replace","path":"/name","value":"else"}]`,
	}.contracts()
}

// undeleted things are made and changed, and nothing takes a deletion of them back.
type undeleted struct {
	kind, kept    string
	card          func() cards.Card
	makeFunc      func(h hand) (resource string)
	oneFunc       func(resource string) (path string)
	update, drift string // bodies of a PATCH
}

func (u undeleted) contracts() []contract {
	patch := func(body string) func(h hand, r string) string {
		return func(h hand, r string) string { return h.Must("PATCH", u.oneFunc(r), body) }
	}
	create := contract{
		kind: u.kind, action: ledger.ActionCreate, card: u.card, kept: u.kept, outcome: ledger.OutcomeUndone,
		seedFunc: func(hand) string { return "" }, effectFunc: func(h hand, _ string) string { return u.makeFunc(h) },
		driftFunc:  func(h hand, r string) { patch(u.drift)(h, r) },
		removeFunc: func(h hand, r string) { h.Must("DELETE", u.oneFunc(r), "") },
	}
	update := create
	update.action, update.seedFunc, update.effectFunc = ledger.ActionUpdate, u.makeFunc, patch(u.update)
	return []contract{create, update}
}

func fliptContracts() []contract {
	var out []contract
	for kind, typ := range map[string]string{"flipt.flag": "flipt.core.Flag", "flipt.segment": "flipt.core.Segment"} {
		const list = "/api/v2/environments/production/namespaces/default/resources"
		write := func(method, name string) func(h hand) {
			return func(h hand) {
				h.Must(method, list, `{"key":"bulk","payload":{"@type":"`+typ+`","key":"bulk","name":"`+name+`"}}`)
			}
		}
		out = append(out, namedThing{
			kind: kind, path: list + "/" + typ + "/bulk", resource: `{"environment":"production","namespace":"default","key":"bulk"}`, card: cards.Flipt, kept: list + "/" + typ,
			create: write("POST", `old","metadata":{"n":1e3},"type":"BOOLEAN_FLAG_TYPE`), update: write("PUT", "new"), drift: write("PUT", `new","description":"somebody's`),
		}.contracts()...)
	}
	return out
}

func flagsmithContracts() []contract {
	const path = "/api/__future__/environments/e1/features/7/"
	s := switched{
		kind: "flagsmith.flag", path: path, resource: `{"environment":"e1","feature":7}`, card: cards.Flagsmith, kept: "/api/__future__/environments/e1/features/7",
		seed: func(h hand) { h.Must("POST", path, "{}") },
	}
	valueless := s
	valueless.seed = func(h hand) { h.Must("POST", path, `{"value":null}`) }
	change := func(method, body string) func(h hand) {
		return func(h hand) { h.Must(method, path, body) }
	}
	override := func(segment, value string) func(h hand) {
		return change("PUT", `{"segment_overrides":[{"segment":{"id":`+segment+`},"priority":1,"enabled":true,"value":{"type":"string","value":"`+value+`"}}]}`)
	}
	drift := change("PATCH", `{"environment_default":{"enabled":true,"value":{"type":"integer","value":"3"}}}`)
	return append(flagsmithFeatureContracts(),
		s.from("switch", override("101", "kept"), change("PATCH", `{"environment_default":{"enabled":true}}`), drift),
		s.from("value", override("101", "kept"), change("PATCH", `{"environment_default":{"enabled":true,"value":{"type":"string","value":"new"}}}`), drift),
		s.from("overrides", override("101", "old"), override("202", "new"), drift),
		valueless.from("no value", nothing, change("PATCH", `{"environment_default":{"enabled":true,"value":{"type":"string","value":"new"}}}`), drift),
	)
}

// flagsmithFeatureContracts are those of a feature, whose deletion nothing takes back.
func flagsmithFeatureContracts() []contract {
	const list = "/api/v1/projects/3/features"
	return undeleted{
		kind: "flagsmith.feature", card: cards.Flagsmith, kept: list,
		makeFunc: func(h hand) string {
			return `{"project":3,"feature":` + h.member("id", "POST", list+"/", `{"name":"bulk","description":"old","tags":[2,1]}`) + `}`
		},
		oneFunc: func(r string) string { return list + "/" + named(r, "feature") + "/" },
		update:  `{"description":"new","tags":[],"is_archived":true}`, drift: `{"description":"else"}`,
	}.contracts()
}

// Where change requests are asked for somebody has to have one approved.
func TestChangeRequests(t *testing.T) {
	for _, c := range flagsmithContracts() {
		if c.kind != "flagsmith.flag" {
			continue
		}
		sc := c.begin(t)
		e := sc.record()
		sc.h.Must("POST", "/workflows/", "")
		sc.w.Rollback()
		if e = sc.w.Want(e, "stuck blocked"); !strings.Contains(e.Detail, "change requests") {
			t.Errorf("%s says %q", c.name, e.Detail)
		}
	}
}
