package ledger

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// A token is one step on the way to a value inside a document.
type token struct {
	name    string // member's name, or the element's number
	element bool   // of an array
}

// A rewriter replaces some values of a document; everything else keeps its bytes.
type rewriter struct {
	// wants is asked for every value, from the outside in, with the bytes that begin with it.
	wants func(path []token, rest []byte) bool
	// put returns what stands in place of a value that is wanted.
	put func(path []token, value json.RawMessage) (json.RawMessage, error)

	raw  []byte
	out  []byte
	done int // raw[:done] is in out
	path []token
	err  error
}

// rewrite returns raw, which is JSON, with the wanted values replaced. Nothing to replace: raw itself.
func (r rewriter) rewrite(raw json.RawMessage) (json.RawMessage, error) {
	r.raw = raw
	r.value(r.space(0))
	if r.err != nil || r.done == 0 {
		return raw, r.err
	}
	return append(r.out, raw[r.done:]...), nil
}

// value walks over the value that begins at i and returns the index behind it.
func (r *rewriter) value(i int) int {
	if i >= len(r.raw) || r.err != nil {
		return len(r.raw)
	}
	if r.wants(r.path, r.raw[i:]) {
		return r.replace(i)
	}
	switch r.raw[i] {
	case '{':
		return r.members(i + 1)
	case '[':
		return r.elements(i + 1)
	default:
		return i + valueEnd(r.raw[i:])
	}
}

func (r *rewriter) replace(i int) int {
	end := i + valueEnd(r.raw[i:])
	value, err := r.put(r.path, json.RawMessage(r.raw[i:end]))
	if err != nil {
		r.err = err
		return len(r.raw)
	}
	r.out = append(append(r.out, r.raw[r.done:i]...), value...)
	r.done = end
	return end
}

// members walks over an object from behind its brace.
func (r *rewriter) members(i int) int {
	for i = r.space(i); i < len(r.raw) && r.raw[i] != '}' && r.err == nil; {
		end := i + valueEnd(r.raw[i:])
		var name string
		if err := json.Unmarshal(r.raw[i:end], &name); err != nil {
			r.err = err
			break
		}
		r.path = append(r.path, token{name: name})
		i = r.value(r.space(r.space(end) + 1)) // behind the colon
		r.path = r.path[:len(r.path)-1]
		i = r.next(i)
	}
	return i + 1
}

// elements walks over an array from behind its bracket.
func (r *rewriter) elements(i int) int {
	i = r.space(i)
	for n := 0; i < len(r.raw) && r.raw[i] != ']' && r.err == nil; n++ {
		r.path = append(r.path, token{name: strconv.Itoa(n), element: true})
		i = r.value(i)
		r.path = r.path[:len(r.path)-1]
		i = r.next(i)
	}
	return i + 1
}

// next skips a comma.
func (r *rewriter) next(i int) int {
	i = r.space(i)
	if i < len(r.raw) && r.raw[i] == ',' {
		return r.space(i + 1)
	}
	return i
}

func (r *rewriter) space(i int) int {
	for i < len(r.raw) && strings.IndexByte(" \t\r\n", r.raw[i]) >= 0 {
		i++
	}
	return i
}

// valueEnd returns the length of the value that raw begins with.
func valueEnd(raw []byte) int {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			i = stringEnd(raw, i)
			if depth == 0 {
				return min(i+1, len(raw))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				return i + depth + 1 // behind it, or before one that closes what is around the value
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 && i > 0 {
				return i
			}
		}
	}
	return len(raw)
}

// stringEnd returns the index of the quote that ends the string which begins at i.
func stringEnd(raw []byte, i int) int {
	for i++; i < len(raw) && raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i
}

// leaf returns the text of a string, or the literal of a number, that rest begins with.
func leaf(rest []byte) (text string, ok bool) {
	switch {
	case len(rest) == 0 || bytes.IndexByte([]byte("{[tfn"), rest[0]) >= 0:
		return "", false
	case rest[0] != '"':
		return string(rest[:valueEnd(rest)]), true
	}
	err := json.Unmarshal(rest[:valueEnd(rest)], &text)
	return text, err == nil
}

// pointerOf writes a path as a JSON pointer (RFC 6901).
func pointerOf(path []token) string {
	var b strings.Builder
	for _, t := range path {
		b.WriteString(pointerTo(t.name))
	}
	return b.String()
}

// A pattern is a pointer in which "-" stands for every element of an array.
type pattern []string

// covers reports whether the pattern names the value at path, or one around it.
func (p pattern) covers(path []token) bool {
	return len(p) <= len(path) && p.names(path[:len(p)])
}

// names reports whether the pattern names exactly the value at path.
func (p pattern) names(path []token) bool {
	if len(p) != len(path) {
		return false
	}
	for i, t := range path {
		if p[i] != t.name && (!t.element || p[i] != "-") {
			return false
		}
	}
	return true
}
