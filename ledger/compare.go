package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// A Comparison says which of its images a resource shows. Both may hold: then the entry changed nothing
// that it owns.
type Comparison struct {
	Before bool
	After  bool
	// Blind: the resource is there, and nothing that was compared tells the images apart: what the entry owns is
	// empty, or all of it is masked or volatile, or the images differ in nothing that is shown while something is
	// masked. Before and After are false then.
	Blind  bool
	Digest string // of what the entry owns of the state now; see [Digest]
}

// detailBlind says for a person that a comparison was blind.
const detailBlind = "nothing that can be compared tells before from after: what the entry owns is empty, masked or volatile"

// Compare sets what a resource shows now beside the before- and after-image, over the parts that the
// entry answers for: owned (by default the members of before ∪ after), less volatile and masked. What
// the server adds is ignored; numbers are equal by exact decimal value; null is not absent; a member
// that stands in one image only must be absent in the other. An image that is not known equals nothing.
func Compare(before, after, now Image, scope Scope) Comparison {
	owned := scope.ownedOf(before, after)
	doc := newDocument(now, scope)
	out := Comparison{
		Before: doc.shows(before, owned, scope),
		After:  doc.shows(after, owned, scope),
		Digest: doc.digest(owned),
	}
	images := []document{newDocument(before, scope), newDocument(after, scope)}
	if doc.blind(owned, images) || out.Before && out.After && doc.veiled(owned, images) {
		out.Before, out.After, out.Blind = false, false, true
	}
	return out
}

// blind reports whether the resource is there, as every image that is known says, and nothing of it may be compared.
// An image of absence is told by the resource being there at all.
func (d document) blind(owned []string, images []document) bool {
	if !d.known || d.absent || !slices.ContainsFunc(images, func(i document) bool { return i.known }) {
		return false
	}
	images = slices.DeleteFunc(slices.Clone(images), func(i document) bool { return !i.known })
	if slices.ContainsFunc(images, func(i document) bool { return i.absent }) {
		return false
	}
	return !slices.ContainsFunc(owned, func(p string) bool {
		return !d.ignores(p) && slices.ContainsFunc(append(images, d), func(i document) bool { return i.tells(p) })
	})
}

// tells reports whether something at pointer p is compared: that it is not there, or a value that is shown.
func (d document) tells(p string) bool {
	v, ok := lookup(d.value, p)
	return !ok || d.shown(p, v)
}

// shown reports whether anything of the value at pointer p is neither masked nor volatile.
func (d document) shown(p string, v any) bool {
	if d.ignores(p) {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		for m, e := range v {
			if d.shown(p+pointerTo(m), e) {
				return true
			}
		}
		return len(v) == 0
	case []any:
		for i, e := range v {
			if d.shown(p+"/"+strconv.Itoa(i), e) {
				return true
			}
		}
		return len(v) == 0
	default:
		return true
	}
}

// veiled reports whether an image holds something masked of what the entry owns: that may be all that it changed.
func (d document) veiled(owned []string, images []document) bool {
	return slices.ContainsFunc(d.scope.Masked, func(m string) bool {
		mine := slices.ContainsFunc(owned, func(p string) bool { return under(m, p) || under(p, m) })
		return mine && slices.ContainsFunc(images, func(i document) bool {
			_, ok := lookup(i.value, m)
			return ok
		})
	})
}

