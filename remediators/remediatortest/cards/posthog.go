package cards

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// PostHog has feature flags that cannot be deleted: one whose deleted is true is listed no more, and still read; a new one
// with its key removes it for good. A change that says which version it was made of, and what stood there, is in conflict
// where somebody else changed the same member since. A change may need approval, see [AskForEach].
func PostHog() Card {
	const list = "/api/projects/{project}/feature_flags/"
	const one = list + "{id}/"
	return Card{
		Name: "posthog", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", list, postHogList},
			{"POST", list, func(c *Call) (int, any) {
				in, ok := c.JSON()
				if !ok || text(in, "key") == "" || part(in, "filters")["groups"] == nil {
					return 400, map[string]any{"detail": "invalid flag"}
				}
				for path, flag := range c.docs {
					if flag["key"] == in["key"] && flag["deleted"] == true {
						delete(c.docs, path)
					}
				}
				c.Vars["id"] = fmt.Sprint(c.ID())
				now := time.Now().UTC().Format(time.RFC3339)
				return postHogSet(c, fill(one, c.Vars), map[string]any{"id": c.next + 100, "deleted": false, "active": true, "name": "", "tags": []any{}, "version": 0, "created_at": now, "updated_at": now}, 201)
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, postHogShow) }},
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

// postHogShow is a flag as it is read.
func postHogShow(doc map[string]any) map[string]any {
	out := clone(doc)
	delete(out, "approvals")
	return out
}

func postHogList(c *Call) (int, any) {
	path := "/api/projects/" + c.Vars["project"] + "/feature_flags/"
	var live []any
	for _, at := range slices.Sorted(maps.Keys(c.docs)) {
		if strings.HasPrefix(at, path) && c.docs[at]["deleted"] != true {
			live = append(live, postHogShow(c.docs[at]))
		}
	}
	page, next := c.page(live, "offset", "limit", 100)
	out := map[string]any{"results": page, "next": nil, "count": len(live)}
	if page == nil {
		out["results"] = []any{}
	}
	if next > 0 {
		out["next"] = fmt.Sprintf("%s%s?limit=%s&offset=%d", c.URL, path, c.Query("limit"), next)
	}
	return 200, out
}

// postHogSet puts what a body says over a flag. A key is that of one flag only, less those that are deleted.
func postHogSet(c *Call, path string, doc map[string]any, status int) (int, any) {
	in, ok := c.JSON()
	if !ok || unknown(in, strings.Fields("key name active deleted filters tags ensure_experience_continuity version original_flag")...) != "" {
		return 400, map[string]any{"detail": "invalid flag"}
	}
	if doc["approvals"] == true {
		return 409, map[string]any{"status": "approval_required", "detail": "This action requires approval", "change_request_id": fmt.Sprint(c.ID())}
	}
	if postHogStale(in, doc) {
		return 409, map[string]any{"type": "server_error", "detail": "The feature flag was updated by another user since you started editing it."}
	}
	for name, v := range in {
		doc[name] = v
	}
	for other, flag := range c.docs {
		if other != path && flag["key"] == doc["key"] && flag["deleted"] != true && doc["deleted"] != true {
			return 400, map[string]any{"detail": "There is already a feature flag with this key."}
		}
	}
	doc["version"], doc["updated_at"], doc["status"] = c.ID(), time.Now().UTC().Format(time.RFC3339), "ACTIVE"
	c.docs[path] = doc
	return status, postHogShow(doc)
}

// postHogStale reports whether somebody else changed a member that a body changes too, and takes out of the body what
// says what it was made of.
func postHogStale(in, doc map[string]any) bool {
	original := part(in, "original_flag")
	stale := in["version"] != nil && !equal(in["version"], doc["version"])
	delete(in, "version")
	delete(in, "original_flag")
	for name, v := range in {
		was, said := original[name]
		if stale && said && !equal(was, v) && !equal(was, doc[name]) && !equal(v, doc[name]) {
			return true
		}
	}
	return false
}

// AskForEach makes a flag of PostHog ask for the approval of each change, or no more.
func AskForEach(s *Server, path string, ask bool) {
	s.locked(func() { s.docs[path]["approvals"] = ask })
}
