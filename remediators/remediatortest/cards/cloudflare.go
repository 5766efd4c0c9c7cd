package cards

import (
	"fmt"
	"strings"
)

// cloudflareKnown are the members that a record may be given.
const cloudflareKnown = "type name content ttl proxied comment tags settings priority data"

func cloudflareEnvelope(result any) map[string]any {
	return map[string]any{"success": true, "errors": []any{}, "messages": []any{}, "result": result}
}

func cloudflareError(code int) map[string]any {
	return map[string]any{"success": false, "errors": []any{map[string]any{"code": code}}}
}

// Cloudflare has DNS records in an envelope, whose PATCH changes what it names.
func Cloudflare() Card {
	const list = "/zones/{zone}/dns_records"
	const one = list + "/{id}"
	return Card{
		Name: "cloudflare", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", list, func(c *Call) (int, any) {
				out := []any{}
				for _, path := range c.below(fill(list, c.Vars)) {
					out = append(out, c.docs[path])
				}
				return 200, cloudflareEnvelope(out)
			}},
			{"POST", list, func(c *Call) (int, any) { return cloudflareCreate(c, fill(list, c.Vars)) }},
			{"GET", one, func(c *Call) (int, any) {
				if doc := c.docs[fill(one, c.Vars)]; doc != nil {
					return 200, cloudflareEnvelope(doc)
				}
				return 404, cloudflareError(81044)
			}},
			{"PATCH", one, func(c *Call) (int, any) { return cloudflarePatch(c, fill(one, c.Vars)) }},
			{"DELETE", one, func(c *Call) (int, any) {
				if status, _ := c.drop(one, 200, nil); status != 200 {
					return 404, cloudflareError(81044)
				}
				return 200, cloudflareEnvelope(map[string]any{"id": c.Vars["id"]})
			}},
		},
	}
}

func cloudflareCreate(c *Call, list string) (int, any) {
	in, ok := c.JSON()
	if !ok || text(in, "type") == "" || text(in, "name") == "" || in["content"] == nil && in["data"] == nil || unknown(in, strings.Fields(cloudflareKnown)...) != "" {
		return 400, cloudflareError(1004)
	}
	id := fmt.Sprintf("%032x", c.ID())
	doc := map[string]any{
		"id": id, "ttl": 1, "proxied": false, "comment": nil, "tags": []any{}, "settings": map[string]any{}, "proxiable": true, "meta": map[string]any{},
		"created_on": fmt.Sprint(c.ID()), "modified_on": fmt.Sprint(c.ID()),
	}
	for name, v := range in {
		doc[name] = v
	}
	c.docs[list+"/"+id] = doc
	return 200, cloudflareEnvelope(doc)
}

func cloudflarePatch(c *Call, path string) (int, any) {
	doc := c.docs[path]
	in, ok := c.JSON()
	switch {
	case doc == nil:
		return 404, cloudflareError(81044)
	case !ok || unknown(in, strings.Fields(cloudflareKnown)...) != "":
		return 400, cloudflareError(1004)
	}
	for name, v := range in {
		doc[name] = v
	}
	doc["modified_on"] = fmt.Sprint(c.ID())
	return 200, cloudflareEnvelope(doc)
}