// ownedOf returns the pointers that are compared.
func (s Scope) ownedOf(images ...Image) []string {
	if len(s.Owned) > 0 {
		return s.Owned
	}
	var out []string
	for _, i := range images {
		if !i.Known() || i.IsAbsent() {
			continue
		}
		v, err := decode(i.JSON)
		members, isObject := v.(map[string]any)
		if _, hidden := markerIn(v); err != nil || !isObject || hidden {
			return []string{""}
		}
		for m := range members {
			if p := pointerTo(m); !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	slices.Sort(out)
	return out
}

// A document is a decoded image, less what is volatile or masked.
type document struct {
	known, absent bool
	value         any
	scope         Scope
}

func newDocument(i Image, scope Scope) document {
	d := document{known: i.Known(), absent: i.IsAbsent(), scope: scope}
	if !d.known || d.absent {
		return d
	}
	v, err := decode(i.JSON)
	if err != nil {
		d.known = false
		return d
	}
	d.value = v
	return d
}

func (d document) shows(want Image, owned []string, scope Scope) bool {
	w := newDocument(want, scope)
	if !d.known || !w.known || d.absent != w.absent {
		return false
	}
	if d.absent {
		return true
	}
	for _, p := range owned {
		if d.ignores(p) {
			continue
		}
		a, inNow := lookup(d.value, p)
		b, inWant := lookup(w.value, p)
		if inNow != inWant || inNow && !d.equal(p, a, b) {
			return false
		}
	}
	return true
}

func (d document) ignores(p string) bool {
	hidden := func(top string) bool { return under(p, top) }
	return slices.ContainsFunc(d.scope.Volatile, hidden) || slices.ContainsFunc(d.scope.Masked, hidden)
}

// equal compares two values that stand at pointer p.
func (d document) equal(p string, a, b any) bool {
	if d.ignores(p) {
		return true
	}
	if fa, fb, hidden := d.fingerprints(a, b); hidden {
		return fa == fb
	}
	return d.same(p, a, b)
}

// same is equal for values that are both in plain.
func (d document) same(p string, a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && d.equalObjects(p, a, b)
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		if slices.Contains(d.scope.Unordered, p) {
			return d.sameElements(p, a, b)
		}
		for i := range a {
			if !d.equal(p+"/"+strconv.Itoa(i), a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		return ok && sameNumber(a.String(), b.String())
	default:
		return a == b
	}
}

// fingerprints returns those of two values of which one at least is hidden: entries of one resource may differ
// in what they call secret.
func (d document) fingerprints(a, b any) (fa, fb string, hidden bool) {
	fa, ha := markerIn(a)
	fb, hb := markerIn(b)
	switch {
	case ha == hb || d.scope.fingerprintFunc == nil:
	case ha:
		fb = d.scope.fingerprintFunc(b)
	default:
		fa = d.scope.fingerprintFunc(a)
	}
	return fa, fb, ha || hb
}

func (d document) equalObjects(p string, a, b map[string]any) bool {
	for m := range a {
		if _, ok := b[m]; !ok && !d.ignores(p+pointerTo(m)) {
			return false
		}
	}
	for m, vb := range b {
		va, ok := a[m]
		if !ok && !d.ignores(p+pointerTo(m)) || ok && !d.equal(p+pointerTo(m), va, vb) {
			return false
		}
	}
	return true
}

// sameElements compares two arrays whose order means nothing.
func (d document) sameElements(p string, a, b []any) bool {
	rest := slices.Clone(b)
	for _, va := range a {
		i := slices.IndexFunc(rest, func(vb any) bool { return d.equal(p+"/-", va, vb) })
		if i < 0 {
			return false
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return true
}

// digest returns "sha256:" and hex over the owned parts, "absent" for absence, "" for not known.
func (d document) digest(owned []string) string {
	switch {
	case !d.known:
		return ""
	case d.absent:
		return "absent"
	}
	var b bytes.Buffer
	for _, p := range owned {
		v, ok := lookup(d.value, p)
		if !ok || d.ignores(p) {
			continue
		}
		writeString(&b, p)
		writeCanonical(&b, d.strip(p, v))
	}
	sum := sha256.Sum256(b.Bytes())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// strip returns v without what is ignored below p, and with unordered arrays sorted.
func (d document) strip(p string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for m, e := range v {
			if q := p + pointerTo(m); !d.ignores(q) {
				out[m] = d.strip(q, e)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = d.strip(p+"/"+strconv.Itoa(i), e)
		}
		if slices.Contains(d.scope.Unordered, p) {
			slices.SortFunc(out, func(a, b any) int { return strings.Compare(text(a), text(b)) })
		}
		return out
	case json.Number:
		return json.Number(decimal(v.String()))
	default:
		return v
	}
}

func text(v any) string {
	var b bytes.Buffer
	writeCanonical(&b, v)
	return b.String()
}

func sameNumber(a, b string) bool { return a == b || decimal(a) == decimal(b) }

// maxExponent is how long an exponent may be, in digits: nobody means one that is longer, and reading a
// million digits takes seconds. Such a number equals itself alone.
const maxExponent = 64

// decimal writes a JSON number as its significant digits and a power of ten, so that equal values have
// equal texts however they were written. It needs no more memory than the literal itself.
func decimal(s string) string {
	neg := strings.HasPrefix(s, "-")
	mantissa, exp, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(s, "-")), "e")
	whole, frac, _ := strings.Cut(mantissa, ".")
	power := new(big.Int)
	if exp != "" {
		if len(exp) > maxExponent {
			return s
		}
		if _, ok := power.SetString(strings.TrimPrefix(exp, "+"), 10); !ok {
			return s
		}
	}
	digits := whole + frac
	power.Sub(power, big.NewInt(int64(len(frac))))
	trimmed := strings.TrimRight(digits, "0")
	power.Add(power, big.NewInt(int64(len(digits)-len(trimmed))))
	trimmed = strings.TrimLeft(trimmed, "0")
	if trimmed == "" {
		return "0"
	}
	if neg {
		trimmed = "-" + trimmed
	}
	return trimmed + "e" + power.String()
}
