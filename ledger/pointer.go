package ledger

import (
	"strconv"
	"strings"
)

// checkPointer reports whether p is a JSON pointer (RFC 6901); "" is the whole document.
func checkPointer(p string) bool {
	if p == "" {
		return true
	}
	rest := strings.ReplaceAll(strings.ReplaceAll(p, "~0", ""), "~1", "")
	return p[0] == '/' && len(p) <= 1024 && !strings.Contains(rest, "~")
}

// steps splits a pointer into unescaped reference tokens.
func steps(p string) []string {
	if p == "" {
		return nil
	}
	out := strings.Split(p[1:], "/")
	for i, s := range out {
		out[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return out
}

// pointerTo returns the pointer of a top-level member.
func pointerTo(member string) string {
	return "/" + strings.ReplaceAll(strings.ReplaceAll(member, "~", "~0"), "/", "~1")
}

// lookup returns the value at a pointer in a decoded document, and whether it is there. What lies below a hidden
// value is that value: nobody can tell more.
func lookup(v any, p string) (any, bool) {
	for _, s := range steps(p) {
		if _, hidden := markerIn(v); hidden {
			return v, true
		}
		switch c := v.(type) {
		case map[string]any:
			next, ok := c[s]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(s)
			if err != nil || i < 0 || i >= len(c) || strconv.Itoa(i) != s { // "01" and "+1" name no element
				return nil, false
			}
			v = c[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// under reports whether pointer p is at or below pointer top.
func under(p, top string) bool {
	return p == top || strings.HasPrefix(p, top+"/")
}
