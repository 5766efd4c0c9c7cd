package cards

import (
	"fmt"
	"slices"
)

// Gitea has webhooks whose secret never shows; a change that leaves out the events sets them to push, and one that
// leaves out the branch filter or the authorization header empties them.
func Gitea() Card {
	c := Card{Name: "gitea", Credential: [2]string{"Authorization", "token "}, LimitFunc: LimitSeconds("Retry-After")}
	for _, list := range []string{"/repos/{owner}/{repo}/hooks", "/orgs/{org}/hooks"} {
		one := list + "/{id}"
		c.Routes = append(c.Routes, []Route{
			{"GET", list, func(c *Call) (int, any) {
				out := []any{}
				for _, path := range c.below(fill(list, c.Vars)) {
					out = append(out, giteaShow(c.docs[path]))
				}
				return 200, out
			}},
			{"POST", list, func(c *Call) (int, any) {
				in, ok := c.JSON()
				config := part(in, "config")
				if !ok || in["type"] != "gitea" || text(config, "url") == "" || text(config, "content_type") == "" {
					return 422, message("Missing config option")
				}
				id := c.ID()
				doc := map[string]any{"id": id, "type": "gitea", "active": either(in["active"], false), "created_at": fmt.Sprint(c.ID()), "config": config}
				giteaSet(c, doc, in)
				c.docs[fmt.Sprint(fill(list, c.Vars), "/", id)] = doc
				return 201, giteaShow(doc)
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, giteaShow) }},
			{"PATCH", one, func(c *Call) (int, any) {
				doc := c.docs[fill(one, c.Vars)]
				in, ok := c.JSON()
				if doc == nil || !ok {
					return 404, message("Not Found")
				}
				config := part(doc, "config")
				for name, v := range part(in, "config") {
					config[name] = v
				}
				doc["active"] = either(in["active"], doc["active"])
				giteaSet(c, doc, in)
				return 200, giteaShow(doc)
			}},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
		}...)
	}
	return c
}

// giteaSet takes over what every change sets, said or not.
func giteaSet(c *Call, doc, in map[string]any) {
	events, _ := in["events"].([]any)
	if len(events) == 0 {
		events = []any{"push"}
	}
	if slices.Contains(events, any("issues")) { // one name for several events
		for _, e := range []string{"issue_assign", "issue_label", "issue_milestone", "issue_comment"} {
			if !slices.Contains(events, any(e)) {
				events = append(events, e)
			}
		}
	}
	doc["events"], doc["branch_filter"], doc["authorization_header"] = events, either(in["branch_filter"], ""), either(in["authorization_header"], "")
	doc["updated_at"] = fmt.Sprint(c.ID())
}

func giteaShow(doc map[string]any) map[string]any {
	out := clone(doc)
	delete(part(out, "config"), "secret")
	return out
}
