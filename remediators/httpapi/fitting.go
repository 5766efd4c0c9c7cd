package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sideledger/ledger"
)

// A fitting says for which entries a way to undo is right, and what it does besides.
type fitting struct {
	// Restores are the only places that this way brings back; an entry that changed another does not fit. Absent:
	// all that the entry owns.
	Restores []string `yaml:"restores"`
	// Shows are places that the before-image has to have something at.
	Shows []string `yaml:"shows"`
	// When holds the before-image to a value at a place, or to one of a list; null stands for nothing there too.
	When map[string]any `yaml:"when"`
	// SetsOff says what the undo itself makes happen, or may: a warning when the entry is recorded.
	SetsOff string `yaml:"sets_off"`
	// Asked: the entry is blocked until a person decides to undo it, having read SetsOff.
	Asked bool `yaml:"asked_first"`

	restores [][]string
	when     holds
}

// A holds holds a document to one of several values at each of some pointers; null stands for nothing there too.
type holds map[string][]json.RawMessage

// parseHolds reads what a profile says: a value at a pointer, or a list of values.
func parseHolds(said map[string]any) (holds, error) {
	out := holds{}
	for s, v := range said {
		values, list := v.([]any)
		if !list {
			values = []any{v}
		}
		for _, v := range values {
			raw, err := json.Marshal(v)
			if _, ok := parsePointer(s); !ok || err != nil {
				return nil, fmt.Errorf("when has %q, which is no JSON pointer with a value", s)
			}
			out[s] = append(out[s], raw)
		}
	}
	return out, nil
}

// of reports whether a document is as it has to be.
func (h holds) of(doc json.RawMessage) bool {
	for pointer, wanted := range h {
		tokens, _ := parsePointer(pointer) // parseHolds has parsed it
		got, there := at(doc, tokens)
		if !there {
			got = json.RawMessage("null")
		}
		if !slices.ContainsFunc(wanted, func(want json.RawMessage) bool { return same(want, got) }) {
			return false
		}
	}
	return true
}

// read reads the pointers.
func (f *fitting) read() error {
	for _, s := range f.Restores {
		tokens, ok := parsePointer(s)
		if !ok {
			return fmt.Errorf("restores has %q, which is no JSON pointer", s)
		}
		f.restores = append(f.restores, tokens)
	}
	for _, s := range f.Shows {
		if _, ok := parsePointer(s); !ok {
			return fmt.Errorf("shows has %q, which is no JSON pointer", s)
		}
	}
	var err error
	if f.when, err = parseHolds(f.When); err != nil {
		return err
	}
	if f.Asked && f.SetsOff == "" {
		return fmt.Errorf("asked_first needs sets_off: what the person is asked about")
	}
	return nil
}

// effects says when an entry is recorded what its undo will set off.
func (f *fitting) effects() []string {
	switch {
	case f.SetsOff == "":
		return nil
	case f.Asked:
		return []string{"a rollback stops here and asks first, since its undo sets something off: " + f.SetsOff}
	}
	return []string{"its undo sets something off: " + f.SetsOff}
}

// pick returns the first way to undo the entry for which it has everything, and which brings back all that it
// changed as far as that is known; nil: none.
func (k *profileKind) pick(d *ledger.Draft) *variant {
	for _, v := range k.byAction[d.Action] {
		lacks := slices.ContainsFunc(v.Needs, func(m string) bool { return !has(d.Resource, m) })
		if !lacks && v.suits(d.Before) && v.covers(k, d) {
			return v
		}
	}
	return nil
}

// suits reports whether a before-image is one that this way can restore. One that is not known is.
func (f *fitting) suits(before ledger.Image) bool {
	if !before.Known() || before.IsAbsent() {
		return true
	}
	for _, pointer := range f.Shows {
		tokens, _ := parsePointer(pointer) // read has parsed it
		if _, there := at(before.JSON, tokens); !there {
			return false
		}
	}
	return f.when.of(before.JSON)
}

// covers reports whether the images differ, as far as the entry owns them, in nothing that this way leaves alone.
func (f *fitting) covers(k *profileKind, d *ledger.Draft) bool {
	if len(f.Restores) == 0 || !d.Before.Known() || !d.After.Known() || d.Before.IsAbsent() || d.After.IsAbsent() {
		return true
	}
	owned := d.Owned
	if len(owned) == 0 {
		owned = k.Owned
	}
	scope := ledger.Scope{
		Owned: owned, Masked: union(d.Masked, k.Masked), Volatile: slices.Concat(d.Volatile, k.Volatile, f.Restores),
		Unordered: union(d.Unordered, k.Unordered),
	}
	c := ledger.Compare(d.Before, d.After, d.After, scope)
	return c.Before || c.Blind
}

// unfit says why no way to undo fits an entry whose resource has everything.
func (k *profileKind) unfit(d *ledger.Draft) string {
	var may []string
	for _, v := range k.byAction[d.Action] {
		if !v.suits(d.Before) {
			return "the before-image is none that this call can bring back: " + strings.Join(slices.Concat(v.Shows, slices.Sorted(maps.Keys(v.When))), ", ") + " decide that"
		}
		may = append(may, strings.Join(v.Restores, ", "))
	}
	return "it changed more than one call brings back; record one entry for each of: " + strings.Join(may, " | ")
}

// asks returns the question that a person has to answer before the undo is sent; empty: none, or it is answered.
func (p *prepared) asks(e *ledger.Entry) string {
	if p.variant == nil || !p.variant.Asked || given(e.Undo) {
		return ""
	}
	if d := e.Decision; d != nil && d.Kind == ledger.DecideUndo {
		return ""
	}
	return "asked first: its undo sets something off: " + p.variant.SetsOff + ". Decide undo to have it"
}
