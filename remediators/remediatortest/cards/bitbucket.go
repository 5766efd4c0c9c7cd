package cards

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bitbucket has webhooks that show whether they have a secret and never which; a change keeps the secret that it does
// not say, and takes away one that it says to be null.
func Bitbucket() Card {
	c := Card{Name: "bitbucket", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After")}
	for _, list := range []string{"/repositories/{workspace}/{repo}/hooks", "/workspaces/{workspace}/hooks"} {
		one := list + "/{id}"
		c.Routes = append(c.Routes, []Route{
			{"GET", list, func(c *Call) (int, any) {
				all := c.all(list, bitbucketShow)
				page, next := c.page(all, "after", "pagelen", 100)
				out := map[string]any{"values": page, "size": len(all)}
				if next > 0 {
					out["next"] = c.URL + fill(list, c.Vars) + "?pagelen=100&after=" + strconv.Itoa(next)
				}
				return 200, out
			}},
			{"POST", list, func(c *Call) (int, any) {
				id := fmt.Sprintf("{00000000-0000-4000-8000-%012d}", c.ID())
				doc := map[string]any{"uuid": id, "type": "webhook_subscription", "created_at": time.Now().UTC().Format(time.RFC3339), "active": false, "description": "", "skip_cert_verification": false}
				if !bitbucketSet(c, doc) {
					return 400, message("Bad Request")
				}
				c.docs[fill(list, c.Vars)+"/"+id] = doc
				return 201, bitbucketShow(doc)
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, bitbucketShow) }},
			{"PUT", one, func(c *Call) (int, any) {
				doc := clone(c.docs[fill(one, c.Vars)])
				switch {
				case doc == nil:
					return 404, message("Webhook not found")
				case !bitbucketSet(c, doc):
					return 400, message("Bad Request")
				}
				c.docs[fill(one, c.Vars)] = doc
				return 200, bitbucketShow(doc)
			}},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
		}...)
	}
	return c
}

// bitbucketSet takes over what a body says; false: it is not right.
func bitbucketSet(c *Call, doc map[string]any) bool {
	in, ok := c.JSON()
	events, _ := in["events"].([]any)
	at, err := url.Parse(text(in, "url")) // it has to be a name that resolves
	if !ok || err != nil || at.Hostname() == "" || strings.HasSuffix(at.Hostname(), ".invalid") || len(events) == 0 || unknown(in, strings.Fields("description url active events secret skip_cert_verification")...) != "" {
		return false
	}
	for name, v := range in {
		doc[name] = v
	}
	return true
}

func bitbucketShow(doc map[string]any) map[string]any {
	out := clone(doc)
	out["secret_set"] = out["secret"] != nil
	delete(out, "secret")
	return out
}
