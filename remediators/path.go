package remediators

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
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

// checkSegment undoes escapes until none is left, as a careless server behind a careless proxy would. The first ones
// must be right; a '%' that they stand for is one.
func checkSegment(s string) error {
	if _, err := url.PathUnescape(s); err != nil {
		return errPathChar
	}
	for range 8 {
		if slices.ContainsFunc(strings.FieldsFunc(s, isSlash), isDots) {
			return errPathSegment
		}
		if strings.ContainsAny(s, "\x00\r\n") || !utf8.ValidString(s) { // overlong forms hide dots and slashes
			return errPathChar
		}
		plain := escape.ReplaceAllStringFunc(s, unescape)
		if plain == s {
			return nil
		}
		s = plain
	}
	return errPathChar
}

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

func unescape(s string) string {
	b, _ := hex.DecodeString(s[1:]) // two hexadecimal digits
	return string(b)
}

// isSlash and isDots also know the characters that normalisation (NFKC) turns into slashes and dots.
func isSlash(r rune) bool { return strings.ContainsRune(`/\／＼⁄∕`, r) }

var plainDots = strings.NewReplacer("．", ".", "․", ".", "‥", "..", "。", ".")

// isDots also refuses dots followed by a path parameter, or with space around them, which some servers
// strip before they route.
func isDots(s string) bool {
	s, _, _ = strings.Cut(s, ";")
	s = plainDots.Replace(strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }))
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

func (p pattern) takes(method string) bool { return p.method == "*" || p.method == method }

func (p pattern) allows(method, path string) bool { return p.takes(method) && glob(p.path, path) }

// overlap reports whether some text fits two patterns, each given as its literal pieces with anything, or
// nothing, between them.
func overlap(a, b []string) bool {
	x, y := tokens(a), tokens(b)
	next := make([]bool, len(y)+1) // whether x[i+1:] and y[j:] overlap, by j
	for i := len(x); i >= 0; i-- {
		row := make([]bool, len(y)+1)
		for j := len(y); j >= 0; j-- {
			right := j < len(y) && row[j+1]
			switch px, py := x.at(i), y.at(j); {
			case px == anything:
				row[j] = next[j] || right
			case py == anything:
				row[j] = right || i < len(x) && next[j]
			case px == end || py == end:
				row[j] = px == py
			default:
				row[j] = px == py && next[j+1]
			}
		}
		next = row
	}
	return next[0]
}

// A text is the bytes of a pattern, with anything between its pieces.
type text []int

const (
	anything = -1
	end      = -2
)

func (t text) at(i int) int {
	if i == len(t) {
		return end
	}
	return t[i]
}

func tokens(pieces []string) text {
	var out text
	for i, p := range pieces {
		if i > 0 {
			out = append(out, anything)
		}
		for _, c := range []byte(p) {
			out = append(out, int(c))
		}
	}
	return out
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
