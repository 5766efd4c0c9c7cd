package httpapi

import (
	"encoding/json"
	"slices"
)

// A tombstone says which values, at a place of the resource, mean that it is there no more although it is still shown:
// the field gone_when of read.
type tombstone struct {
	pointer []string
	in      []json.RawMessage
}

// tombstone reads the member; nil: it is not there.
func (f *fields) tombstone(name string) *tombstone {
	s, ok := f.sub(name)
	if !ok {
		return nil
	}
	out := &tombstone{pointer: s.pointer("pointer")}
	if err := json.Unmarshal(orNull(s.raw("in")), &out.in); err != nil || len(out.in) == 0 || len(out.pointer) == 0 {
		f.p.fail(s.path, "has a pointer, and in it a list of the values that mean gone")
	}
	s.end()
	return out
}

// holds reports whether a document is a tombstone. No tombstone is nil.
func (t *tombstone) holds(doc json.RawMessage) bool {
	if t == nil {
		return false
	}
	got, ok := at(doc, t.pointer)
	return ok && slices.ContainsFunc(t.in, func(want json.RawMessage) bool { return same(want, got) })
}
