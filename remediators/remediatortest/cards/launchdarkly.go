package cards

import (
	"encoding/json"
	"strings"
)

// LaunchDarkly has flags that a JSON Patch changes; a test in it that fails is a conflict, and a time limit is said in
// milliseconds of the epoch. An environment may ask for approvals, see [AskApproval]; a change is refused with 405 then. A flag comes to be by a POST to the list of its project.
func LaunchDarkly() Card {
	const list = "/api/v2/flags/{project}"
	const one = list + "/{flag}"
	return Card{
		Name: "launchdarkly", Credential: [2]string{"Authorization", ""}, Need: map[string]string{"Ld-Api-Version": "20240415"},
		LimitFunc: LimitMillis("X-Ratelimit-Reset"),
		Routes: []Route{
			{"GET", list, func(*Call) (int, any) { return 200, map[string]any{"items": []any{}} }},
			{"POST", list, func(c *Call) (int, any) {
				in, _ := c.JSON()
				doc := map[string]any{"key": in["key"], "_version": 1, "environments": map[string]any{
					"production": map[string]any{"on": true, "version": 1, "rules": []any{}}, "test": map[string]any{"on": false, "version": 1},
				}}
				c.docs[fill(list, c.Vars)+"/"+text(in, "key")] = doc
				return 201, doc
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
			{"PATCH", one, func(c *Call) (int, any) { return launchDarklyPatch(c, fill(one, c.Vars)) }},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
		},
	}
}

// AskApproval makes the environment of a LaunchDarkly flag ask for approvals, or no more.
func AskApproval(s *Server, path, environment string, ask bool) {
	s.locked(func() { part(part(s.docs[path], "environments"), environment)["approvals"] = ask })
}

func launchDarklyPatch(c *Call, path string) (int, any) {
	doc := clone(c.docs[path])
	var in struct {
		Patch []struct {
			Op, Path string
			Value    any
		}
	}
	if doc == nil {
		return 404, message("Unknown flag key")
	}
	if json.Unmarshal(c.Body, &in) != nil || len(in.Patch) == 0 {
		return 400, message("invalid patch")
	}
	for _, op := range in.Patch {
		if status, answer := launchDarklySet(c, doc, op.Op, op.Path, op.Value); status != 200 {
			return status, answer
		}
	}
	c.docs[path] = doc
	return 200, doc
}

// launchDarklySet carries out one operation of a patch.
func launchDarklySet(c *Call, doc map[string]any, op, path string, value any) (int, any) {
	names := strings.Split(path, "/")
	if len(names) != 4 || names[1] != "environments" || names[3] != "on" {
		return 400, message("invalid path")
	}
	env := part(part(doc, "environments"), names[2])
	switch {
	case env["approvals"] == true:
		return 405, message("Approval is required to make this request")
	case env["on"] == nil:
		return 400, message("unknown environment")
	case op == "test" && env["on"] != value:
		return 409, message("test failed")
	case op == "replace":
		env["on"], env["version"] = value, c.ID()
	}
	return 200, nil
}
