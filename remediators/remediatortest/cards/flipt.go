package cards

import "strconv"

// Flipt has resources in namespaces, and one revision of all: a change that says another one is refused, and so is one
// that makes what is there.
func Flipt() Card {
	const namespace = "/api/v2/environments/{environment}/namespaces/{namespace}"
	const list = namespace + "/resources"
	const one = list + "/{type}/{key}"
	write := func(c *Call, making bool) (int, any) {
		in, _ := c.JSON()
		payload := part(in, "payload")
		c.Vars["type"], c.Vars["key"] = text(payload, "@type"), text(in, "key")
		old := c.docs[fill(one, c.Vars)]
		switch {
		case text(payload, "@type") == "" || text(payload, "key") != text(in, "key") || text(payload, "name") == "":
			return 400, map[string]any{"code": 3, "message": "invalid resource"}
		case making && old != nil, in["revision"] != nil && in["revision"] != fliptRevision(c):
			return 409, map[string]any{"code": 10, "message": "conflict"}
		case !making && old == nil:
			return 404, map[string]any{"code": 5, "message": "not found"}
		}
		c.docs[fill(one, c.Vars)] = payload
		c.ID()
		return 200, fliptShow(c, payload)
	}
	return Card{
		Name: "flipt", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", namespace, func(c *Call) (int, any) {
				return 200, map[string]any{"namespace": map[string]any{"key": c.Vars["namespace"]}, "revision": fliptRevision(c)}
			}},
			{"GET", list + "/{type}", func(c *Call) (int, any) {
				out := c.all(list+"/{type}", func(doc map[string]any) map[string]any {
					return map[string]any{"namespaceKey": c.Vars["namespace"], "key": doc["key"], "payload": doc}
				})
				return 200, map[string]any{"resources": out, "revision": fliptRevision(c)}
			}},
			{"POST", list, func(c *Call) (int, any) { return write(c, true) }},
			{"PUT", list, func(c *Call) (int, any) { return write(c, false) }},
			{"GET", one, func(c *Call) (int, any) {
				return c.one(one, func(doc map[string]any) map[string]any { return fliptShow(c, clone(doc)) })
			}},
			{"DELETE", one, func(c *Call) (int, any) {
				if c.Query("revision") != "" && c.Query("revision") != fliptRevision(c) {
					return 409, map[string]any{"code": 10, "message": "conflict"}
				}
				c.ID()
				return c.drop(one, 200, map[string]any{"revision": fliptRevision(c)})
			}},
		},
	}
}

func fliptRevision(c *Call) string { return "r" + strconv.Itoa(c.next) }

func fliptShow(c *Call, payload map[string]any) map[string]any {
	return map[string]any{"resource": map[string]any{"namespaceKey": c.Vars["namespace"], "key": payload["key"], "payload": payload}, "revision": fliptRevision(c)}
}
