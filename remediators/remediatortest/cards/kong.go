package cards

import "strings"

// kongKnown are the members that Kong knows, with what stands there where nothing is said.
var kongKnown = map[string]map[string]any{
	"services": {"name": nil, "host": nil, "port": 80, "protocol": "http", "path": nil, "retries": 5, "enabled": true, "tags": nil},
	"routes":   {"name": nil, "paths": nil, "hosts": nil, "methods": nil, "protocols": []any{"http", "https"}, "service": nil, "strip_path": true, "tags": nil},
	"plugins":  {"name": nil, "config": map[string]any{}, "enabled": true, "service": nil, "route": nil, "consumer": nil, "protocols": []any{"http"}, "tags": nil},
}

// Kong has things under ids that the caller may choose: a PUT replaces all of one or makes it, and what it does not say
// becomes the default. Deleting what is not there is answered as if it had been; what is referred to is not deleted.
func Kong() Card {
	c := Card{Name: "kong", Credential: [2]string{"Kong-Admin-Token", ""}, LimitFunc: LimitSeconds("Retry-After")}
	for name, known := range kongKnown {
		list := "/" + name
		one := list + "/{id}"
		c.Routes = append(c.Routes, []Route{
			{"GET", list, func(c *Call) (int, any) {
				out := []any{}
				for _, path := range c.below(list) {
					out = append(out, c.docs[path])
				}
				return 200, map[string]any{"data": out, "next": nil}
			}},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
			{"PUT", one, func(c *Call) (int, any) { return kongSet(c, fill(one, c.Vars), known, known) }},
			{"PATCH", one, func(c *Call) (int, any) {
				if c.docs[fill(one, c.Vars)] == nil {
					return 404, message("Not found")
				}
				return kongSet(c, fill(one, c.Vars), c.docs[fill(one, c.Vars)], known)
			}},
			{"DELETE", one, func(c *Call) (int, any) {
				for path, doc := range c.docs {
					if text(part(doc, strings.TrimSuffix(name, "s")), "id") == c.Vars["id"] {
						return 400, message("an existing entity refers to it: " + path)
					}
				}
				delete(c.docs, fill(one, c.Vars))
				return 204, nil
			}},
		}...)
	}
	return c
}

// kongSet puts what a body says over something else.
func kongSet(c *Call, path string, over, known map[string]any) (int, any) {
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
	doc["id"], doc["created_at"], doc["updated_at"] = c.Vars["id"], 1700000000, c.ID()
	c.docs[path] = doc
	return 200, doc
}
