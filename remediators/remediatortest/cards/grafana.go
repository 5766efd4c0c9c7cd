package cards

import (
	"fmt"
	"time"
)

// Grafana has dashboards that are saved against the version that was seen, and move to the root where no folder is
// said; silences that stay readable once they are lifted, and become others where their matchers change.
func Grafana() Card {
	return Card{
		Name: "grafana", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: append(grafanaDashboards(), grafanaSilences("/api/alertmanager/grafana/api/v2/silence")...),
	}
}

const grafanaDashboard = "/api/dashboards/uid/{uid}"

func grafanaDashboards() []Route {
	return []Route{
		{"GET", "/api/search", func(c *Call) (int, any) {
			out := []any{}
			for _, path := range c.below("/api/dashboards/uid") {
				if uid := text(part(c.docs[path], "dashboard"), "uid"); c.Query("dashboardUIDs") == "" || c.Query("dashboardUIDs") == uid {
					out = append(out, map[string]any{"uid": uid, "type": "dash-db", "title": text(part(c.docs[path], "dashboard"), "title")})
				}
			}
			return 200, out
		}},
		{"GET", grafanaDashboard, func(c *Call) (int, any) { return c.one(grafanaDashboard, clone) }},
		{"POST", "/api/dashboards/db", grafanaSave},
		{"DELETE", grafanaDashboard, func(c *Call) (int, any) { return c.drop(grafanaDashboard, 200, message("deleted")) }},
	}
}

func grafanaSave(c *Call) (int, any) {
	in, _ := c.JSON()
	dashboard := part(in, "dashboard")
	uid := text(dashboard, "uid")
	if uid == "" {
		uid = fmt.Sprint("cIBgcSjkk", c.ID())
		dashboard["uid"] = uid
	}
	path := "/api/dashboards/uid/" + uid
	old := part(c.docs[path], "dashboard")
	switch {
	case text(dashboard, "title") == "" || len(uid) > 40:
		return 400, message("Dashboard title cannot be empty")
	case c.docs[path] == nil && dashboard["id"] != nil:
		return 404, message("Dashboard not found")
	case c.docs[path] == nil:
		old["id"], old["version"] = c.ID(), 0
	case in["overwrite"] != true && !equal(dashboard["version"], old["version"]):
		return 412, map[string]any{"status": "version-mismatch", "message": "The dashboard has been changed by someone else"}
	case dashboard["id"] != nil && !equal(dashboard["id"], old["id"]):
		return 400, message("a dashboard with another id has this uid")
	}
	dashboard["id"], dashboard["version"] = old["id"], old["version"].(int)+1
	c.docs[path] = map[string]any{"dashboard": dashboard, "meta": map[string]any{
		"folderUid": either(in["folderUid"], ""), "provisioned": false, "updated": fmt.Sprint(c.ID()), "version": dashboard["version"],
	}}
	return 200, map[string]any{"status": "success", "uid": uid, "id": dashboard["id"], "version": dashboard["version"]}
}

func grafanaSilences(path string) []Route {
	one := path + "/{id}"
	return []Route{
		{"GET", path + "s", func(c *Call) (int, any) {
			out := []any{}
			for _, p := range c.below(path) {
				out = append(out, grafanaSilence(c.docs[p]))
			}
			return 200, out
		}},
		{"POST", path + "s", func(c *Call) (int, any) { return grafanaSilencePost(c, path) }},
		{"GET", one, func(c *Call) (int, any) { return c.one(one, grafanaSilence) }},
		{"DELETE", one, func(c *Call) (int, any) {
			doc := c.docs[fill(one, c.Vars)]
			if doc == nil {
				return 404, message("silence not found")
			}
			grafanaExpire(doc)
			return 200, message("silence deleted")
		}},
	}
}

func grafanaExpire(doc map[string]any) {
	if grafanaState(doc) != "expired" {
		doc["endsAt"] = time.Now().UTC().Add(-time.Millisecond).Format(time.RFC3339Nano)
	}
}

func grafanaState(doc map[string]any) string {
	start, _ := time.Parse(time.RFC3339, text(doc, "startsAt"))
	end, _ := time.Parse(time.RFC3339, text(doc, "endsAt"))
	switch {
	case end.Before(time.Now()):
		return "expired"
	case start.After(time.Now()):
		return "pending"
	}
	return "active"
}

func grafanaSilence(doc map[string]any) map[string]any {
	out := clone(doc)
	out["status"] = map[string]any{"state": grafanaState(doc)}
	return out
}

func grafanaSilencePost(c *Call, path string) (int, any) {
	in, ok := c.JSON()
	old := c.docs[path+"/"+text(in, "id")]
	switch {
	case !ok || !grafanaSound(in):
		return 400, message("invalid silence")
	case in["id"] != nil && old == nil:
		return 404, message("silence not found")
	}
	id := text(in, "id")
	if old == nil || grafanaState(old) == "expired" || !equal(in["matchers"], old["matchers"]) || in["startsAt"] != old["startsAt"] {
		if old != nil {
			grafanaExpire(old)
		}
		id = fmt.Sprintf("5f3c6a1e-0000-4000-8000-%012d", c.ID())
		if start, _ := time.Parse(time.RFC3339, text(in, "startsAt")); start.Before(time.Now()) {
			in["startsAt"] = time.Now().UTC().Format(time.RFC3339Nano)
		}
	}
	in["id"], in["updatedAt"] = id, fmt.Sprint(c.ID())
	c.docs[path+"/"+id] = in
	return 202, map[string]any{"silenceID": id}
}

func grafanaSound(in map[string]any) bool {
	matchers, _ := in["matchers"].([]any)
	_, err := time.Parse(time.RFC3339, text(in, "startsAt"))
	return err == nil && len(matchers) > 0 && text(in, "comment") != "" && text(in, "createdBy") != "" && grafanaState(in) != "expired"
}
