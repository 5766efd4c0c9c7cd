package cards

import (
	"fmt"
	"slices"
	"strings"
)

// gitlabFlags are the switches of a hook.
var gitlabFlags = strings.Fields("push_events issues_events confidential_issues_events merge_requests_events tag_push_events note_events confidential_note_events job_events " +
	"pipeline_events wiki_page_events deployment_events feature_flag_events releases_events milestone_events emoji_events resource_access_token_events enable_ssl_verification")

var gitlabTexts = strings.Fields("name description push_events_branch_filter branch_filter_strategy custom_webhook_template")

// GitLab has webhooks whose token never shows and is dropped, with URL variables and custom headers, when the address
// changes; a PUT asks for the address and leaves the rest as it is.
func GitLab() Card {
	c := Card{Name: "gitlab", Credential: [2]string{"Private-Token", ""}, LimitFunc: LimitEpoch("Ratelimit-Reset")}
	for _, list := range []string{"/projects/{owner}/hooks", "/groups/{owner}/hooks"} {
		one := list + "/{id}"
		c.Routes = append(c.Routes, []Route{
			{"GET", list, func(c *Call) (int, any) {
				out := []any{}
				for _, path := range c.below(fill(list, c.owner())) {
					out = append(out, gitlabShow(c.docs[path]))
				}
				return 200, out
			}},
			{"POST", list, func(c *Call) (int, any) { return gitlabCreate(c, fill(list, c.owner())) }},
			{"GET", one, func(c *Call) (int, any) { c.Vars = c.owner(); return c.one(one, gitlabShow) }},
			{"PUT", one, func(c *Call) (int, any) { return gitlabUpdate(c, fill(one, c.owner())) }},
			{"DELETE", one, func(c *Call) (int, any) { c.Vars = c.owner(); return c.drop(one, 204, nil) }},
		}...)
	}
	return c
}

// owner keeps the path of a project in one segment.
func (c *Call) owner() map[string]string {
	c.Vars["owner"] = strings.ReplaceAll(c.Vars["owner"], "/", "%2F")
	return c.Vars
}

func gitlabShow(doc map[string]any) map[string]any {
	out := clone(doc)
	delete(out, "token")
	return out
}

// gitlabSet takes a body over; false: it has what no hook has.
func gitlabSet(c *Call, doc map[string]any) bool {
	in, ok := c.JSON()
	if !ok || text(in, "url") == "" {
		return false
	}
	if doc["url"] != in["url"] {
		doc["token"], doc["url_variables"], doc["custom_headers"] = nil, []any{}, []any{}
	}
	for name, v := range in {
		_, isBool := v.(bool)
		_, isText := v.(string)
		switch {
		case name == "url", name == "token" && isText, slices.Contains(gitlabFlags, name) && isBool:
		case slices.Contains(gitlabTexts, name) && (isText || v == nil):
		default:
			return false
		}
		doc[name] = v
	}
	return true
}

func gitlabCreate(c *Call, list string) (int, any) {
	id := c.ID()
	doc := map[string]any{"id": id, "created_at": fmt.Sprint(c.ID()), "alert_status": "executable", "disabled_until": nil, "branch_filter_strategy": "wildcard"}
	for _, name := range gitlabFlags {
		doc[name] = name == "push_events" || name == "enable_ssl_verification"
	}
	for _, name := range gitlabTexts {
		doc[name] = either(doc[name], nil)
	}
	if !gitlabSet(c, doc) {
		return 422, message("url is missing")
	}
	c.docs[fmt.Sprint(list, "/", id)] = doc
	return 201, gitlabShow(doc)
}

func gitlabUpdate(c *Call, path string) (int, any) {
	doc := clone(c.docs[path])
	if doc == nil {
		return 404, message("404 Not Found")
	}
	if !gitlabSet(c, doc) {
		return 422, message("url is missing")
	}
	c.docs[path] = doc
	return 200, gitlabShow(doc)
}
