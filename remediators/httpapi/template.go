package httpapi

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// roots are what a reference can begin with.
var roots = []string{"resource", "before", "after", "now", "validator", "id", "restore"}

// Errors about references. They repeat neither the reference nor what it found.
var (
	errGrammar  = errors.New("has a reference that cannot be read: {{resource.x}}, {{before/a/0}}, {{validator}}, over resource, before, after, now, validator, id, restore")
	errMissing  = errors.New("has a reference that finds nothing")
	errUnknown  = errors.New("has a reference to what is not known yet")
	errScalar   = errors.New("has a reference to an object, list or null where only text can stand")
	errSegment  = errors.New("has a reference whose value cannot stand in a path: empty, '.' or '..'")
	errSlash    = errors.New("has a reference to a whole path whose value does not begin with '/'")
	errNotHere  = errors.New("has a reference to a whole path ({{+…}}), which stands in paths only")
	errMember   = errors.New("has a reference in a member's name; references stand in values only")
	errBodyJSON = errors.New("is not JSON")
)

// values are what references read from. An empty document is not known; null is absence.
type values struct {
	resource, before, after, now json.RawMessage
	validator, id                string
	owned                        []string // pointers to what the entry answers for; empty: all
}

// A ref is one reference. multi marks {{+…}}: a whole path, escaped segment by segment.
type ref struct {
	root  string
	path  []string
	multi bool
}

// find returns the JSON value behind a reference. errUnknown: nobody can say yet; errMissing: not there.
func (r ref) find(v values) (json.RawMessage, error) {
	var doc json.RawMessage
	switch r.root {
	case "id", "validator":
		s := v.id
		if r.root == "validator" {
			s = v.validator
		}
		if s == "" {
			return nil, errUnknown
		}
		raw, err := json.Marshal(s)
		return raw, err
	case "resource":
		doc = v.resource
	case "before":
		doc = v.before
	case "after":
		doc = v.after
	case "now":
		doc = v.now
	case "restore":
		return v.restore()
	}
	if len(doc) == 0 {
		return nil, errUnknown
	}
	if string(doc) == "null" {
		return nil, errMissing // the resource is not there; there is nothing to write
	}
	found, ok := at(doc, r.path)
	if !ok {
		return nil, errMissing
	}
	return found, nil
}

// A part is literal text or, with ref, a reference.
type part struct {
	literal string
	ref     *ref
}

// A tmpl is text with references.
type tmpl []part

// parseText reads text with references.
func parseText(s string) (tmpl, error) {
	var t tmpl
	for {
		i := strings.Index(s, "{{")
		if i < 0 {
			if strings.Contains(s, "}}") {
				return nil, errGrammar
			}
			if s != "" {
				t = append(t, part{literal: s})
			}
			return t, nil
		}
		j := strings.Index(s[i:], "}}")
		if j < 0 || strings.Contains(s[:i], "}}") {
			return nil, errGrammar
		}
		r, err := parseRef(s[i+2 : i+j])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			t = append(t, part{literal: s[:i]})
		}
		t = append(t, part{ref: &r})
		s = s[i+j+2:]
	}
}

// parseRef reads root, root.a.b, root/a/b, root./a/b, each with an optional + in front.
func parseRef(s string) (ref, error) {
	s = strings.TrimSpace(s)
	s, multi := strings.CutPrefix(s, "+")
	end := strings.IndexAny(s, "./")
	root, rest := s, ""
	if end >= 0 {
		root, rest = s[:end], s[end:]
	}
	if !slices.Contains(roots, root) || strings.ContainsAny(s, "{}") {
		return ref{}, errGrammar
	}
	r := ref{root: root, multi: multi}
	if pointer := strings.TrimPrefix(rest, "."); strings.HasPrefix(pointer, "/") {
		var ok bool
		if r.path, ok = parsePointer(pointer); !ok {
			return ref{}, errGrammar
		}
	} else if rest != "" {
		r.path = strings.Split(rest[1:], ".")
		if slices.Contains(r.path, "") {
			return ref{}, errGrammar
		}
	}
	if len(r.path) > 0 && (root == "validator" || root == "id" || root == "restore") {
		return ref{}, errGrammar
	}
	return r, nil
}

// uses reports whether a reference with this root stands in the text.
func (t tmpl) uses(root string) bool {
	return slices.ContainsFunc(t, func(p part) bool { return p.ref != nil && p.ref.root == root })
}

