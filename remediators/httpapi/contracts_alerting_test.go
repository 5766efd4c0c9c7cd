package httpapi

import (
	"time"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest/cards"
)

// hence is a moment some time from now, as third parties write it.
func hence(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }

func datadogContracts() []contract {
	made := func(schedule string) string {
		return `{"data":{"type":"downtime","attributes":{"message":"upgrade","scope":"env:prod","monitor_identifier":{"monitor_tags":["team:shop","app:shop"]}` + schedule + `}}}`
	}
	changed := func(attributes string) string {
		return `{"data":{"type":"downtime","id":"$id","attributes":{` + attributes + `}}}`
	}
	r := rest{
		kind: "datadog.downtime", list: "/api/v2/downtime", card: cards.Datadog, patch: "PATCH", again: ledger.OutcomeCompensated, id: "/data/id",
		resource: `{"id":%s`, created: made(`,"schedule":{"end":"` + hence(time.Hour) + `"}`), drift: changed(`"message":"else","scope":"else"`),
	}
	recurring, endless, future := r, r, r
	recurring.created = made(`,"schedule":{"timezone":"Europe/Berlin","recurrences":[{"duration":"1h","rrule":"FREQ=DAILY;INTERVAL=1","start":"2050-01-02T03:04:05"}]}`)
	recurring.drift = changed(`"schedule":{"timezone":"else","recurrences":[]}`)
	endless.created = made("")
	future.created = made(`,"schedule":{"start":"` + hence(time.Hour) + `","end":"` + hence(2*time.Hour) + `"}`)
	later := changed(`"message":"longer","schedule":{"start":"` + hence(-time.Minute) + `","end":"` + hence(3*time.Hour) + `"}`)
	weekly := changed(`"schedule":{"timezone":"UTC","recurrences":[{"duration":"2h","rrule":"FREQ=WEEKLY","start":"2050-01-02T03:04:05"}]}`)
	out := []contract{
		r.create(), r.update("scope", "", changed(`"message":"longer","scope":"env:test","notify_end_types":["canceled"]`)),
		r.update("end", "", later), recurring.update("recurring", "", weekly),
		r.deleted("under way", ""), recurring.deleted("recurring", ""), endless.deleted("without an end", ""), future.deleted("to come", ""),
	}
	out[6].asked = true
	for i := range out {
		out[i].kept = "" // what was cancelled is kept
	}
	return out
}

func grafanaDashboardContracts() []contract {
	const path = "/api/dashboards/uid/shop"
	save := func(h hand, title string) {
		version := "null"
		if status, _ := h.Call("GET", path, ""); status == 200 {
			version = h.pick("/dashboard/version", "GET", path, "")
		}
		h.Must("POST", "/api/dashboards/db", `{"dashboard":{"uid":"shop","title":"`+title+`","panels":[{"id":1,"targets":[{"expr":"up > 1e3"}]}],"version":`+version+`},"folderUid":"`+title+`","overwrite":false}`)
	}
	out := namedThing{
		kind: "grafana.dashboard", path: path, resource: `{"uid":"shop"}`, card: cards.Grafana, kept: "/api/dashboards/uid",
		create: func(h hand) { save(h, "old") }, update: func(h hand) { save(h, "new") }, drift: func(h hand) { save(h, "else") },
	}.contracts()
	out[0].guarded = false
	return out
}

func grafanaSilenceContracts() []contract {
	const one, list = "/api/alertmanager/grafana/api/v2/silence/", "/api/alertmanager/grafana/api/v2/silences"
	post := func(h hand, resource, comment string, end time.Duration) string {
		body := `{"matchers":[{"name":"app","value":"shop","isRegex":false,"isEqual":true}],"endsAt":"` + hence(end) + `","createdBy":"ops","comment":"` + comment + `"`
		start := `"` + hence(-time.Minute) + `"`
		if resource != "" {
			start = h.pick("/startsAt", "GET", one+named(resource, "id"), "")
			body += `,"id":"` + named(resource, "id") + `"`
		}
		return `{"id":` + h.pick("/silenceID", "POST", list, body+`,"startsAt":`+start+`}`) + `}`
	}
	seed := func(h hand) string { return post(h, "", "upgrade", time.Hour) }
	base := contract{
		kind: "grafana.silence", card: cards.Grafana, outcome: ledger.OutcomeUndone, seedFunc: seed,
		driftFunc:  func(h hand, res string) { post(h, res, "else", 2*time.Hour) },
		removeFunc: func(h hand, res string) { h.Must("DELETE", one+named(res, "id"), "") },
	}
	create, update, deleted := base, base, base
	create.action, create.seedFunc = ledger.ActionCreate, func(hand) string { return "" }
	create.effectFunc = func(h hand, _ string) string { return seed(h) }
	update.action = ledger.ActionUpdate
	update.effectFunc = func(h hand, res string) string { return post(h, res, "longer", 3*time.Hour) }
	deleted.action, deleted.driftFunc, deleted.outcome = ledger.ActionDelete, nil, ledger.OutcomeCompensated
	deleted.effectFunc = func(h hand, res string) string { base.removeFunc(h, res); return "" }
	return []contract{create, update, deleted}
}
