package cards

// Flagsmith has flags that a PATCH changes where it says something, and a PUT replaces; each of its overrides is for one
// segment, with a priority that no other has.
func Flagsmith() Card {
	const one = "/api/__future__/environments/{environment}/features/{feature}/"
	return Card{
		Name: "flagsmith", Credential: [2]string{"Authorization", "Api-Key "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", "/api/v1/environments/{environment}/", func(c *Call) (int, any) { return 200, map[string]any{"api_key": c.Vars["environment"]} }},
			{"POST", one, func(c *Call) (int, any) { // as if somebody had made the feature
				c.docs[fill(one, c.Vars)] = map[string]any{
					"environment_default": map[string]any{"enabled": false, "value": map[string]any{"type": "string", "value": "old"}, "variants": []any{}}, "segment_overrides": []any{},
				}
				return 201, nil
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
			{"PATCH", one, func(c *Call) (int, any) { return flagsmithSet(c, fill(one, c.Vars), true) }},
			{"PUT", one, func(c *Call) (int, any) { return flagsmithSet(c, fill(one, c.Vars), false) }},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
		},
	}
}

func flagsmithSet(c *Call, path string, merge bool) (int, any) {
	doc := clone(c.docs[path])
	in, ok := c.JSON()
	if doc == nil {
		return 404, map[string]any{"detail": "Not found."}
	}
	standard := part(in, "environment_default")
	overrides, _ := in["segment_overrides"].([]any)
	if !ok || unknown(in, "environment_default", "segment_overrides") != "" || unknown(standard, "enabled", "value", "variants") != "" || merge && len(overrides) > 0 || !flagsmithApart(overrides) {
		return 400, map[string]any{"detail": "invalid"} // this one merges no overrides
	}
	for name, v := range standard {
		part(doc, "environment_default")[name] = v
	}
	if in["segment_overrides"] != nil {
		doc["segment_overrides"] = overrides
	}
	c.docs[path] = doc
	return 200, doc
}

// flagsmithApart reports whether each override has a segment and a priority of its own.
func flagsmithApart(overrides []any) bool {
	seen := map[any]bool{}
	for _, o := range overrides {
		override, _ := o.(map[string]any)
		if part(override, "segment")["id"] == nil || seen[override["priority"]] {
			return false
		}
		seen[override["priority"]] = true
	}
	return true
}
