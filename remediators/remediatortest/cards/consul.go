package cards

import (
	"encoding/base64"
	"strconv"
)

// Consul has keys: bytes in, base64 out, an index for a condition, and 200 false where it did not hold.
func Consul() Card {
	const one = "/v1/kv/{key...}"
	return Card{
		Name: "consul", Credential: [2]string{"X-Consul-Token", ""}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", "/v1/status/leader", func(*Call) (int, any) { return 200, "10.1.10.12:8300" }},
			{"GET", one, func(c *Call) (int, any) {
				if c.Vars["key"] == "" {
					return consulAll(c)
				}
				if doc := c.docs[consulAt(c)]; doc != nil {
					return 200, []any{doc}
				}
				return 404, nil
			}},
			{"PUT", one, consulPut},
			{"DELETE", one, func(c *Call) (int, any) {
				if c.Query("cas") == "0" {
					return 200, Raw("true") // and nothing is done
				}
				if consulStale(c) {
					return 200, Raw("false")
				}
				delete(c.docs, consulAt(c))
				return 200, Raw("true")
			}},
		},
	}
}

// consulAll answers a read of all keys: 404 where there are none.
func consulAll(c *Call) (int, any) {
	out := []any{}
	for _, path := range c.below("/v1/kv") {
		out = append(out, c.docs[path])
	}
	if len(out) == 0 {
		return 404, nil
	}
	return 200, out
}

func consulAt(c *Call) string { return "/v1/kv/" + c.Vars["key"] }

// consulStale reports whether the condition of a call does not hold.
func consulStale(c *Call) bool {
	cas := c.Query("cas")
	doc := c.docs[consulAt(c)]
	return cas == "0" && doc != nil || cas != "" && cas != "0" && (doc == nil || strconv.Itoa(doc["ModifyIndex"].(int)) != cas)
}

func consulPut(c *Call) (int, any) {
	if consulStale(c) {
		return 200, Raw("false")
	}
	flags, err := strconv.ParseUint("0"+c.Query("flags"), 10, 64)
	if err != nil {
		return 400, Raw("invalid flags")
	}
	index := c.ID()
	doc := map[string]any{"Key": c.Vars["key"], "Flags": flags, "LockIndex": 0, "CreateIndex": index, "ModifyIndex": index, "Value": nil}
	if old := c.docs[consulAt(c)]; old != nil {
		doc["CreateIndex"] = old["CreateIndex"]
	}
	if len(c.Body) > 0 {
		doc["Value"] = base64.StdEncoding.EncodeToString(c.Body)
	}
	c.docs[consulAt(c)] = doc
	return 200, Raw("true")
}
