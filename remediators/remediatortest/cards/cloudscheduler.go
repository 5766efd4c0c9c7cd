package cards

import (
	"fmt"
	"strings"
)

// CloudScheduler has jobs that are paused only while they are enabled, and resumed only while they are paused.
func CloudScheduler() Card {
	const list = "/v1/projects/{project}/locations/{location}/jobs"
	const one = list + "/{job}"
	return Card{
		Name: "cloudscheduler", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", list, func(*Call) (int, any) { return 200, map[string]any{"jobs": []any{}} }},
			{"PUT", one, func(c *Call) (int, any) { // as if somebody had made it
				c.docs[fill(one, c.Vars)] = map[string]any{"name": fill(one, c.Vars), "schedule": "0 3 * * *", "state": "ENABLED", "userUpdateTime": fmt.Sprint(c.ID())}
				return 200, nil
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
			{"POST", one, func(c *Call) (int, any) {
				name, verb, _ := strings.Cut(c.Vars["job"], ":")
				c.Vars["job"] = name
				doc := c.docs[fill(one, c.Vars)]
				move := map[string][2]string{"pause": {"ENABLED", "PAUSED"}, "resume": {"PAUSED", "ENABLED"}}[verb]
				switch {
				case doc == nil:
					return 404, map[string]any{"error": map[string]any{"code": 404, "status": "NOT_FOUND"}}
				case doc["state"] != move[0]:
					return 400, map[string]any{"error": map[string]any{"code": 400, "status": "FAILED_PRECONDITION"}}
				}
				doc["state"] = move[1]
				return 200, doc
			}},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 200, map[string]any{}) }},
		},
	}
}
