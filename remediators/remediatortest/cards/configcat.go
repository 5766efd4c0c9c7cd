package cards

import (
	"encoding/json"
	"strings"
)

// ConfigCat has values that a JSON Patch changes: 204 where that changes nothing. A setting that nobody set has the
// value false.
func ConfigCat() Card {
	const v1, v2 = "/v1/environments/{environment}/settings/{setting}/value", "/v2/environments/{environment}/settings/{setting}/value"
	c := Card{
		Name: "configcat", Credential: [2]string{"Authorization", "Basic "}, Basic: true, LimitFunc: LimitSeconds("X-Rate-Limit-Reset"),
		Routes: []Route{{"GET", "/v1/environments/{environment}", func(c *Call) (int, any) { return 200, map[string]any{"environmentId": c.Vars["environment"]} }}},
	}
	for one, fresh := range map[string]map[string]any{
		v1: {"value": false, "rolloutRules": []any{}, "rolloutPercentageItems": []any{}, "updatedAt": nil},
		v2: {"defaultValue": map[string]any{"boolValue": false}, "targetingRules": []any{}, "lastVersionId": 0},
	} {
		c.Routes = append(c.Routes, []Route{
			{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
			{"PUT", one, func(c *Call) (int, any) { // as if somebody had made the setting
				c.docs[fill(one, c.Vars)] = clone(fresh)
				return 200, fresh
			}},
			{"PATCH", one, func(c *Call) (int, any) { return configCatPatch(c, fill(one, c.Vars)) }},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
		}...)
	}
	return c
}

func configCatPatch(c *Call, path string) (int, any) {
	doc := clone(c.docs[path])
	var patch []struct {
		Op, Path string
		Value    any
	}
	if doc == nil {
		return 404, nil
	}
	if json.Unmarshal(c.Body, &patch) != nil || len(patch) == 0 || c.Query("reason") == "" {
		return 400, map[string]any{"reason": "The Reason field is required."}
	}
	for _, op := range patch {
		name := strings.TrimPrefix(op.Path, "/")
		if _, known := doc[name]; !known || op.Op != "replace" {
			return 400, map[string]any{"path": "it cannot be patched"}
		}
		doc[name] = op.Value
	}
	if equal(doc, c.docs[path]) {
		return 204, nil
	}
	c.docs[path] = doc
	return 200, doc
}
