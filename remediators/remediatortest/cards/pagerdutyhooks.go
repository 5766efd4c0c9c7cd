package cards

import "fmt"

// pagerDutyHooks are webhook subscriptions: their secret shows in the answer that made them and never again, the values
// of their headers never, and where they deliver to cannot be changed.
func pagerDutyHooks(list string) []Route {
	one := list + "/{id}"
	return []Route{
		{"GET", list, func(c *Call) (int, any) {
			out := []any{}
			for _, path := range c.below(list) {
				out = append(out, pagerDutyHook(c.docs[path])["webhook_subscription"])
			}
			return pagerDutyPage(c, "webhook_subscriptions", out)
		}},
		{"POST", list, func(c *Call) (int, any) {
			in, _ := c.JSON()
			hook := part(in, "webhook_subscription")
			method := part(hook, "delivery_method")
			if !pagerDutyHookSound(hook) || text(method, "url") == "" || method["type"] != "http_delivery_method" || method["secret"] != nil {
				return 400, message("Invalid Input Provided")
			}
			id := fmt.Sprint("PH", c.ID())
			hook["id"], hook["active"], hook["description"] = id, either(hook["active"], true), either(hook["description"], "")
			method["id"], method["secret"], method["temporarily_disabled"] = fmt.Sprint("PD", c.ID()), fmt.Sprint("secret-", c.ID()), false
			method["custom_headers"] = either(method["custom_headers"], []any{})
			c.docs[list+"/"+id] = hook
			return 201, map[string]any{"webhook_subscription": hook}
		}},
		{"GET", one, func(c *Call) (int, any) { return c.one(one, pagerDutyHook) }},
		{"PUT", one, func(c *Call) (int, any) {
			doc := c.docs[fill(one, c.Vars)]
			in, _ := c.JSON()
			hook := part(in, "webhook_subscription")
			switch {
			case doc == nil:
				return 404, message("Not Found")
			case !pagerDutyHookSound(hook) || hook["delivery_method"] != nil:
				return 400, message("Invalid Input Provided")
			}
			doc["active"], doc["description"] = either(hook["active"], true), either(hook["description"], "")
			doc["events"], doc["filter"] = hook["events"], hook["filter"]
			return 200, pagerDutyHook(doc)
		}},
		{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
	}
}

func pagerDutyHookSound(hook map[string]any) bool {
	events, _ := hook["events"].([]any)
	return hook["type"] == "webhook_subscription" && len(events) > 0 && text(part(hook, "filter"), "type") != ""
}

func pagerDutyHook(doc map[string]any) map[string]any {
	out := clone(doc)
	method := part(out, "delivery_method")
	method["secret"] = nil
	headers, _ := method["custom_headers"].([]any)
	for _, h := range headers {
		if h, ok := h.(map[string]any); ok {
			h["value"] = "-- redacted --"
		}
	}
	return map[string]any{"webhook_subscription": out}
}
