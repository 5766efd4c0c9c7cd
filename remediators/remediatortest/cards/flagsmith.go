package cards

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Flagsmith has features, and flags that a PATCH changes where it says something and a PUT replaces, to nothing where it is
// silent. A value is never said to be null, variants are said of multivariate features alone, and each of the overrides is for
// one segment, with a priority that no other has.
func Flagsmith() Card {
	const one = "/api/__future__/environments/{environment}/features/{feature}/"
	const list = "/api/v1/environments/{environment}/featurestates/"
	c := Card{
		Name: "flagsmith", Credential: [2]string{"Authorization", "Api-Key "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", "/api/v1/organisations/", func(*Call) (int, any) { return 200, map[string]any{"results": []any{}} }},
			{"GET", "/api/v1/environments/{environment}/", func(c *Call) (int, any) { return 200, map[string]any{"api_key": c.Vars["environment"]} }},
			{"GET", list, func(c *Call) (int, any) { return flagsmithStates(c, fill(list, c.Vars)) }},
			{"POST", one, func(c *Call) (int, any) { // as if somebody had made the feature
				in, _ := c.JSON()
				value, said := in["value"]
				if !said {
					value = map[string]any{"type": "string", "value": "old"}
				}
				c.docs[fill(one, c.Vars)] = map[string]any{
					"environment_default": map[string]any{"enabled": false, "value": value, "variants": []any{}}, "segment_overrides": []any{},
				}
				return 201, nil
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
			{"PATCH", one, func(c *Call) (int, any) { return flagsmithSet(c, fill(one, c.Vars), true) }},
			{"PUT", one, func(c *Call) (int, any) { return flagsmithSet(c, fill(one, c.Vars), false) }},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
			{"POST", "/workflows/", func(c *Call) (int, any) { // as if somebody had asked for change requests
				c.docs["/workflows"] = map[string]any{"on": true}
				return 200, nil
			}},
		},
	}
	c.Routes = append(c.Routes, flagsmithFeatures()...)
	return c
}

// flagsmithFeatures are the calls about features.
func flagsmithFeatures() []Route {
	const list = "/api/v1/projects/{project}/features/"
	const one = list + "{feature}/"
	set := func(doc, in map[string]any) {
		for name, v := range in {
			doc[name] = v
		}
	}
	at := func(c *Call) string { return strings.TrimSuffix(fill(one, c.Vars), "/") }
	return []Route{
		{"GET", list, func(c *Call) (int, any) {
			return flagsmithPage(c, fill(list, c.Vars), c.all(strings.TrimSuffix(list, "/"), clone), 999)
		}},
		{"POST", list, func(c *Call) (int, any) {
			in, ok := c.JSON()
			if !ok || text(in, "name") == "" || unknown(in, "name", "type", "default_enabled", "initial_value", "description", "tags", "is_archived", "is_server_key_only") != "" {
				return 400, map[string]any{"detail": "invalid"}
			}
			doc := map[string]any{
				"id": c.ID(), "type": "STANDARD", "default_enabled": false, "initial_value": nil, "description": nil, "tags": []any{}, "is_archived": false, "is_server_key_only": false,
				"created_date": time.Now().UTC().Format(time.RFC3339),
			}
			set(doc, in)
			c.Vars["feature"] = fmt.Sprint(doc["id"])
			c.docs[at(c)] = doc
			return 201, doc
		}},
		{"GET", one, func(c *Call) (int, any) { return c.one(strings.TrimSuffix(one, "/"), clone) }},
		{"PATCH", one, func(c *Call) (int, any) {
			in, ok := c.JSON()
			doc := c.docs[at(c)]
			switch {
			case doc == nil:
				return 404, map[string]any{"detail": "Not found."}
			case !ok || unknown(in, "description", "tags", "is_archived", "is_server_key_only") != "":
				return 400, map[string]any{"detail": "invalid"}
			}
			set(doc, in)
			return 200, doc
		}},
		{"DELETE", one, func(c *Call) (int, any) { return c.drop(strings.TrimSuffix(one, "/"), 204, nil) }},
	}
}

// flagsmithPage answers with a page of a list, and the address of the next one.
func flagsmithPage(c *Call, path string, all []any, most int) (int, any) {
	page, next := c.page(all, "after", "page_size", most)
	out := map[string]any{"count": len(all), "results": page, "next": nil}
	if next > 0 {
		out["next"] = c.URL + path + "?after=" + strconv.Itoa(next)
	}
	return 200, out
}

// flagsmithStates lists the states of the features of an environment, ten a page.
func flagsmithStates(c *Call, path string) (int, any) {
	below := fill("/api/__future__/environments/{environment}/features/", c.Vars)
	all := []any{}
	for _, at := range slices.Sorted(maps.Keys(c.docs)) {
		id, ok := strings.CutPrefix(at, below)
		if n, err := strconv.Atoi(strings.TrimSuffix(id, "/")); ok && err == nil {
			all = append(all, map[string]any{"id": n + 1000, "feature": n, "enabled": part(c.docs[at], "environment_default")["enabled"], "feature_segment": nil})
		}
	}
	return flagsmithPage(c, path, all, 10)
}

func flagsmithSet(c *Call, path string, merge bool) (int, any) {
	doc := clone(c.docs[path])
	in, ok := c.JSON()
	standard := part(in, "environment_default")
	overrides, _ := in["segment_overrides"].([]any)
	switch {
	case doc == nil:
		return 404, map[string]any{"detail": "Not found."}
	case c.docs["/workflows"] != nil:
		return 409, map[string]any{"detail": "Cannot update flags in an environment with change requests enabled.", "code": "change_requests_enabled"}
	case !ok || unknown(in, "environment_default", "segment_overrides") != "" || !flagsmithState(standard), merge && len(overrides) > 0, !flagsmithApart(overrides):
		return 400, map[string]any{"detail": "invalid"} // this one merges no overrides
	}
	if !merge && in["environment_default"] != nil {
		doc["environment_default"] = map[string]any{"enabled": false, "value": nil, "variants": []any{}}
	}
	for name, v := range standard {
		part(doc, "environment_default")[name] = v
	}
	if in["segment_overrides"] != nil {
		for _, o := range overrides {
			override := o.(map[string]any)
			override["value"], override["variants"] = either(override["value"], part(doc, "environment_default")["value"]), []any{}
		}
		doc["segment_overrides"] = overrides
	}
	c.docs[path] = doc
	return 200, doc
}

// flagsmithState reports whether a body says of a flag only what may be said of one that is not multivariate.
func flagsmithState(state map[string]any) bool {
	value, said := state["value"]
	_, variants := state["variants"]
	return unknown(state, "enabled", "value", "variants", "segment", "priority") == "" && (!said || value != nil) && !variants
}

// flagsmithApart reports whether each override has a segment and a priority of its own.
func flagsmithApart(overrides []any) bool {
	seen := map[any]bool{}
	for _, o := range overrides {
		override, _ := o.(map[string]any)
		if part(override, "segment")["id"] == nil || seen[override["priority"]] || !flagsmithState(override) {
			return false
		}
		seen[override["priority"]] = true
	}
	return true
}
