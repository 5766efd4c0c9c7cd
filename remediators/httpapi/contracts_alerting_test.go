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
