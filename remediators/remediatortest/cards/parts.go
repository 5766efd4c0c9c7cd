package cards

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// message is an answer that says something to people.
func message(s string) map[string]any { return map[string]any{"message": s} }

// matches holds a path to a pattern of segments.
func matches(pattern, path string) (vars map[string]string, ok bool) {
	vars = map[string]string{}
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	for i, segment := range want {
		name, isVar := strings.CutPrefix(strings.TrimSuffix(segment, "}"), "{")
		rest, isRest := strings.CutSuffix(name, "...")
		switch {
		case isVar && isRest && i < len(got):
			plain, err := url.PathUnescape(strings.Join(got[i:], "/"))
			vars[rest] = plain
			return vars, err == nil
		case i >= len(got), !isVar && segment != got[i]:
			return nil, false
		case isVar:
			plain, err := url.PathUnescape(got[i])
			if err != nil || plain == "" {
				return nil, false
			}
			vars[name] = plain
		}
	}
	return vars, len(want) == len(got)
}

// fill puts values into a pattern.
func fill(pattern string, vars map[string]string) string {
	for name, v := range vars {
		pattern = strings.ReplaceAll(pattern, "{"+name+"}", v)
	}
	return pattern
}

// clone copies a document deeply.
func clone(doc map[string]any) map[string]any {
	if doc == nil {
		return nil
	}
	raw, _ := json.Marshal(doc)
	var out map[string]any
	_ = json.Unmarshal(raw, &out)
	return out
}

// part returns an object inside a document, and an empty one if there is none.
func part(doc map[string]any, name string) map[string]any {
	p, _ := doc[name].(map[string]any)
	if p == nil {
		p = map[string]any{}
	}
	return p
}

func text(doc map[string]any, name string) string {
	s, _ := doc[name].(string)
	return s
}

// either returns a value, or another one where there is none.
func either(v, standard any) any {
	if v == nil {
		return standard
	}
	return v
}

// equal compares two values as JSON.
func equal(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// unknown returns a member that is not among those known; "": there is none.
func unknown(doc map[string]any, known ...string) string {
	for name := range doc {
		if !strings.Contains(" "+strings.Join(known, " ")+" ", " "+name+" ") {
			return name
		}
	}
	return ""
}

// The dialects in which a third party says how long to wait.

// LimitEpoch puts the time into a header as seconds of the epoch.
func LimitEpoch(name string) func(h http.Header, w time.Duration) {
	return func(h http.Header, w time.Duration) {
		h.Set(name, strconv.FormatInt(time.Now().Add(w).Unix(), 10))
	}
}

// LimitMillis puts the time into a header as milliseconds of the epoch.
func LimitMillis(name string) func(h http.Header, w time.Duration) {
	return func(h http.Header, w time.Duration) {
		h.Set(name, strconv.FormatInt(time.Now().Add(w).UnixMilli(), 10))
	}
}

// LimitSeconds puts the wait into a header in seconds.
func LimitSeconds(name string) func(h http.Header, w time.Duration) {
	return func(h http.Header, w time.Duration) { h.Set(name, strconv.Itoa(int(w/time.Second))) }
}

// one answers a read of what is kept at a pattern, as showFunc shows it.
func (c *Call) one(pattern string, showFunc func(map[string]any) map[string]any) (int, any) {
	doc := c.docs[fill(pattern, c.Vars)]
	if doc == nil {
		return 404, message("Not Found")
	}
	return 200, showFunc(doc)
}

// drop removes what is kept at a pattern; 404 if nothing is.
func (c *Call) drop(pattern string, status int, answer any) (int, any) {
	path := fill(pattern, c.Vars)
	if c.docs[path] == nil {
		return 404, message("Not Found")
	}
	delete(c.docs, path)
	return status, answer
}

// all shows what is kept right below a pattern, in order.
func (c *Call) all(pattern string, showFunc func(map[string]any) map[string]any) []any {
	out := []any{}
	for _, path := range c.below(fill(pattern, c.Vars)) {
		out = append(out, showFunc(c.docs[path]))
	}
	return out
}

// page cuts a list as a call asks for it: the parameters that say where it begins and how many it is to have, and how many it
// has at most. next is where the following page begins; 0: this is the last.
func (c *Call) page(list []any, from, size string, most int) (page []any, next int) {
	begin, _ := strconv.Atoi(c.Query(from))
	if n, _ := strconv.Atoi(c.Query(size)); n > 0 && n < most {
		most = n
	}
	if c.most > 0 {
		most = min(most, c.most)
	}
	begin = min(begin, len(list))
	end := min(begin+most, len(list))
	if end < len(list) {
		next = end
	}
	return list[begin:end], next
}

// orNull is a value, or null where there is none.
func orNull[T comparable](v T, zero T) any {
	if v == zero {
		return nil
	}
	return v
}
