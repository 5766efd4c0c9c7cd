package cards

import (
	"fmt"
	"strconv"
	"time"
)

// Vault has secrets with versions, at the mount secret: a deleted version can be had again, a destroyed one cannot.
// What is written there is kept, and shown to nobody here.
func Vault() Card {
	const data, metadata = "/v1/secret/data/{path...}", "/v1/secret/metadata/{path...}"
	at := func(c *Call) string { return "/secret/" + c.Vars["path"] }
	each := func(do func(version map[string]any)) func(c *Call) (int, any) {
		return func(c *Call) (int, any) {
			in, _ := c.JSON()
			wanted, _ := in["versions"].([]any)
			versions := part(c.docs[at(c)], "versions")
			for _, v := range wanted {
				n, isNumber := v.(float64)
				if !isNumber {
					return 400, map[string]any{"errors": []any{"versions are numbers"}}
				}
				if version := part(versions, strconv.Itoa(int(n))); version["destroyed"] == false {
					do(version)
				}
			}
			return 204, nil
		}
	}
	return Card{
		Name: "vault", Credential: [2]string{"X-Vault-Token", ""}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", "/v1/auth/token/lookup-self", func(*Call) (int, any) { return 200, map[string]any{"data": map[string]any{}} }},
			{"POST", data, func(c *Call) (int, any) {
				doc := c.docs[at(c)]
				if doc == nil {
					doc = map[string]any{"current_version": 0, "versions": map[string]any{}}
				}
				n, _ := doc["current_version"].(int)
				doc["current_version"] = n + 1
				part(doc, "versions")[strconv.Itoa(n+1)] = map[string]any{"created_time": fmt.Sprint(c.ID()), "deletion_time": "", "destroyed": false}
				c.docs[at(c)] = doc
				return 200, map[string]any{"data": map[string]any{"version": n + 1}}
			}},
			{"GET", metadata, func(c *Call) (int, any) {
				if doc := c.docs[at(c)]; doc != nil {
					return 200, map[string]any{"data": doc}
				}
				return 404, map[string]any{"errors": []any{}}
			}},
			{"POST", "/v1/secret/delete/{path...}", each(func(v map[string]any) { v["deletion_time"] = time.Now().Format(time.RFC3339Nano) })},
			{"POST", "/v1/secret/undelete/{path...}", each(func(v map[string]any) { v["deletion_time"] = "" })},
			{"POST", "/v1/secret/destroy/{path...}", each(func(v map[string]any) { v["destroyed"] = true })},
			{"DELETE", metadata, func(c *Call) (int, any) { delete(c.docs, at(c)); return 204, nil }},
		},
	}
}