// render puts the text together; escape turns each value into what may stand there.
func (t tmpl) render(v values, escape func(r ref, s string) (string, error)) (string, error) {
	var b strings.Builder
	for _, p := range t {
		if p.ref == nil {
			b.WriteString(p.literal)
			continue
		}
		raw, err := p.ref.find(v)
		if err != nil {
			return "", err
		}
		s, ok := text(raw)
		if !ok {
			return "", errScalar
		}
		if s, err = escape(*p.ref, s); err != nil {
			return "", err
		}
		if p.ref.multi && strings.HasSuffix(b.String(), "/") {
			s = s[1:]
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// asText is the escape of headers and longer strings: none, they are checked or encoded as a whole.
func asText(r ref, s string) (string, error) {
	if r.multi {
		return "", errNotHere
	}
	return s, nil
}

func asQuery(r ref, s string) (string, error) {
	if r.multi {
		return "", errNotHere
	}
	return url.QueryEscape(s), nil
}

// asSegment makes a value one segment of a path or, for {{+…}}, several.
func asSegment(r ref, s string) (string, error) {
	if !r.multi {
		return segment(s)
	}
	rest, slash := strings.CutPrefix(s, "/")
	if !slash {
		return "", errSlash
	}
	parts := strings.Split(rest, "/")
	for i, p := range parts {
		var err error
		if parts[i], err = segment(p); err != nil {
			return "", err
		}
	}
	return "/" + strings.Join(parts, "/"), nil
}

func segment(s string) (string, error) {
	if s == "" || s == "." || s == ".." {
		return "", errSegment
	}
	return url.PathEscape(s), nil
}

// A location is a path with references, and its query.
type location struct{ path, query tmpl }

// parseLocation splits at the first '?' outside references.
func parseLocation(s string) (location, error) {
	path, query := s, ""
	for i, depth := 0, 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "{{"):
			depth++
		case strings.HasPrefix(s[i:], "}}"):
			depth--
		case s[i] == '?' && depth <= 0:
			path, query = s[:i], s[i+1:]
			i = len(s)
		}
	}
	p, err := parseText(path)
	if err != nil {
		return location{}, err
	}
	q, err := parseText(query)
	return location{p, q}, err
}

func (l location) render(v values) (path, query string, err error) {
	if path, err = l.path.render(v, asSegment); err != nil {
		return "", "", err
	}
	query, err = l.query.render(v, asQuery)
	return path, query, err
}

// A hole is a string of a JSON document that holds references: raw[from:to], quotes included.
type hole struct {
	from, to int
	text     tmpl
}

// A body is a JSON document with references. The zero value is no body.
type body struct {
	raw   json.RawMessage
	holes []hole
}

// parseBody finds the references of a document.
func parseBody(raw json.RawMessage) (body, error) {
	if !json.Valid(raw) {
		return body{}, errBodyJSON
	}
	b := body{raw: raw}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '"' {
			continue
		}
		end := stringEnd(raw, i)
		var s string
		if err := json.Unmarshal(raw[i:end], &s); err != nil {
			return body{}, errBodyJSON
		}
		if strings.Contains(s, "{{") {
			if isMember(raw, end) {
				return body{}, errMember
			}
			t, err := parseText(s)
			if err != nil {
				return body{}, err
			}
			b.holes = append(b.holes, hole{i, end, t})
		}
		i = end - 1
	}
	return b, nil
}

// stringEnd returns the index behind the string that begins at i.
func stringEnd(raw []byte, i int) int {
	for i++; i < len(raw) && raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func isMember(raw []byte, end int) bool {
	for ; end < len(raw); end++ {
		if strings.IndexByte(" \t\r\n", raw[end]) < 0 {
			return raw[end] == ':'
		}
	}
	return false
}

// render fills the holes: a string that is exactly one reference becomes the value itself, byte for
// byte; inside a longer string a reference becomes text.
func (b body) render(v values) (json.RawMessage, error) {
	if b.raw == nil {
		return nil, nil
	}
	var out []byte
	from := 0
	for _, h := range b.holes {
		out = append(out, b.raw[from:h.from]...)
		from = h.to
		if len(h.text) == 1 && h.text[0].ref != nil && !h.text[0].ref.multi {
			raw, err := h.text[0].ref.find(v)
			if err != nil {
				return nil, err
			}
			out = append(out, raw...)
			continue
		}
		s, err := h.text.render(v, asText)
		if err != nil {
			return nil, err
		}
		out = append(out, quote(s)...)
	}
	return append(out, b.raw[from:]...), nil
}
