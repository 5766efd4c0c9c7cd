package cards

import "fmt"

// N8N has workflows with versions: what is published without saying a version is the latest one.
func N8N() Card {
	const list, one = "/workflows", "/workflows/{id}"
	change := func(do func(c *Call, doc map[string]any) (int, any)) func(c *Call) (int, any) {
		return func(c *Call) (int, any) {
			doc := c.docs[fill(one, c.Vars)]
			if doc == nil {
				return 404, message("Not Found")
			}
			return do(c, doc)
		}
	}
	version := func(c *Call, doc map[string]any) {
		doc["versionId"] = fmt.Sprint("v", c.ID())
		versions, _ := doc["versions"].([]any)
		doc["versions"] = append(versions, doc["versionId"])
	}
	return Card{
		Name: "n8n", Credential: [2]string{"X-N8n-Api-Key", ""}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", list, func(*Call) (int, any) { return 200, map[string]any{"data": []any{}} }},
			{"POST", list, func(c *Call) (int, any) {
				id := fmt.Sprint("w", c.ID())
				c.docs[list+"/"+id] = map[string]any{"id": id, "active": false, "activeVersion": nil}
				version(c, c.docs[list+"/"+id])
				return 200, n8nShow(c.docs[list+"/"+id])
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, n8nShow) }},
			{"PUT", one, change(func(c *Call, doc map[string]any) (int, any) { version(c, doc); return 200, n8nShow(doc) })},
			{"POST", one + "/publish", change(n8nPublish)},
			{"POST", one + "/unpublish", change(func(_ *Call, doc map[string]any) (int, any) {
				doc["active"], doc["activeVersion"] = false, nil
				return 200, n8nShow(doc)
			})},
			{"POST", one + "/review", change(func(_ *Call, doc map[string]any) (int, any) { // as if somebody had asked for one
				doc["review"] = true
				return 200, nil
			})},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 200, nil) }},
		},
	}
}

func n8nPublish(c *Call, doc map[string]any) (int, any) {
	in, _ := c.JSON()
	wanted := either(in["versionId"], doc["versionId"])
	versions, _ := doc["versions"].([]any)
	switch {
	case doc["review"] == true:
		return 409, map[string]any{"message": "an open review blocks it", "reason": "review_pending"}
	case unknown(in, "versionId", "name", "description") != "":
		return 400, message("request/body must NOT have additional properties")
	}
	for _, v := range versions {
		if v == wanted {
			doc["active"], doc["activeVersion"] = true, map[string]any{"versionId": wanted, "nodes": []any{}, "updatedAt": fmt.Sprint(c.ID())}
			return 200, n8nShow(doc)
		}
	}
	return 404, message("Version not found")
}

func n8nShow(doc map[string]any) map[string]any {
	out := clone(doc)
	delete(out, "versions")
	delete(out, "review")
	return out
}
