package cards

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Stripe has forms for bodies, a signing secret that is shown once, status for what disabled set, and an Idempotency-Key
// that brings the first answer again.
func Stripe() Card {
	const list = "/v1/webhook_endpoints"
	one := list + "/{id}"
	return Card{
		Name: "stripe", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", list, func(c *Call) (int, any) {
				out := []any{}
				for _, path := range c.below(list) {
					out = append(out, c.docs[path])
				}
				return 200, map[string]any{"object": "list", "data": out, "has_more": false}
			}},
			{"POST", list, func(c *Call) (int, any) { return stripeCreate(c, list) }},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
			{"POST", one, func(c *Call) (int, any) { return stripeUpdate(c, fill(one, c.Vars)) }},
			{"DELETE", one, func(c *Call) (int, any) {
				return c.drop(one, 200, map[string]any{"id": c.Vars["id"], "object": "webhook_endpoint", "deleted": true})
			}},
		},
	}
}

// stripeForm reads a form whose names are among those known; lists end in [], members stand in brackets.
func stripeForm(c *Call, known ...string) (url.Values, bool) {
	form, err := url.ParseQuery(string(c.Body))
	bad := slices.ContainsFunc(slices.Sorted(maps.Keys(form)), func(name string) bool {
		name, _, _ = strings.Cut(name, "[")
		return !slices.Contains(known, name)
	})
	return form, err == nil && !bad && strings.HasPrefix(c.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

func stripeCreate(c *Call, list string) (int, any) {
	form, ok := stripeForm(c, "url", "enabled_events", "description", "api_version", "metadata", "connect")
	if !ok || form.Get("url") == "" || len(form["enabled_events[]"]) == 0 {
		return 400, message("Missing required param")
	}
	if first := c.docs["/keys/"+c.Header.Get("Idempotency-Key")]; first != nil {
		return 200, first
	}
	id := fmt.Sprintf("we_%d", c.ID())
	var version any
	if v := form.Get("api_version"); v != "" {
		version = v
	}
	doc := map[string]any{
		"id": id, "object": "webhook_endpoint", "url": form.Get("url"), "enabled_events": form["enabled_events[]"], "status": "enabled",
		"api_version": version, "description": nil, "metadata": map[string]any{}, "created": c.ID(), "livemode": false, "application": nil,
	}
	if d := form.Get("description"); d != "" {
		doc["description"] = d
	}
	c.docs[list+"/"+id] = doc
	answer := clone(doc)
	answer["secret"] = "whsec_" + id
	if key := c.Header.Get("Idempotency-Key"); key != "" {
		c.docs["/keys/"+key] = answer
	}
	return 200, answer
}

func stripeUpdate(c *Call, path string) (int, any) {
	doc := c.docs[path]
	form, ok := stripeForm(c, "url", "enabled_events", "description", "metadata", "disabled")
	switch {
	case doc == nil:
		return 404, map[string]any{"error": map[string]any{"code": "resource_missing"}}
	case !ok:
		return 400, message("Received unknown parameter")
	}
	if form.Has("url") {
		doc["url"] = form.Get("url")
	}
	if form.Has("enabled_events[]") {
		doc["enabled_events"] = form["enabled_events[]"]
	}
	if form.Has("description") {
		doc["description"] = nil
		if d := form.Get("description"); d != "" {
			doc["description"] = d
		}
	}
	if form.Has("disabled") {
		doc["status"] = map[string]string{"true": "disabled", "false": "enabled"}[form.Get("disabled")]
	}
	return 200, doc
}
