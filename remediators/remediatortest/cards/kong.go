package cards

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// kongKnown are the members that Kong knows, with what stands there where nothing is said.
var kongKnown = map[string]map[string]any{
	"services": {"name": nil, "host": nil, "port": 80, "protocol": "http", "path": nil, "retries": 5, "enabled": true, "tags": nil},
	"routes":   {"name": nil, "paths": nil, "hosts": nil, "methods": nil, "protocols": []any{"http", "https"}, "service": nil, "strip_path": true, "tags": nil},
	"plugins":  {"name": nil, "config": map[string]any{}, "enabled": true, "service": nil, "route": nil, "consumer": nil, "protocols": []any{"http"}, "tags": nil},
}

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// Kong has things under ids that the caller may choose: a PUT replaces all of one or makes it, and what it does not say
// becomes the default. A service and a route are found by their names as well, which are theirs alone (409). Deleting what
// is not there is answered as if it had been; what is referred to is not deleted.
func Kong() Card {
	c := Card{Name: "kong", Credential: [2]string{"Kong-Admin-Token", ""}, LimitFunc: LimitSeconds("Retry-After")}
	for name, known := range kongKnown {
		list := "/" + name
		one := list + "/{id}"
		c.Routes = append(c.Routes, []Route{
			{"GET", list, func(c *Call) (int, any) {
				page, next := c.page(c.all(list, clone), "offset", "size", 1000)
				out := map[string]any{"data": page, "next": nil}
				if next > 0 {
					out["offset"], out["next"] = strconv.Itoa(next), fmt.Sprintf("%s?offset=%d", list, next)
				}
				return 200, out
			}},
			{"POST", list, func(c *Call) (int, any) {
				status, answer := kongSet(c, list, kongID(c), known, known)
				if status == 200 {
					status = 201
				}
				return status, answer
			}},
			{"GET", one, func(c *Call) (int, any) {
				if doc := c.docs[kongAt(c, list)]; doc != nil {
					return 200, doc
				}
				return 404, message("Not found")
			}},
			{"PUT", one, func(c *Call) (int, any) { return kongPut(c, list, known) }},
			{"PATCH", one, func(c *Call) (int, any) {
				path := kongAt(c, list)
				if c.docs[path] == nil {
					return 404, message("Not found")
				}
				return kongSet(c, list, path[len(list)+1:], c.docs[path], known)
			}},
			{"DELETE", one, func(c *Call) (int, any) { return kongDelete(c, list) }},
		}...)
	}
	return c
}

func kongID(c *Call) string { return fmt.Sprintf("5b1e0000-0000-4000-8000-%012d", 1000+c.ID()) }

// kongAt is where the thing is kept that a path names by its id or, less plugins, by its name.
func kongAt(c *Call, list string) string {
	if !uuidPattern.MatchString(c.Vars["id"]) && list != "/plugins" {
		for _, path := range c.below(list) {
			if c.docs[path]["name"] == c.Vars["id"] {
				return path
			}
		}
	}
	return list + "/" + c.Vars["id"]
}

// kongPut replaces what is there, or makes it: under the id of the path, or under a new one with the name of the path.
func kongPut(c *Call, list string, known map[string]any) (int, any) {
	path := kongAt(c, list)
	id := path[len(list)+1:]
	over := clone(known)
	if !uuidPattern.MatchString(c.Vars["id"]) {
		if over["name"] = c.Vars["id"]; c.docs[path] == nil {
			id = kongID(c)
		}
	}
	return kongSet(c, list, id, over, known)
}

func kongDelete(c *Call, list string) (int, any) {
	at := kongAt(c, list)
	for path, doc := range c.docs {
		if c.docs[at] != nil && text(part(doc, strings.TrimSuffix(list[1:], "s")), "id") == c.docs[at]["id"] {
			return 400, message("an existing entity refers to it: " + path)
		}
	}
	delete(c.docs, at)
	return 204, nil
}

// kongSet puts what a body says over something else.
func kongSet(c *Call, list, id string, over, known map[string]any) (int, any) {
	in, ok := c.JSON()
	if !ok {
		return 400, message("schema violation")
	}
	doc := clone(over)
	for name, v := range in {
		if _, ok := known[name]; !ok {
			return 400, message("schema violation (" + name + ": unknown field)")
		}
		doc[name] = v
	}
	if service := part(doc, "service"); len(service) > 0 && c.docs["/services/"+text(service, "id")] == nil {
		return 400, message("the foreign key refers to nothing")
	}
	path := list + "/" + id
	for _, other := range c.below(list) {
		if other != path && doc["name"] != nil && list != "/plugins" && c.docs[other]["name"] == doc["name"] {
			return 409, message("UNIQUE violation detected on name")
		}
	}
	doc["id"], doc["created_at"], doc["updated_at"] = id, time.Now().Unix(), c.ID()
	if old := c.docs[path]; old != nil {
		doc["created_at"] = old["created_at"]
	}
	c.docs[path] = doc
	return 200, doc
}
