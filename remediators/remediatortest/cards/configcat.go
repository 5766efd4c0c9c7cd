package cards

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ConfigCat has flags, and values of them that a JSON Patch changes: 204 where that changes nothing. A setting that nobody set
// has the value false.
func ConfigCat() Card {
	const v1, v2 = "/v1/environments/{environment}/settings/{setting}/value", "/v2/environments/{environment}/settings/{setting}/value"
	c := Card{
		Name: "configcat", Credential: [2]string{"Authorization", "Basic "}, Basic: true, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{{"GET", "/v1/environments/{environment}", func(c *Call) (int, any) { return 200, map[string]any{"environmentId": c.Vars["environment"]} }}},
	}
	for one, fresh := range map[string]map[string]any{
		v1: {"value": false, "rolloutRules": []any{}, "rolloutPercentageItems": []any{}, "updatedAt": nil},
		v2: {"defaultValue": map[string]any{"boolValue": false}, "targetingRules": []any{}, "percentageEvaluationAttribute": nil, "lastVersionId": 0},
	} {
		c.Routes = append(c.Routes, []Route{
			{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
			{"POST", one, func(c *Call) (int, any) { // as if somebody had made the setting
				c.docs[fill(one, c.Vars)] = clone(fresh)
				return 200, fresh
			}},
			{"PUT", one, func(c *Call) (int, any) { return configCatReplace(c, fill(one, c.Vars), fresh) }},
			{"PATCH", one, func(c *Call) (int, any) {
				if c.Query("reason") == "" {
					return 400, map[string]any{"reason": "The Reason field is required."}
				}
				return configCatPatch(c, fill(one, c.Vars), strings.Fields("value rolloutRules rolloutPercentageItems defaultValue targetingRules percentageEvaluationAttribute"))
			}},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
		}...)
	}
	c.Routes = append(c.Routes, Route{"GET", "/{version}/configs/{config}/environments/{environment}/values", configCatValues})
	c.Routes = append(c.Routes, configCatSettings()...)
	return c
}

// configCatSettings are the calls about flags, less what they serve.
func configCatSettings() []Route {
	const list, one = "/v1/configs/{config}/settings", "/v1/settings/{setting}"
	return []Route{
		{"GET", list, func(c *Call) (int, any) {
			out := []any{}
			for _, e := range c.all("/v1/settings", clone) {
				if e.(map[string]any)["configId"] == c.Vars["config"] {
					out = append(out, e)
				}
			}
			return 200, Raw(asJSON(out))
		}},
		{"POST", list, func(c *Call) (int, any) {
			in, ok := c.JSON()
			if !ok || text(in, "key") == "" || text(in, "name") == "" || text(in, "settingType") == "" || unknown(in, "key", "name", "settingType", "hint", "tags", "order", "initialValues") != "" {
				return 400, nil
			}
			id := c.ID()
			doc := map[string]any{
				"settingId": id, "key": in["key"], "name": in["name"], "hint": in["hint"], "order": 0, "settingType": in["settingType"], "configId": c.Vars["config"], "configName": "main", "tags": []any{},
			}
			c.docs[fmt.Sprint("/v1/settings/", id)] = doc
			return 201, doc
		}},
		{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
		{"PATCH", one, func(c *Call) (int, any) {
			return configCatPatch(c, fill(one, c.Vars), strings.Fields("name hint order tags"))
		}},
		{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
	}
}

func asJSON(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

// configCatValues lists the values of an environment.
func configCatValues(c *Call) (int, any) {
	name := map[string]string{"v1": "settingValues", "v2": "settingFormulas"}[c.Vars["version"]]
	below := fill("/{version}/environments/{environment}/settings/", c.Vars)
	out := []any{}
	for path, doc := range c.docs {
		id, ok := strings.CutPrefix(path, below)
		if ok {
			doc = clone(doc)
			doc["setting"] = map[string]any{"settingId": json.Number(strings.TrimSuffix(id, "/value"))}
			out = append(out, doc)
		}
	}
	return 200, map[string]any{"config": map[string]any{"configId": c.Vars["config"]}, name: out, "readOnly": false}
}

// configCatReplace sets what a body does not say to what nobody set.
func configCatReplace(c *Call, path string, fresh map[string]any) (int, any) {
	in, ok := c.JSON()
	doc := clone(fresh)
	switch {
	case c.docs[path] == nil:
		return 404, nil
	case !ok || c.Query("reason") == "":
		return 400, map[string]any{"reason": "The Reason field is required."}
	}
	for name, v := range in {
		doc[name] = v
	}
	c.docs[path] = doc
	return 200, doc
}

// configCatPatch changes those of the members that may be patched.
func configCatPatch(c *Call, path string, may []string) (int, any) {
	doc := clone(c.docs[path])
	var patch []struct {
		Op, Path string
		Value    any
	}
	if doc == nil {
		return 404, nil
	}
	if json.Unmarshal(c.Body, &patch) != nil || len(patch) == 0 {
		return 400, map[string]any{"reason": "it is no patch"}
	}
	for _, op := range patch {
		name := strings.TrimPrefix(op.Path, "/")
		if _, known := doc[name]; !known || op.Op != "replace" || unknown(map[string]any{name: nil}, may...) != "" {
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
