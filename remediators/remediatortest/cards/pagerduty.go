package cards

import (
	"fmt"
	"strings"
	"time"
)

// PagerDuty has maintenance windows that need a From where they are made, stay readable once they have ended, and
// answer 405 to whoever ends them again; webhook subscriptions, see [pagerDutyHooks].
func PagerDuty() Card {
	const list = "/maintenance_windows"
	const one = list + "/{id}"
	return Card{
		Name: "pagerduty", Credential: [2]string{"Authorization", "Token token="}, LimitFunc: LimitSeconds("Ratelimit-Reset"),
		Need: map[string]string{"Accept": "application/vnd.pagerduty+json;version=2"},
		Routes: append(pagerDutyHooks("/webhook_subscriptions"), []Route{
			{"GET", list, func(c *Call) (int, any) {
				out := []any{}
				for _, path := range c.below(list) {
					if pagerDutyOpen(c.docs[path]) || c.Query("filter") != "open" {
						out = append(out, c.docs[path])
					}
				}
				return pagerDutyPage(c, "maintenance_windows", out)
			}},
			{"POST", list, func(c *Call) (int, any) {
				id := fmt.Sprint("PW", c.ID())
				doc := map[string]any{"id": id, "sequence_number": c.ID(), "summary": id}
				if !strings.Contains(c.Header.Get("From"), "@") || !pagerDutySet(c, doc) {
					return 400, message("Invalid Input Provided")
				}
				c.docs[list+"/"+id] = doc
				return 201, pagerDutyWrap(doc)
			}},
			{"PUT", one, func(c *Call) (int, any) { return pagerDutyPut(c, fill(one, c.Vars)) }},
			{"DELETE", one, func(c *Call) (int, any) {
				doc := c.docs[fill(one, c.Vars)]
				if doc == nil {
					return 404, message("Not Found")
				}
				if !pagerDutyOpen(doc) {
					return 405, message("Maintenance window has already ended")
				}
				doc["end_time"] = time.Now().UTC().Add(-time.Second).Format(time.RFC3339)
				return 204, nil
			}},
		}...),
	}
}

// pagerDutyPage answers a part of a list, and whether there is more.
func pagerDutyPage(c *Call, name string, all []any) (int, any) {
	page, next := c.page(all, "offset", "limit", 100)
	return 200, map[string]any{name: page, "limit": c.Query("limit"), "offset": c.Query("offset"), "more": next > 0}
}

func pagerDutyOpen(doc map[string]any) bool {
	end, err := time.Parse(time.RFC3339, text(doc, "end_time"))
	return err == nil && end.After(time.Now())
}

func pagerDutyWrap(doc map[string]any) map[string]any {
	return map[string]any{"maintenance_window": doc}
}

// pagerDutySet takes a body over; false: it is not whole.
func pagerDutySet(c *Call, doc map[string]any) bool {
	in, _ := c.JSON()
	window := part(in, "maintenance_window")
	services, _ := window["services"].([]any)
	if window["type"] != "maintenance_window" || len(services) == 0 || !pagerDutyOpen(window) || text(window, "start_time") == "" {
		return false
	}
	if start, err := time.Parse(time.RFC3339, text(window, "start_time")); err == nil && start.Before(time.Now()) {
		window["start_time"] = time.Now().UTC().Format(time.RFC3339Nano) // what is past begins now
	}
	for _, name := range []string{"type", "start_time", "end_time", "description", "services"} {
		doc[name] = window[name]
	}
	return true
}

func pagerDutyPut(c *Call, path string) (int, any) {
	doc := clone(c.docs[path])
	if doc == nil {
		return 404, message("Not Found")
	}
	if !pagerDutySet(c, doc) {
		return 400, message("Invalid Input Provided")
	}
	c.docs[path] = doc
	return 200, pagerDutyWrap(doc)
}
