package cards

import (
	"fmt"
	"strings"
	"time"
)

// datadogKnown are the attributes that a downtime may be given.
const datadogKnown = "message scope monitor_identifier display_timezone mute_first_recovery_notification notify_end_states notify_end_types schedule"

// Datadog has downtimes that stay readable once they are cancelled, cannot be revived, and never end where nobody says when.
func Datadog() Card {
	const list = "/api/v2/downtime"
	const one = list + "/{id}"
	return Card{
		Name: "datadog", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("X-Ratelimit-Reset"),
		Routes: []Route{
			{"GET", list, func(c *Call) (int, any) {
				all := c.all(list, datadogSeen)
				page, _ := c.page(all, "page[offset]", "page[limit]", 100)
				return 200, map[string]any{"data": page, "meta": map[string]any{"page": map[string]any{"total_filtered_count": len(all)}}}
			}},
			{"POST", list, func(c *Call) (int, any) {
				doc := map[string]any{
					"message": nil, "display_timezone": "UTC", "mute_first_recovery_notification": false, "canceled": nil,
					"notify_end_states": []any{"alert", "no data", "warn"}, "notify_end_types": []any{"expired"}, "created": time.Now().UTC().Format(time.RFC3339),
				}
				if !datadogSet(c, doc) || doc["scope"] == nil || doc["monitor_identifier"] == nil {
					return 400, datadogError("invalid downtime")
				}
				if doc["schedule"] == nil {
					doc["schedule"] = datadogOnce(map[string]any{})
				}
				id := fmt.Sprintf("00000000-0000-1234-0000-%012d", c.ID())
				c.docs[list+"/"+id] = map[string]any{"id": id, "type": "downtime", "attributes": doc}
				return 200, datadogShow(c.docs[list+"/"+id])
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, datadogShow) }},
			{"PATCH", one, func(c *Call) (int, any) {
				doc := clone(c.docs[fill(one, c.Vars)])
				switch {
				case datadogStatus(doc) == "" || datadogStatus(doc) == "canceled":
					return 404, datadogError("Downtime not found")
				case !datadogSet(c, part(doc, "attributes")):
					return 400, datadogError("invalid downtime")
				}
				c.docs[fill(one, c.Vars)] = doc
				return 200, datadogShow(doc)
			}},
			{"DELETE", one, func(c *Call) (int, any) {
				doc := c.docs[fill(one, c.Vars)]
				if datadogStatus(doc) == "" || datadogStatus(doc) == "canceled" {
					return 404, datadogError("Downtime not found")
				}
				part(doc, "attributes")["canceled"] = time.Now().UTC().Format(time.RFC3339)
				return 204, nil
			}},
		},
	}
}

func datadogError(s string) map[string]any { return map[string]any{"errors": []any{s}} }

// datadogStatus is how a downtime stands now; "": there is none.
func datadogStatus(doc map[string]any) string {
	attributes := part(doc, "attributes")
	schedule := part(attributes, "schedule")
	start, _ := time.Parse(time.RFC3339, text(schedule, "start"))
	end, err := time.Parse(time.RFC3339, text(schedule, "end"))
	switch {
	case doc == nil:
		return ""
	case attributes["canceled"] != nil:
		return "canceled"
	case err == nil && end.Before(time.Now()):
		return "ended"
	case start.After(time.Now()):
		return "scheduled"
	}
	return "active"
}

func datadogShow(doc map[string]any) map[string]any { return map[string]any{"data": datadogSeen(doc)} }

// datadogSeen is a downtime with how it stands now.
func datadogSeen(doc map[string]any) map[string]any {
	out := clone(doc)
	part(out, "attributes")["status"] = datadogStatus(doc)
	return out
}

// datadogSet takes over what a body says; false: it is not right.
func datadogSet(c *Call, doc map[string]any) bool {
	in, _ := c.JSON()
	data := part(in, "data")
	said := part(data, "attributes")
	changed := c.Vars["id"] // empty: it is made
	if data["type"] != "downtime" || unknown(said, strings.Fields(datadogKnown)...) != "" || changed != "" && data["id"] != changed {
		return false
	}
	for name, v := range said {
		doc[name] = v
	}
	doc["modified"] = fmt.Sprint(c.ID())
	schedule, ok := said["schedule"].(map[string]any)
	if !ok {
		return said["schedule"] == nil
	}
	return datadogSchedule(doc, schedule, changed != "")
}

// datadogSchedule takes over a schedule; false: it is not right. One that is made does not begin in the past.
func datadogSchedule(doc, schedule map[string]any, changed bool) bool {
	if schedule["recurrences"] != nil {
		schedule["current_downtime"] = map[string]any{"start": time.Now().String()}
		return schedule["timezone"] != nil
	}
	if end, err := time.Parse(time.RFC3339, text(schedule, "end")); err == nil && end.Before(time.Now()) {
		return false
	}
	doc["schedule"] = datadogOnce(schedule)
	start, err := time.Parse(time.RFC3339, text(schedule, "start"))
	return changed || schedule["start"] == nil || err == nil && start.After(time.Now())
}

// datadogOnce fills up a schedule: what says no start begins now, and what says no end has none.
func datadogOnce(schedule map[string]any) map[string]any {
	return map[string]any{"start": either(schedule["start"], time.Now().UTC().Format(time.RFC3339)), "end": schedule["end"]}
}
