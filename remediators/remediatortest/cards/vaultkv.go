package cards

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// vaultMost is how many versions the engine keeps that says nothing.
const vaultMost = 10

// VaultKV has secrets with what they hold, at the mount secret, as a KV engine of version 2 has them: writes may be conditional
// on the newest version, the oldest ones go when there are too many, a deleted one can be had again and a destroyed one cannot. A token tells when it ends.
func VaultKV() Card {
	const data, metadata = "/v1/secret/data/{path...}", "/v1/secret/metadata/{path...}"
	return Card{
		Name: "vaultkv", Credential: [2]string{"X-Vault-Token", ""}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", "/v1/auth/token/lookup-self", func(c *Call) (int, any) {
				return 200, map[string]any{"data": map[string]any{"expire_time": when(c.ends, time.RFC3339Nano)}}
			}},
			{"GET", "/v1/secret/config", func(*Call) (int, any) { return 200, map[string]any{"data": map[string]any{"max_versions": 0}} }},
			{"GET", data, vaultRead},
			{"POST", data, vaultWrite},
			{"DELETE", data, func(c *Call) (int, any) { return vaultMark(c, vaultNewest(c), vaultDelete) }},
			{"GET", metadata, vaultMetadata},
			{"POST", metadata, vaultSettings},
			{"DELETE", metadata, func(c *Call) (int, any) { delete(c.docs, vaultAt(c)); return 204, nil }},
			{"POST", "/v1/secret/delete/{path...}", func(c *Call) (int, any) { return vaultMark(c, vaultAsked(c), vaultDelete) }},
			{"POST", "/v1/secret/undelete/{path...}", func(c *Call) (int, any) {
				return vaultMark(c, vaultAsked(c), func(v map[string]any) { v["deletion_time"] = "" })
			}},
			{"POST", "/v1/secret/destroy/{path...}", func(c *Call) (int, any) {
				return vaultMark(c, vaultAsked(c), func(v map[string]any) { v["destroyed"], v["data"] = true, nil })
			}},
		},
	}
}

func vaultAt(c *Call) string { return "/secret/" + c.Vars["path"] }

func vaultErrors(words ...string) map[string]any {
	list := []any{}
	for _, w := range words {
		list = append(list, w)
	}
	return map[string]any{"errors": list}
}

func vaultDelete(v map[string]any) { v["deletion_time"] = time.Now().UTC().Format(time.RFC3339Nano) }

// vaultNewest names the newest version of a secret.
func vaultNewest(c *Call) []string {
	n, _ := c.docs[vaultAt(c)]["current_version"].(int)
	return []string{strconv.Itoa(n)}
}

// vaultAsked names the versions that a call is about.
func vaultAsked(c *Call) (list []string) {
	var in struct{ Versions []json.Number }
	_ = json.Unmarshal(c.Body, &in)
	for _, n := range in.Versions {
		list = append(list, n.String())
	}
	return list
}

// vaultMark marks versions that are there and not destroyed.
func vaultMark(c *Call, list []string, mark func(version map[string]any)) (int, any) {
	if len(list) == 0 {
		return 400, vaultErrors("No version number provided")
	}
	for _, n := range list {
		if v, ok := part(c.docs[vaultAt(c)], "versions")[n].(map[string]any); ok && v["destroyed"] == false {
			mark(v)
		}
	}
	return 204, nil
}

func vaultWrite(c *Call) (int, any) {
	var in struct {
		Options struct{ CAS *int }
		Data    map[string]any
	}
	if json.Unmarshal(c.Body, &in) != nil || in.Data == nil {
		return 400, vaultErrors("no data provided")
	}
	doc := c.docs[vaultAt(c)]
	n, _ := doc["current_version"].(int)
	if in.Options.CAS != nil && *in.Options.CAS != n {
		return 400, vaultErrors("check-and-set parameter did not match the current version")
	}
	now := time.Now().UTC().Format(time.RFC3339Nano)
	if doc == nil {
		doc = map[string]any{"max_versions": 0, "created_time": now, "versions": map[string]any{}}
	}
	versions := part(doc, "versions")
	doc["current_version"], doc["updated_time"] = n+1, now
	versions[strconv.Itoa(n+1)] = map[string]any{"created_time": now, "deletion_time": "", "destroyed": false, "data": in.Data}
	most, _ := doc["max_versions"].(int)
	if most == 0 {
		most = vaultMost
	}
	for old := n + 1 - most; old > 0; old-- {
		delete(versions, strconv.Itoa(old))
	}
	c.docs[vaultAt(c)] = doc
	return 200, map[string]any{"data": map[string]any{"version": n + 1, "created_time": now}}
}

func vaultRead(c *Call) (int, any) {
	n := c.Query("version")
	if n == "" || n == "0" {
		n = vaultNewest(c)[0]
	}
	v, _ := part(c.docs[vaultAt(c)], "versions")[n].(map[string]any)
	if v == nil {
		return 404, vaultErrors()
	}
	number, _ := strconv.Atoi(n)
	meta := map[string]any{"version": number, "created_time": v["created_time"], "deletion_time": v["deletion_time"], "destroyed": v["destroyed"]}
	if v["destroyed"] == true || v["deletion_time"] != "" {
		return 404, map[string]any{"data": map[string]any{"data": nil, "metadata": meta}}
	}
	return 200, map[string]any{"data": map[string]any{"data": v["data"], "metadata": meta}}
}

func vaultMetadata(c *Call) (int, any) {
	if c.Query("list") == "true" {
		return vaultList(c)
	}
	doc := clone(c.docs[vaultAt(c)])
	if doc == nil {
		return 404, vaultErrors()
	}
	for _, v := range part(doc, "versions") {
		if v, ok := v.(map[string]any); ok {
			delete(v, "data")
		}
	}
	return 200, map[string]any{"data": doc}
}

// vaultSettings sets how many versions of a secret are kept.
func vaultSettings(c *Call) (int, any) {
	var in struct {
		Most int `json:"max_versions"`
	}
	if doc := c.docs[vaultAt(c)]; doc != nil && json.Unmarshal(c.Body, &in) == nil {
		doc["max_versions"] = in.Most
	}
	return http.StatusNoContent, nil
}

// vaultList lists what is right below a path; what lies deeper is one key with a slash.
func vaultList(c *Call) (int, any) {
	keys, had := []any{}, map[string]bool{}
	for path := range c.docs {
		rest, ok := strings.CutPrefix(path, strings.TrimSuffix(vaultAt(c), "/")+"/")
		key, _, deeper := strings.Cut(rest, "/")
		if deeper {
			key += "/"
		}
		if ok && !had[key] {
			had[key] = true
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return 404, vaultErrors()
	}
	return 200, map[string]any{"data": map[string]any{"keys": keys}}
}
