package httpapi

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"sideledger/remediators"
)

// location is a path below the system's address, with references.
func (f *fields) location(name string) location {
	s := f.text(name, "")
	loc, err := parseLocation(s)
	if err == nil {
		err = loc.check()
	}
	if s == "" {
		f.p.fail(f.at(name), "is missing: a path below the system's url, like /hooks/42")
	} else if err != nil {
		f.p.fail(f.at(name), "%s", err.Error())
	}
	return loc
}

// check makes sure that the literal parts are a path already.
func (l location) check() error {
	var path, query strings.Builder
	for _, p := range l.path {
		if p.ref == nil {
			path.WriteString(p.literal)
			continue
		}
		if p.ref.multi && !strings.HasSuffix(path.String(), "/") {
			path.WriteString("/")
		}
		path.WriteString("x") // whatever is put there is escaped and checked when it is
	}
	for _, p := range l.query {
		if p.ref != nil && p.ref.multi {
			return errNotHere
		}
		query.WriteString(p.literal)
	}
	if strings.ContainsAny(query.String(), " #\r\n\x00") {
		return errGrammar
	}
	return remediators.CheckPath(path.String())
}

func (f *fields) headers(name string) []header {
	s, ok := f.sub(name)
	if !ok {
		return nil
	}
	var out []header
	seen := map[string]bool{}
	for _, h := range slices.Sorted(maps.Keys(s.m)) {
		if err := remediators.CheckHeader(h, ""); err != nil {
			f.p.fail(s.at(escapeToken(h)), "%s", err.Error())
		}
		name := http.CanonicalHeaderKey(h)
		if seen[name] {
			f.p.fail(s.at(escapeToken(h)), "stands there twice, in two spellings")
		}
		seen[name] = true
		out = append(out, header{posted: h, name: name, value: s.template(h, "")})
	}
	return out
}

func (f *fields) template(name, standard string) tmpl {
	t, err := parseText(f.text(name, standard))
	if err != nil {
		f.p.fail(f.at(escapeToken(name)), "%s", err.Error())
	}
	for _, p := range t {
		if p.ref != nil && p.ref.multi {
			f.p.fail(f.at(escapeToken(name)), "%s", errNotHere.Error())
		}
		if strings.ContainsAny(p.literal, "\r\n\x00") {
			f.p.fail(f.at(escapeToken(name)), "has a character that no header value may have")
		}
	}
	return t
}

func (f *fields) body(name string) body {
	raw := f.raw(name)
	if raw == nil {
		return body{}
	}
	b, err := parseBody(raw)
	if err != nil {
		f.p.fail(f.at(name), "%s", err.Error())
	}
	return b
}
