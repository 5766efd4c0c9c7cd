package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
)

// optional reports whether an optional reference stands in the text.
func (t tmpl) optional() bool {
	return slices.ContainsFunc(t, func(p part) bool { return p.ref != nil && p.ref.optional })
}

// restores reports whether an optional reference writes a part of the before-image back. In an update it does where
// the entry owns it, or something of it, or says nothing of what it owns, and where it is not as it was already.
func (v values) restores(path []string) bool {
	if !v.update {
		return true
	}
	was, _ := at(v.before, path)
	is, there := at(v.now, path)
	if there && same(was, is) {
		return false
	}
	return len(v.mine) == 0 || slices.ContainsFunc(v.mine, func(own []string) bool {
		n := min(len(own), len(path))
		return slices.Equal(own[:n], path[:n])
	})
}

// render fills the holes: a string that is exactly one reference becomes the value itself, byte for
// byte; inside a longer string a reference becomes text. A member whose optional reference finds nothing is
// left out.
func (b body) render(v values) (json.RawMessage, error) {
	if b.raw == nil {
		return nil, nil
	}
	var out []byte
	from := 0
	for _, h := range b.holes {
		raw, err := h.fill(v)
		if h.member >= 0 && h.nothing(raw, err) {
			out, from = b.without(append(out, b.raw[from:h.member]...), h.to)
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(append(out, b.raw[from:h.from]...), raw...)
		from = h.to
	}
	return append(out, b.raw[from:]...), nil
}

// fill returns what stands in the hole's place.
func (h hole) fill(v values) (json.RawMessage, error) {
	if len(h.text) == 1 && h.text[0].ref != nil && !h.text[0].ref.multi {
		return h.text[0].ref.find(v)
	}
	s, err := h.text.render(v, asText)
	if err != nil {
		return nil, err
	}
	return quote(s), nil
}

// nothing reports whether an optional member is left out.
func (h hole) nothing(raw json.RawMessage, err error) bool {
	return errors.Is(err, errMissing) || err == nil && h.text[0].ref.orNull && string(raw) == "null"
}

// without goes on behind a member that is left out: out ends where it would begin. One comma goes with it, the
// one behind it or, for the last member, the one before it.
func (b body) without(out []byte, to int) (rest []byte, from int) {
	next := to + len(b.raw[to:]) - len(bytes.TrimLeft(b.raw[to:], " \t\r\n"))
	if next < len(b.raw) && b.raw[next] == ',' {
		return out, next + 1
	}
	return bytes.TrimSuffix(bytes.TrimRight(out, " \t\r\n"), []byte(",")), to
}
