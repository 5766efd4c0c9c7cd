package httpapi

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

var errRestore = errors.New("has {{restore}}, which cannot take back a part of a list: own the whole list")

// A restoring is an object of a merge patch on its way: members by name, each a value or an object again.
type restoring struct {
	value json.RawMessage
	below map[string]*restoring
}

// restore returns the merge patch (RFC 7396) that brings back what the entry owns of its before-image, and leaves its
// neighbours alone: null for a member that was not there.
func (v values) restore() (json.RawMessage, error) {
	switch {
	case len(v.before) == 0:
		return nil, errUnknown
	case string(v.before) == "null":
		return nil, errMissing
	case len(v.owned) == 0 || slices.Contains(v.owned, ""):
		return v.before, nil
	}
	root := &restoring{below: map[string]*restoring{}}
	for _, pointer := range v.owned {
		tokens, ok := parsePointer(pointer)
		if !ok {
			return nil, errRestore
		}
		if err := root.put(tokens, v.before); err != nil {
			return nil, err
		}
	}
	return root.json(), nil
}

// put takes in the value at a pointer of the before-image.
func (r *restoring) put(tokens []string, before json.RawMessage) error {
	node := r
	for i, t := range tokens {
		parent, there := at(before, tokens[:i])
		if there && len(parent) > 0 && parent[0] == '[' {
			return errRestore
		}
		next := node.below[t]
		if next == nil {
			next = &restoring{below: map[string]*restoring{}}
			node.below[t] = next
		}
		node = next
	}
	found, ok := at(before, tokens)
	if !ok {
		found = json.RawMessage("null")
	}
	node.value = found
	return nil
}

func (r *restoring) json() json.RawMessage {
	if r.value != nil { // it owns what is below it too
		return r.value
	}
	out := []byte("{")
	for i, name := range slices.Sorted(maps.Keys(r.below)) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(name)...), ':'), r.below[name].json()...)
	}
	return append(out, '}')
}
