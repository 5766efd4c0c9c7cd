package httpapi

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// roots are what a reference can begin with.
var roots = []string{"resource", "before", "after", "now", "validator", "id", "restore", rootSecret}

// Errors about references. They repeat neither the reference nor what it found.
var (
	errGrammar  = errors.New("has a reference that cannot be read: {{resource.x}}, {{before/a/0}}, {{validator}}, over resource, before, after, now, validator, id, restore; in a body {{before.x?}} and {{before.x|filter}} too")
	errMissing  = errors.New("has a reference that finds nothing")
	errUnknown  = errors.New("has a reference to what is not known yet")
	errScalar   = errors.New("has a reference to an object, list or null where only text can stand")
	errSegment  = errors.New("has a reference whose value cannot stand in a path: empty, '.' or '..'")
	errSlash    = errors.New("has a reference to a whole path whose value does not begin with '/'")
	errNotHere  = errors.New("has a reference to a whole path ({{+…}}), which stands in paths only")
	errMember   = errors.New("has a reference in a member's name; references stand in values only")
	errBodyJSON = errors.New("is not JSON")
	errOptional = errors.New("has an optional reference ({{…?}}), which is the whole value of a member of a body")
)

// values are what references read from. An empty document is not known; null is absence.
type values struct {
	resource, before, after, now json.RawMessage
	validator, id                string
	mine                         [][]string // of an update: what an optional reference to before may restore; empty: everything
	update                       bool       // an optional reference to before restores only what now shows otherwise
	// secretFunc returns the secret of the configuration that has this name; nil: not asked for yet.
	secretFunc func(name string) (string, error)
	owned      []string // pointers to what the entry answers for; empty: all
}

// A ref is one reference. multi marks {{+…}}: a whole path, escaped segment by segment.
type ref struct {
	root     string
	path     []string
	multi    bool
	optional bool   // {{…?}}: a member of a body that is left out when there is nothing
	orNull   bool   // {{…??}}: or null
	filter   string // {{…|filter}}: see filters; empty: none
}

// find returns the JSON value behind a reference. errUnknown: nobody can say yet; errMissing: not there.
func (r ref) find(v values) (json.RawMessage, error) {
	if r.root == rootSecret {
		return r.secret(v)
	}
	raw, err := r.read(v)
	if err != nil || r.filter == "" {
		return raw, err
	}
	if members, keep := membersOf(r.filter); len(members) > 0 {
		var now json.RawMessage
		if keep {
			now, _ = at(v.now, r.path)
		}
		return keeping(members, raw, now)
	}
	return filtered(r.filter, raw)
}

// read is find, less the filter.
func (r ref) read(v values) (json.RawMessage, error) {
	if r.optional && r.root == "before" && !v.restores(r.path) {
		return nil, errMissing // somebody else's, or as it was already
	}
	switch {
	case r.root == "id" && v.id != "":
		return quote(v.id), nil
	case r.root == "validator" && v.validator != "":
		return quote(v.validator), nil
	case r.root == "restore":
		return v.restore()
	}
	doc := map[string]json.RawMessage{"resource": v.resource, "before": v.before, "after": v.after, "now": v.now}[r.root]
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
	var r ref
	s, r.multi = strings.CutPrefix(strings.TrimSpace(s), "+")
	s, r.filter, _ = strings.Cut(s, "|")
	s, r.orNull = strings.CutSuffix(s, "??")
	s, r.optional = strings.CutSuffix(s, "?")
	r.optional, r.filter = r.optional || r.orNull, strings.TrimSpace(r.filter)
	end := strings.IndexAny(s, "./")
	root, rest := s, ""
	if end >= 0 {
		root, rest = s[:end], s[end:]
	}
	if r.root = root; !slices.Contains(roots, root) || strings.ContainsAny(s, "{}") {
		return ref{}, errGrammar
	}
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
	if !r.sound() {
		return ref{}, errGrammar
	}
	return r, nil
}

// sound reports whether the parts of a reference go together.
func (r ref) sound() bool {
	switch r.root {
	case "validator", "id", "restore":
		if len(r.path) > 0 {
			return false
		}
	case rootSecret:
		if len(r.path) != 1 || r.filter != "" {
			return false
		}
	}
	plain := !r.optional && r.filter == ""
	if strings.HasPrefix(r.filter, filterKeep) && r.root != "before" {
		return false // there is nothing to keep members of the present for
	}
	return knownFilter(r.filter) && (!r.multi || plain)
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
	member   int // where the member begins that a reference which finds nothing takes away; -1: none
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
	name := -1 // where the last member's name begins, while its value has not begun
	for i := 0; i < len(raw); i++ {
		if raw[i] != '"' {
			if strings.IndexByte(" \t\r\n:", raw[i]) < 0 {
				name = -1
			}
			continue
		}
		end := stringEnd(raw, i)
		h, err := parseHole(raw, hole{from: i, to: end, member: name})
		if err != nil {
			return body{}, err
		}
		if h.text != nil {
			b.holes = append(b.holes, h)
		}
		if name = -1; isMember(raw, end) {
			name = i
		}
		i = end - 1
	}
	return b, nil
}

// parseHole reads the references of one string; without text it has none.
func parseHole(raw json.RawMessage, h hole) (hole, error) {
	var s string
	if err := json.Unmarshal(raw[h.from:h.to], &s); err != nil {
		return h, errBodyJSON
	}
	if !strings.Contains(s, "{{") {
		return h, nil
	}
	if isMember(raw, h.to) {
		return h, errMember
	}
	var err error
	h.text, err = parseText(s)
	switch {
	case !h.text.optional():
		h.member = -1
	case h.member < 0 || len(h.text) != 1:
		err = errOptional
	}
	return h, err
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
