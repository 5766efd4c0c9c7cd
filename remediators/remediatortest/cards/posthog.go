package cards

import (
	"fmt"
	"strings"
)

// PostHog has feature flags that cannot be deleted: one whose deleted is true is listed no more, and still read.
func PostHog() Card {
	const list = "/api/projects/{project}/feature_flags/"
	const one = list + "{id}/"
	return Card{
		Name: "posthog", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", list, func(*Call) (int, any) { return 200, map[string]any{"results": []any{}, "next": nil} }},
			{"POST", list, func(c *Call) (int, any) {
				in, ok := c.JSON()
				if !ok || text(in, "key") == "" || part(in, "filters")["groups"] == nil {
					return 400, map[string]any{"detail": "invalid flag"}
				}
				c.Vars["id"] = fmt.Sprint(c.ID())
				return postHogSet(c, fill(one, c.Vars), map[string]any{"id": c.next + 100, "deleted": false, "active": true, "name": "", "tags": []any{}, "version": 0, "created_at": fmt.Sprint(c.ID())}, 201)
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
			{"PATCH", one, func(c *Call) (int, any) {
				doc := clone(c.docs[fill(one, c.Vars)])
				if doc == nil {
					return 404, map[string]any{"detail": "Not found."}
				}
				return postHogSet(c, fill(one, c.Vars), doc, 200)
			}},
			{"DELETE", one, func(*Call) (int, any) {
				return 405, map[string]any{"detail": "Hard delete of this model is not allowed. Use a patch API call to set \"deleted\" to true"}
			}},
		},
	}
}

// postHogSet puts what a body says over a flag. A key is that of one flag only, less those that are deleted.
func postHogSet(c *Call, path string, doc map[string]any, status int) (int, any) {
	in, ok := c.JSON()
	if !ok || unknown(in, strings.Fields("key name active deleted filters tags ensure_experience_continuity")...) != "" {
		return 400, map[string]any{"detail": "invalid flag"}
	}
	for name, v := range in {
		doc[name] = v
	}
	for other, flag := range c.docs {
		if other != path && flag["key"] == doc["key"] && flag["deleted"] != true && doc["deleted"] != true {
			return 400, map[string]any{"detail": "There is already a feature flag with this key."}
		}
	}
	doc["version"], doc["updated_at"], doc["status"] = c.ID(), fmt.Sprint(c.ID()), "ACTIVE"
	c.docs[path] = doc
	return status, doc
}
