package cards

import (
	"encoding/json"
	"slices"
	"strings"
)

// Airflow has DAGs of which a call may change nothing but whether they are paused, and variables that it shows as
// asterisks where their name says that they are secret.
func Airflow() Card {
	const dag, list, one = "/dags/{dag}", "/variables", "/variables/{key}"
	return Card{
		Name: "airflow", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", "/dags", func(c *Call) (int, any) {
				all := slices.DeleteFunc(c.all("/dags", clone), func(d any) bool { return c.Query("paused") == "true" && d.(map[string]any)["is_paused"] != true })
				return airflowPage(c, "dags", all)
			}},
			{"PUT", dag, func(c *Call) (int, any) { // as if somebody had made it
				in, _ := c.JSON()
				c.docs[fill(dag, c.Vars)] = in
				return 200, in
			}},
			{"GET", dag + "/details", func(c *Call) (int, any) { return c.one(dag, clone) }},
			{"PATCH", dag, func(c *Call) (int, any) {
				in, _ := c.JSON()
				doc := c.docs[fill(dag, c.Vars)]
				switch {
				case doc == nil:
					return 404, map[string]any{"detail": "not found"}
				case unknown(in, "is_paused") != "" || c.Query("update_mask") != "is_paused":
					return 400, map[string]any{"detail": "Only `is_paused` field can be updated through the REST API"}
				}
				doc["is_paused"] = in["is_paused"]
				return 200, doc
			}},
			{"DELETE", dag, func(c *Call) (int, any) { return c.drop(dag, 204, nil) }},
			{"GET", list, func(c *Call) (int, any) { return airflowPage(c, "variables", c.all(list, airflowShow)) }},
			{"POST", list, func(c *Call) (int, any) {
				if in, _ := c.JSON(); c.docs[list+"/"+text(in, "key")] != nil {
					return 409, map[string]any{"detail": "it is there"}
				}
				return airflowVariable(c, 201)
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, airflowShow) }},
			{"PATCH", one, func(c *Call) (int, any) {
				if c.docs[fill(one, c.Vars)] == nil {
					return 404, map[string]any{"detail": "not found"}
				}
				return airflowVariable(c, 200)
			}},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
		},
	}
}

func airflowShow(doc map[string]any) map[string]any {
	out := clone(doc)
	var members map[string]any
	switch value := text(doc, "value"); {
	case strings.Contains(text(doc, "key"), "password"):
		out["value"] = "***"
	case json.Unmarshal([]byte(value), &members) == nil && members["password"] != nil:
		members["password"] = "***"
		raw, _ := json.Marshal(members)
		out["value"] = string(raw)
	}
	return out
}

// airflowPage answers with a part of a list, of a hundred elements at most.
func airflowPage(c *Call, name string, all []any) (int, any) {
	page, _ := c.page(all, "offset", "limit", 100)
	return 200, map[string]any{name: page, "total_entries": len(all)}
}

// airflowVariable takes over what a body says of a variable; what it does not say stays.
func airflowVariable(c *Call, status int) (int, any) {
	const list = "/variables"
	in, ok := c.JSON()
	key := text(in, "key")
	if _, isText := in["value"].(string); !ok || !isText || key == "" || c.Vars["key"] != "" && key != c.Vars["key"] || unknown(in, "key", "value", "description", "team_name") != "" {
		return 400, map[string]any{"detail": "invalid variable"}
	}
	doc := clone(c.docs[list+"/"+key])
	if doc == nil {
		doc = map[string]any{"description": nil, "team_name": nil, "is_encrypted": true}
	}
	for name, v := range in {
		doc[name] = v
	}
	c.docs[list+"/"+key] = doc
	return status, airflowShow(c.docs[list+"/"+key])
}
