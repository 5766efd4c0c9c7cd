package cards

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AppConfig has key-values with an ETag for a condition, and locks. A delete of what is not there is answered 204.
func AppConfig() Card {
	at := func(c *Call) string { return "/kv/" + url.PathEscape(c.Query("label")+" "+c.Vars["key"]) }
	const one = "/kv/{key}"
	return Card{
		Name: "appconfig", Credential: [2]string{"Authorization", "Bearer "},
		LimitFunc: func(h http.Header, w time.Duration) { h.Set("Retry-After-Ms", strconv.FormatInt(w.Milliseconds(), 10)) },
		Routes: []Route{
			{"GET", "/labels", func(*Call) (int, any) { return 200, map[string]any{"items": []any{}} }},
			{"GET", "/kv", appConfigList},
			{"GET", one, func(c *Call) (int, any) {
				doc := c.docs[at(c)]
				if doc == nil || c.Query("api-version") != "1.0" {
					return 404, nil
				}
				c.Answer.Set("Etag", `"`+text(doc, "etag")+`"`)
				return 200, doc
			}},
			{"PUT", one, func(c *Call) (int, any) {
				in, ok := c.JSON()
				if status := appConfigRefuses(c, c.docs[at(c)]); status != 0 || !ok || unknown(in, "value", "content_type", "tags") != "" {
					return max(status, 400), nil
				}
				c.docs[at(c)] = map[string]any{
					"key": c.Vars["key"], "label": c.Query("label"), "value": in["value"], "content_type": in["content_type"], "tags": either(in["tags"], map[string]any{}),
					"etag": fmt.Sprint("e", c.ID()), "locked": false, "last_modified": time.Now().UTC().Format(time.RFC3339),
				}
				return 200, c.docs[at(c)]
			}},
			{"DELETE", one, func(c *Call) (int, any) {
				doc := c.docs[at(c)]
				if status := appConfigRefuses(c, doc); status != 0 {
					return status, nil
				}
				if doc == nil {
					return 204, nil
				}
				delete(c.docs, at(c))
				return 200, doc
			}},
			{"PUT", "/locks/{key}", func(c *Call) (int, any) { c.docs[at(c)]["locked"] = true; return 200, nil }},
		},
	}
}

// appConfigRefuses returns the status of a change that is not made; 0: it is.
func appConfigRefuses(c *Call, doc map[string]any) int {
	match := c.Header.Get("If-Match")
	switch {
	case match != "" && (doc == nil || match != `"`+text(doc, "etag")+`"`), c.Header.Get("If-None-Match") == "*" && doc != nil:
		return 412
	case doc["locked"] == true:
		return 409
	}
	return 0
}

// appConfigList answers with the key-values of one label, and says by a link where the next page is.
func appConfigList(c *Call) (int, any) {
	label := strings.Trim(c.Query("label"), "\x00") // that is how no label is asked for
	if c.Query("label") == "" || c.Query("api-version") != "1.0" {
		return 400, nil
	}
	all := slices.DeleteFunc(c.all("/kv", clone), func(d any) bool { return text(d.(map[string]any), "label") != label })
	page, next := c.page(all, "after", "", 100)
	out := map[string]any{"items": page}
	if next > 0 {
		link := "/kv?label=" + url.QueryEscape(c.Query("label")) + "&api-version=1.0&after=" + strconv.Itoa(next)
		c.Answer.Set("Link", "<"+link+`>; rel="next"`)
		out["@nextLink"] = link
	}
	return 200, out
}
