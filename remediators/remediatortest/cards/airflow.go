package cards

import "strings"

// Airflow has DAGs of which a call may change nothing but whether they are paused, and variables that it shows as
// asterisks where their name says that they are secret.
func Airflow() Card {
	const dag, list, one = "/dags/{dag}", "/variables", "/variables/{key}"
	variable := func(c *Call, status int) (int, any) {
		in, ok := c.JSON()
		key := text(in, "key")
		if _, isText := in["value"].(string); !ok || !isText || key == "" || c.Vars["key"] != "" && key != c.Vars["key"] {
			return 400, map[string]any{"detail": "invalid variable"}
		}
		c.docs[list+"/"+key] = map[string]any{"key": key, "value": in["value"], "description": in["description"], "is_encrypted": true}
		return status, airflowShow(c.docs[list+"/"+key])
	}
	return Card{
		Name: "airflow", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", "/dags", func(*Call) (int, any) { return 200, map[string]any{"dags": []any{}, "total_entries": 0} }},
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
			{"GET", list, func(*Call) (int, any) { return 200, map[string]any{"variables": []any{}, "total_entries": 0} }},
			{"POST", list, func(c *Call) (int, any) {
				if in, _ := c.JSON(); c.docs[list+"/"+text(in, "key")] != nil {
					return 409, map[string]any{"detail": "it is there"}
				}
				return variable(c, 201)
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, airflowShow) }},
			{"PATCH", one, func(c *Call) (int, any) {
				if c.docs[fill(one, c.Vars)] == nil {
					return 404, map[string]any{"detail": "not found"}
				}
				return variable(c, 200)
			}},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
		},
	}
}

func airflowShow(doc map[string]any) map[string]any {
	out := clone(doc)
	if strings.Contains(text(doc, "key"), "password") {
		out["value"] = "***"
	}
	return out
}
