package cards

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

const launchDarklyList, launchDarklyOne = "/api/v2/flags/{project}", "/api/v2/flags/{project}/{flag}"

// LaunchDarkly has flags that a JSON Patch changes, or a semantic patch by its content type; a test in a JSON Patch that
// fails is a conflict, and a time limit is said in milliseconds of the epoch. An environment may ask for approvals, see
// [AskApproval]; a change is refused with 405 then. A flag that was deleted is gone for good, and archived ones are in no list.
func LaunchDarkly() Card {
	return Card{
		Name: "launchdarkly", Credential: [2]string{"Authorization", ""}, Need: map[string]string{"Ld-Api-Version": "20240415"},
		LimitFunc: LimitMillis("X-Ratelimit-Reset"),
		Routes: []Route{
			{"GET", launchDarklyList, launchDarklyPage},
			{"POST", launchDarklyList, launchDarklyPost},
			{"GET", launchDarklyOne, func(c *Call) (int, any) { return c.one(launchDarklyOne, clone) }},
			{"PATCH", launchDarklyOne, func(c *Call) (int, any) { return launchDarklyPatch(c, fill(launchDarklyOne, c.Vars)) }},
			{"DELETE", launchDarklyOne, func(c *Call) (int, any) { return c.drop(launchDarklyOne, 204, nil) }},
		},
	}
}

// launchDarklyPage answers a part of the list, with the address of the next one.
func launchDarklyPage(c *Call) (int, any) {
	path := fill(launchDarklyList, c.Vars)
	all := slices.DeleteFunc(c.all(path, func(doc map[string]any) map[string]any {
		out := clone(doc)
		environments := part(out, "environments")
		out["environments"] = map[string]any{}
		if env := c.Query("env"); env != "" {
			out["environments"] = map[string]any{env: environments[env]}
		}
		return out
	}), func(v any) bool { return v.(map[string]any)["archived"] == true })
	page, next := c.page(all, "offset", "limit", 100)
	links := map[string]any{"self": map[string]any{"href": path}}
	if next > 0 {
		links["next"] = map[string]any{"href": fmt.Sprintf("%s?limit=%s&env=%s&offset=%d", path, c.Query("limit"), c.Query("env"), next), "type": "application/json"}
	}
	return 200, map[string]any{"items": page, "totalCount": len(all), "_links": links}
}

func launchDarklyPost(c *Call) (int, any) {
	in, _ := c.JSON()
	path := fill(launchDarklyList, c.Vars) + "/" + text(in, "key")
	switch {
	case text(in, "key") == "" || unknown(in, "key", "name", "description", "tags", "temporary") != "":
		return 400, message("invalid flag")
	case c.docs[path] != nil:
		return 409, map[string]any{"code": "conflict", "message": "key is already in use"}
	}
	now := time.Now().UnixMilli()
	doc := map[string]any{
		"key": in["key"], "name": either(in["name"], in["key"]), "description": either(in["description"], ""), "tags": either(in["tags"], []any{}),
		"temporary": either(in["temporary"], false), "archived": false, "_version": 1, "creationDate": now,
		"environments": map[string]any{
			"production": map[string]any{"on": true, "version": 1, "rules": []any{}, "lastModified": now}, "test": map[string]any{"on": false, "version": 1, "lastModified": now},
		},
	}
	c.docs[path] = doc
	return 201, doc
}

// AskApproval makes the environment of a LaunchDarkly flag ask for approvals, or no more.
func AskApproval(s *Server, path, environment string, ask bool) {
	s.locked(func() { part(part(s.docs[path], "environments"), environment)["approvals"] = ask })
}

type launchDarklyOp struct {
	Op, Path string
	Value    any
}

func launchDarklyPatch(c *Call, path string) (int, any) {
	doc := clone(c.docs[path])
	var in struct {
		Patch []launchDarklyOp
	}
	if doc == nil {
		return 404, message("Unknown flag key")
	}
	if strings.Contains(c.Header.Get("Content-Type"), "domain-model=launchdarkly.semanticpatch") {
		in.Patch = launchDarklySemantic(c)
	} else if json.Unmarshal(c.Body, &in) != nil {
		in.Patch = nil
	}
	if len(in.Patch) == 0 {
		return 400, message("invalid patch")
	}
	for _, op := range in.Patch {
		if status, answer := launchDarklySet(c, doc, op); status != 200 {
			return status, answer
		}
	}
	doc["_version"] = c.ID()
	c.docs[path] = doc
	return 200, doc
}

// launchDarklySemantic writes a semantic patch as a JSON Patch; nil: it is none that is known here.
func launchDarklySemantic(c *Call) (out []launchDarklyOp) {
	var in struct {
		EnvironmentKey string
		Instructions   []struct{ Kind string }
	}
	_ = json.Unmarshal(c.Body, &in)
	for _, one := range in.Instructions {
		switch one.Kind {
		case "turnFlagOn", "turnFlagOff":
			out = append(out, launchDarklyOp{"replace", "/environments/" + in.EnvironmentKey + "/on", one.Kind == "turnFlagOn"})
		case "archiveFlag", "restoreFlag":
			out = append(out, launchDarklyOp{"replace", "/archived", one.Kind == "archiveFlag"})
		default:
			return nil
		}
	}
	return out
}

// launchDarklySet carries out one operation of a patch.
func launchDarklySet(c *Call, doc map[string]any, op launchDarklyOp) (int, any) {
	names := strings.Split(op.Path, "/")
	holder, last := doc, names[len(names)-1]
	switch {
	case len(names) == 4 && names[1] == "environments" && last == "on":
		if holder = part(part(doc, "environments"), names[2]); holder["approvals"] == true {
			return 405, message("Approval is required to make this request")
		}
	case len(names) != 2 || !slices.Contains([]string{"name", "description", "tags", "temporary", "archived"}, last):
		return 400, message("invalid path")
	}
	switch {
	case holder[last] == nil:
		return 400, message("unknown environment")
	case op.Op == "test" && !equal(holder[last], op.Value):
		return 409, message("test failed")
	case op.Op == "replace":
		holder[last] = op.Value
		if len(names) == 4 {
			holder["version"], holder["lastModified"] = c.ID(), time.Now().UnixMilli()
		}
	}
	return 200, nil
}
