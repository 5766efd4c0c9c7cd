package cards

import (
	"crypto/sha1" //nolint:gosec // it is how git names a blob
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// GitHub has webhooks whose secret reads ******** (and takes that as a new secret), loses its secret with a PATCH of config
// that leaves it out, and keeps it with a PATCH of /config; files by their blob's SHA.
func GitHub() Card {
	c := Card{
		Name: "github", Credential: [2]string{"Authorization", "Bearer "},
		Need:      map[string]string{"Accept": "application/vnd.github+json", "X-Github-Api-Version": "2022-11-28"},
		LimitFunc: LimitEpoch("X-Ratelimit-Reset"),
	}
	for _, owner := range []string{"/repos/{owner}/{repo}", "/orgs/{org}"} {
		c.Routes = append(c.Routes, githubHooks(owner+"/hooks")...)
	}
	c.Routes = append(c.Routes, githubFiles("/repos/{owner}/{repo}/contents")...)
	return c
}

func githubHooks(list string) []Route {
	one := list + "/{id}"
	return []Route{
		{"GET", list, func(c *Call) (int, any) {
			out := []any{}
			for _, path := range c.below(fill(list, c.Vars)) {
				out = append(out, githubShow(c.docs[path]))
			}
			return 200, out
		}},
		{"POST", list, func(c *Call) (int, any) { return githubCreate(c, fill(list, c.Vars)) }},
		{"GET", one, func(c *Call) (int, any) { return c.one(one, githubShow) }},
		{"PATCH", one, func(c *Call) (int, any) { return githubPatch(c, fill(one, c.Vars)) }},
		{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 204, nil) }},
		{"PATCH", one + "/config", func(c *Call) (int, any) { return githubPatchConfig(c, fill(one, c.Vars)) }},
	}
}

// githubShow is a hook as it is read.
func githubShow(doc map[string]any) map[string]any {
	out := clone(doc)
	if config := part(out, "config"); config["secret"] != nil {
		config["secret"] = "********"
	}
	return out
}

func githubCreate(c *Call, list string) (int, any) {
	in, ok := c.JSON()
	config := part(in, "config")
	if !ok || text(config, "url") == "" || text(in, "name") != "web" || unknown(in, "name", "active", "events", "config") != "" {
		return 422, message("Validation Failed")
	}
	events := either(in["events"], []any{"push"})
	for _, path := range c.below(list) {
		if text(part(c.docs[path], "config"), "url") == text(config, "url") && equal(c.docs[path]["events"], events) {
			return 422, message("Hook already exists on this repository")
		}
	}
	id := c.ID()
	config["content_type"] = either(config["content_type"], "form")
	config["insecure_ssl"] = either(config["insecure_ssl"], "0")
	path := fmt.Sprintf("%s/%d", list, id)
	c.docs[path] = map[string]any{
		"id": id, "type": "Repository", "name": "web", "active": either(in["active"], true), "events": events, "config": config,
		"url": "https://api.github.com" + path, "ping_url": path + "/pings", "updated_at": fmt.Sprint(c.ID()), "created_at": fmt.Sprint(c.ID()),
		"last_response": map[string]any{"code": nil, "status": "unused"},
	}
	return 201, githubShow(c.docs[path])
}

func githubPatch(c *Call, path string) (int, any) {
	doc := c.docs[path]
	if doc == nil {
		return 404, message("Not Found")
	}
	in, ok := c.JSON()
	if !ok || unknown(in, "active", "events", "add_events", "remove_events", "config") != "" {
		return 422, message("Validation Failed")
	}
	if config := in["config"]; config != nil {
		if text(part(in, "config"), "url") == "" {
			return 422, message("Validation Failed")
		}
		doc["config"] = config // the whole of it: a secret that is left out is gone
	}
	doc["active"], doc["events"] = either(in["active"], doc["active"]), either(in["events"], doc["events"])
	doc["updated_at"] = fmt.Sprint(c.ID())
	return 200, githubShow(doc)
}

func githubPatchConfig(c *Call, path string) (int, any) {
	doc := c.docs[path]
	in, ok := c.JSON()
	if doc == nil {
		return 404, message("Not Found")
	}
	if !ok || unknown(in, "url", "content_type", "insecure_ssl", "secret") != "" {
		return 422, message("Validation Failed")
	}
	config := part(doc, "config")
	for name, v := range in {
		config[name] = v
	}
	return 200, githubShow(doc)["config"]
}

func githubFiles(root string) []Route {
	one := root + "/{path...}"
	at := func(c *Call, branch string) string {
		return fill(root, c.Vars) + "@" + branch + ":" + strings.ReplaceAll(c.Vars["path"], "/", "|")
	}
	return []Route{
		{"GET", root, func(*Call) (int, any) { return 200, []any{} }},
		{"GET", one, func(c *Call) (int, any) {
			doc := c.docs[at(c, c.Query("ref"))]
			if doc == nil {
				return 404, message("Not Found")
			}
			return 200, doc
		}},
		{"PUT", one, func(c *Call) (int, any) {
			in, _ := c.JSON()
			return githubPut(c, at(c, text(in, "branch")), in)
		}},
		{"DELETE", one, func(c *Call) (int, any) {
			in, _ := c.JSON()
			path := at(c, text(in, "branch"))
			switch doc := c.docs[path]; {
			case doc == nil:
				return 404, message("Not Found")
			case text(in, "message") == "" || in["sha"] == nil:
				return 422, message(`"sha" wasn't supplied.`)
			case doc["sha"] != in["sha"]:
				return 409, message(c.Vars["path"] + " does not match")
			}
			delete(c.docs, path)
			return 200, map[string]any{"content": nil, "commit": map[string]any{}}
		}},
	}
}

func githubPut(c *Call, path string, in map[string]any) (int, any) {
	content, err := base64.StdEncoding.DecodeString(text(in, "content"))
	doc, status := c.docs[path], 200
	switch {
	case err != nil || text(in, "message") == "" || text(in, "branch") == "":
		return 422, message("content is not valid Base64")
	case doc == nil && in["sha"] != nil:
		return 404, message("Not Found")
	case doc == nil:
		status = 201
	case in["sha"] == nil:
		return 422, message(`"sha" wasn't supplied.`)
	case doc["sha"] != in["sha"]:
		return 409, message(c.Vars["path"] + " does not match " + text(in, "sha"))
	}
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content)) //nolint:gosec // see the import
	sha := hex.EncodeToString(sum[:])
	c.docs[path] = map[string]any{
		"type": "file", "encoding": "base64", "size": len(content), "path": c.Vars["path"], "sha": sha,
		"content": lines(base64.StdEncoding.EncodeToString(content)), "url": "https://api.github.com/x?ref=" + text(in, "branch"),
	}
	return status, map[string]any{"content": c.docs[path], "commit": map[string]any{}}
}

// lines breaks base64 as GitHub does: 60 characters, and a newline at the end.
func lines(s string) string {
	var b strings.Builder
	for chunk := range slices.Chunk([]byte(s), 60) {
		b.Write(chunk)
		b.WriteByte('\n')
	}
	return b.String()
}
