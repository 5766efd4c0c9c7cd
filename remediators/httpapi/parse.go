package httpapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"sideledger/ledger"
)

// A parser reads posted documents strictly. It keeps the first mistake and goes on harmlessly after it.
type parser struct{ err error }

func (p *parser) fail(field, format string, args ...any) {
	if p.err == nil {
		p.err = ledger.Invalid(field, format, args...)
	}
}

// fields are the members of one object, at one place of the request body.
type fields struct {
	p    *parser
	path string
	m    map[string]json.RawMessage
	seen []string
}

// object opens an object. Null and nothing are an object without members.
func (p *parser) object(path string, raw json.RawMessage) *fields {
	f := &fields{p: p, path: path, m: map[string]json.RawMessage{}}
	if !given(raw) {
		return f
	}
	if err := json.Unmarshal(raw, &f.m); err != nil {
		p.fail(path, "has to be an object")
	}
	return f
}

// given reports whether a raw field says anything.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// raw returns a member, and nil if it is not there or null.
func (f *fields) raw(name string) json.RawMessage {
	f.seen = append(f.seen, name)
	if !given(f.m[name]) {
		return nil
	}
	return f.m[name]
}

func (f *fields) at(name string) string { return f.path + "/" + name }

func (f *fields) text(name, standard string) string {
	raw := f.raw(name)
	if raw == nil {
		return standard
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		f.p.fail(f.at(name), "has to be a string")
	}
	return s
}

// word is a text that has to be one of a few.
func (f *fields) word(name, standard string, allowed ...string) string {
	s := f.text(name, standard)
	if !slices.Contains(allowed, s) {
		f.p.fail(f.at(name), "is one of %s", strings.Join(allowed, ", "))
	}
	return s
}

func (f *fields) statuses(name string, standard ...int) []int {
	raw := f.raw(name)
	if raw == nil {
		return standard
	}
	var list []int
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
		f.p.fail(f.at(name), "has to be a list of HTTP statuses")
	}
	for _, s := range list {
		if s < 200 || s > 599 {
			f.p.fail(f.at(name), "has a number that is no final HTTP status")
		}
	}
	return list
}

func (f *fields) duration(name string, standard, most time.Duration) time.Duration {
	s := f.text(name, "")
	if s == "" {
		return standard
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > most {
		f.p.fail(f.at(name), "has to be a duration like \"30s\", above zero and at most %s", most)
	}
	return d
}

// flag is true or false, and false if it is not there.
func (f *fields) flag(name string) bool {
	raw := f.raw(name)
	if raw != nil && string(raw) != "true" && string(raw) != "false" {
		f.p.fail(f.at(name), "has to be true or false")
	}
	return string(raw) == "true"
}

// pointer is a JSON pointer (RFC 6901); "" is the whole document.
func (f *fields) pointer(name string) []string {
	tokens, ok := parsePointer(f.text(name, ""))
	if !ok {
		f.p.fail(f.at(name), "has to be a JSON pointer: \"\" or \"/member/0\"")
	}
	return tokens
}

// sub opens a member that is an object; ok is false if it is not there.
func (f *fields) sub(name string) (s *fields, ok bool) {
	raw := f.raw(name)
	return f.p.object(f.at(name), raw), raw != nil
}

// end refuses members that nobody asked for, by name.
func (f *fields) end() {
	for _, name := range slices.Sorted(maps.Keys(f.m)) {
		if !slices.Contains(f.seen, name) {
			known := slices.Sorted(slices.Values(f.seen))
			f.p.fail(f.at(escapeToken(name)), "is not known here; known are %s", strings.Join(known, ", "))
		}
	}
}
