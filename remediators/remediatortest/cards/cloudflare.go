package cards

import "fmt"

// Cloudflare has DNS records in an envelope, whose PATCH changes what it names.
func Cloudflare() Card {
	const list = "/zones/{zone}/dns_records"
	const one = list + "/{id}"
	known := []string{"type", "name", "content", "ttl", "proxied", "comment", "tags", "settings", "priority", "data"}
	envelope := func(result any) map[string]any {
		return map[string]any{"success": true, "errors": []any{}, "messages": []any{}, "result": result}
	}
	missing := map[string]any{"success": false, "errors": []any{map[string]any{"code": 81044, "message": "Record does not exist."}}}
	bad := map[string]any{"success": false, "errors": []any{map[string]any{"code": 1004, "message": "DNS Validation Error"}}}
	return Card{
		Name: "cloudflare", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", list, func(c *Call) (int, any) {
				out := []any{}
				for _, path := range c.below(fill(list, c.Vars)) {
					out = append(out, c.docs[path])
				}
				return 200, envelope(out)
			}},
			{"POST", list, func(c *Call) (int, any) {
				in, ok := c.JSON()
				if !ok || text(in, "type") == "" || text(in, "name") == "" || in["content"] == nil && in["data"] == nil || unknown(in, known...) != "" {
					return 400, bad
				}
				id := fmt.Sprintf("%032x", c.ID())
				doc := map[string]any{
					"id": id, "ttl": 1, "proxied": false, "comment": nil, "tags": []any{}, "settings": map[string]any{}, "proxiable": true, "meta": map[string]any{},
					"created_on": fmt.Sprint(c.ID()), "modified_on": fmt.Sprint(c.ID()),
				}
				for name, v := range in {
					doc[name] = v
				}
				c.docs[fill(list, c.Vars)+"/"+id] = doc
				return 200, envelope(doc)
			}},
			{"GET", one, func(c *Call) (int, any) {
				if doc := c.docs[fill(one, c.Vars)]; doc != nil {
					return 200, envelope(doc)
				}
				return 404, missing
			}},
			{"PATCH", one, func(c *Call) (int, any) {
				doc := c.docs[fill(one, c.Vars)]
				in, ok := c.JSON()
				switch {
				case doc == nil:
					return 404, missing
				case !ok || unknown(in, known...) != "":
					return 400, bad
				}
				for name, v := range in {
					doc[name] = v
				}
				doc["modified_on"] = fmt.Sprint(c.ID())
				return 200, envelope(doc)
			}},
			{"DELETE", one, func(c *Call) (int, any) {
				if status, _ := c.drop(one, 200, nil); status != 200 {
					return 404, missing
				}
				return 200, envelope(map[string]any{"id": c.Vars["id"]})
			}},
		},
	}
}
