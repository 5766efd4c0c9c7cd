package remediators

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Errors about paths name the rule, never the path.
var (
	errPathStart   = errors.New("a path begins with one '/' and stays below the system's url")
	errPathSegment = errors.New("a path has no '.' or '..' segment, however it is escaped")
	errPathEmpty   = errors.New("a path has no empty segment")
	errPathChar    = errors.New("a path has a character that has to be escaped")
)

// CheckPath says whether an escaped path may be put behind a system's URL. It refuses whatever could
// lead elsewhere: a host, a scheme, dot segments (also escaped, doubly escaped or behind an escaped
// slash), control characters, backslashes, queries and fragments. One trailing slash is allowed.
func CheckPath(path string) error {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return errPathStart
	}
	for _, c := range []byte(path) {
		if c <= 0x20 || c >= 0x7f || strings.IndexByte("\\?#\"<>^`{|}", c) >= 0 {
			return errPathChar
		}
	}
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		if s == "" && i < len(segments)-1 {
			return errPathEmpty
		}
		if err := checkSegment(s); err != nil {
			return err
		}
	}
	return nil
}

// checkSegment undoes escapes until none is left, as a careless server behind a careless proxy would.
func checkSegment(s string) error {
	for range 8 {
		if slices.ContainsFunc(strings.FieldsFunc(s, isSlash), isDots) {
			return errPathSegment
		}
		if strings.ContainsAny(s, "\x00\r\n") {
			return errPathChar
		}
		plain, err := url.PathUnescape(s)
		if err != nil {
			if strings.Contains(s, "%") {
				return errPathChar
			}
			return nil
		}
		if plain == s {
			return nil
		}
		s = plain
	}
	return errPathChar
}

func isSlash(r rune) bool { return r == '/' || r == '\\' }

// isDots also refuses dots followed by a path parameter, which some servers strip before they route.
func isDots(s string) bool {
	s, _, _ = strings.Cut(s, ";")
	return s == "." || s == ".."
}

// A pattern is one line of a system's allow list.
type pattern struct {
	method string // "*": any
	path   string // '*' stands for any characters, slashes included
}

// parsePattern reads "METHOD /path*".
func parsePattern(s string) (pattern, error) {
	method, path, ok := strings.Cut(s, " ")
	if !ok || method == "" || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " ?#") || strings.ToUpper(method) != method {
		return pattern{}, fmt.Errorf("each line is METHOD /path, relative to url, with * for any characters")
	}
	return pattern{method: method, path: path}, nil
}

func (p pattern) allows(method, path string) bool {
	return (p.method == "*" || p.method == method) && glob(p.path, path)
}

// glob matches s against a pattern in which '*' stands for any characters, also none.
func glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(s, first) || len(s) < len(first)+len(last) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}
