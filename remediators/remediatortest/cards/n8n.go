package cards

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const n8nList, n8nOne = "/workflows", "/workflows/{id}"

// N8N has workflows with versions: what is published without saying a version is the latest one, and a change of a
// published workflow is published at once, unless the call says that it is not to be.
func N8N() Card {
	change := func(do func(c *Call, doc map[string]any) (int, any)) func(c *Call) (int, any) {
		return func(c *Call) (int, any) {
			doc := c.docs[fill(n8nOne, c.Vars)]
			if doc == nil {
				return 404, message("Not Found")
			}
			return do(c, doc)
		}
	}
	return Card{
		Name: "n8n", Credential: [2]string{"X-N8n-Api-Key", ""}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", n8nList, func(c *Call) (int, any) {
				page, next := c.page(c.all(n8nList, n8nShow), "cursor", "limit", 250)
				return 200, map[string]any{"data": page, "nextCursor": orNull(strings.TrimPrefix(strconv.Itoa(next), "0"), "")}
			}},
			{"POST", n8nList, func(c *Call) (int, any) {
				id := fmt.Sprint("w", c.ID())
				now := time.Now().UTC().Format(time.RFC3339)
				doc := map[string]any{"id": id, "active": false, "activeVersion": nil, "isArchived": false, "createdAt": now}
				if answer := n8nSet(c, doc); answer != nil {
					return 400, answer
				}
				c.docs[n8nList+"/"+id] = doc
				return 200, n8nShow(doc)
			}},
			{"GET", n8nOne, func(c *Call) (int, any) { return c.one(n8nOne, n8nShow) }},
			{"PUT", n8nOne, change(n8nPut)},
			{"POST", n8nOne + "/publish", change(n8nPublish)},
			{"POST", n8nOne + "/unpublish", change(func(_ *Call, doc map[string]any) (int, any) {
				doc["active"], doc["activeVersion"] = false, nil
				return 200, n8nShow(doc)
			})},
			{"POST", n8nOne + "/review", change(func(_ *Call, doc map[string]any) (int, any) { // as if somebody had asked for one
				doc["review"] = true
				return 200, nil
			})},
			{"POST", n8nOne + "/rival", change(func(_ *Call, doc map[string]any) (int, any) { // as if another workflow had its webhook
				doc["rival"] = true
				return 200, nil
			})},
			{"DELETE", n8nOne, func(c *Call) (int, any) { return c.drop(n8nOne, 200, nil) }},
		},
	}
}

// n8nSet takes over what a workflow is made of, as a new version; an answer says what it lacks.
func n8nSet(c *Call, doc map[string]any) any {
	in, ok := c.JSON()
	for _, name := range []string{"name", "nodes", "connections", "settings"} {
		if ok = ok && in[name] != nil; !ok {
			return message("request/body must have required property '" + name + "'")
		}
	}
	if name := unknown(in, strings.Fields("name nodes connections settings staticData pinData nodeGroups")...); name != "" {
		return message("request/body must NOT have additional properties: " + name)
	}
	for name, v := range in {
		doc[name] = v
	}
	doc["versionId"], doc["updatedAt"] = fmt.Sprint("v", c.ID()), time.Now().UTC().Format(time.RFC3339)
	versions, _ := doc["versions"].([]any)
	doc["versions"] = append(versions, doc["versionId"])
	return nil
}

func n8nPut(c *Call, doc map[string]any) (int, any) {
	if answer := n8nSet(c, doc); answer != nil {
		return 400, answer
	}
	if doc["active"] == true && c.Query("publishIfActive") != "false" {
		doc["activeVersion"] = map[string]any{"versionId": doc["versionId"], "nodes": doc["nodes"]}
	}
	return 200, n8nShow(doc)
}

func n8nPublish(c *Call, doc map[string]any) (int, any) {
	in, _ := c.JSON()
	wanted := either(in["versionId"], doc["versionId"])
	versions, _ := doc["versions"].([]any)
	switch {
	case doc["review"] == true:
		return 409, map[string]any{"message": "an open review blocks it", "reason": "review_pending", "workflowReviewRequestId": "r1"}
	case doc["rival"] == true:
		return 409, map[string]any{"message": "There is a conflict with one of the webhooks"}
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
	for _, name := range []string{"versions", "review", "rival"} {
		delete(out, name)
	}
	return out
}
