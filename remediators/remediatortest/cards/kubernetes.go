package cards

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kubernetes has objects with a resourceVersion that every change moves: a PUT with an old one and a DELETE whose
// preconditions do not hold are conflicts, a JSON Patch whose test fails is unprocessable.
func Kubernetes() Card {
	c := Card{Name: "kubernetes", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After")}
	for _, list := range []string{"/api/v1/namespaces/{ns}/configmaps", "/apis/batch/v1/namespaces/{ns}/cronjobs"} {
		one := list + "/{name}"
		c.Routes = append(c.Routes, []Route{
			{"GET", list, func(c *Call) (int, any) {
				page, next := c.page(c.all(fill(list, c.Vars), clone), "continue", "limit", 500)
				return 200, map[string]any{"items": page, "metadata": map[string]any{"continue": strings.TrimPrefix(strconv.Itoa(next), "0")}}
			}},
			{"POST", list, func(c *Call) (int, any) { return kubernetesCreate(c, fill(list, c.Vars)) }},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
			{"PUT", one, func(c *Call) (int, any) { return kubernetesReplace(c, fill(one, c.Vars)) }},
			{"PATCH", one, func(c *Call) (int, any) { return kubernetesPatch(c, fill(one, c.Vars)) }},
			{"DELETE", one, func(c *Call) (int, any) {
				in, _ := c.JSON()
				meta := part(c.docs[fill(one, c.Vars)], "metadata")
				for name, want := range part(in, "preconditions") {
					if len(meta) > 0 && meta[name] != want {
						return 409, message("Precondition failed")
					}
				}
				return c.drop(one, 200, map[string]any{"status": "Success"})
			}},
		}...)
	}
	return c
}

// stamp marks an object as changed.
func (c *Call) stamp(doc map[string]any, uid, created any) map[string]any {
	meta := part(doc, "metadata")
	meta["resourceVersion"], meta["uid"], meta["creationTimestamp"] = strconv.Itoa(c.ID()), uid, created
	doc["metadata"] = meta
	return doc
}

func kubernetesCreate(c *Call, list string) (int, any) {
	in, ok := c.JSON()
	meta := part(in, "metadata")
	path := list + "/" + text(meta, "name")
	switch {
	case !ok || text(meta, "name") == "" || meta["resourceVersion"] != nil || meta["uid"] != nil:
		return 422, message("resourceVersion should not be set on objects to be created")
	case c.docs[path] != nil:
		return 409, message("already exists")
	}
	if spec := part(in, "spec"); len(spec) > 0 {
		spec["suspend"], in["status"] = either(spec["suspend"], false), map[string]any{"lastScheduleTime": fmt.Sprint(c.ID())}
	}
	c.docs[path] = c.stamp(in, fmt.Sprint("uid-", c.ID()), time.Now().UTC().Format(time.RFC3339))
	return 201, c.docs[path]
}

func kubernetesReplace(c *Call, path string) (int, any) {
	doc := c.docs[path]
	in, ok := c.JSON()
	meta := part(doc, "metadata")
	switch version := part(in, "metadata")["resourceVersion"]; {
	case doc == nil:
		return 404, message("not found")
	case !ok || !equal(part(in, "metadata")["ownerReferences"], meta["ownerReferences"]):
		return 422, message("owner references are to stay")
	case version != nil && version != meta["resourceVersion"]:
		return 409, message("the object has been modified")
	}
	if spec := part(in, "spec"); len(spec) > 0 { // the status is the controller's
		spec["suspend"], in["status"] = either(spec["suspend"], false), map[string]any{"lastScheduleTime": fmt.Sprint(c.ID())}
	}
	c.docs[path] = c.stamp(in, meta["uid"], meta["creationTimestamp"])
	return 200, c.docs[path]
}

// kubernetesMerge carries out a merge patch of the members right below spec.
func kubernetesMerge(c *Call, path string, doc map[string]any) (int, any) {
	in, ok := c.JSON()
	if !ok || unknown(in, "spec") != "" {
		return 400, message("no patch that is known here")
	}
	spec := part(doc, "spec")
	for name, v := range part(in, "spec") {
		spec[name] = v
	}
	meta := part(doc, "metadata")
	c.docs[path] = c.stamp(doc, meta["uid"], meta["creationTimestamp"])
	return 200, c.docs[path]
}

func kubernetesPatch(c *Call, path string) (int, any) {
	doc := clone(c.docs[path])
	var ops []struct {
		Op, Path string
		Value    any
	}
	switch {
	case doc == nil:
		return 404, message("not found")
	case c.Header.Get("Content-Type") == "application/merge-patch+json":
		return kubernetesMerge(c, path, doc)
	case c.Header.Get("Content-Type") != "application/json-patch+json":
		return 415, message("the body of the request was in an unknown format")
	case json.Unmarshal(c.Body, &ops) != nil:
		return 400, message("no patch")
	}
	for _, op := range ops {
		names := strings.Split(op.Path, "/")[1:]
		holder := doc
		for _, name := range names[:len(names)-1] {
			holder = part(holder, name)
		}
		last := names[len(names)-1]
		switch {
		case op.Op == "test" && !equal(holder[last], op.Value):
			return 422, message("the server rejected our request due to an error in our request")
		case op.Op == "add", op.Op == "replace":
			holder[last] = op.Value
		}
	}
	meta := part(doc, "metadata")
	c.docs[path] = c.stamp(doc, meta["uid"], meta["creationTimestamp"])
	return 200, c.docs[path]
}
