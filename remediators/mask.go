package remediators

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maskWords are what third parties show in place of a secret, in small letters and without brackets.
var maskWords = []string{
	"redacted", "hidden", "masked", "filtered", "secret", "sensitive", "sensitive value", "secret hidden", "removed", "protected", "not shown",
}

// IsMask reports whether a string stands in place of a secret: three or more asterisks, bullets or x-es
// of a mask, or a word like [redacted] in brackets.
func IsMask(s string) bool {
	s = strings.TrimSpace(s)
	if n := len([]rune(s)); n >= 3 && strings.Trim(s, "*•●∗⁎·") == "" {
		return true
	}
	if bare, dashes := strings.CutPrefix(s, "--"); dashes && strings.HasSuffix(bare, "--") {
		s = "<" + strings.Trim(bare, "- ") + ">" // PagerDuty: -- redacted --
	}
	if len(s) < 3 || !strings.ContainsRune("[<({*", rune(s[0])) {
		return strings.EqualFold(s, "redacted")
	}
	return slices.Contains(maskWords, strings.ToLower(strings.Trim(s, "[]<>(){}* ")))
}

// FindMask returns the pointer of the first string of a document that is a mask, at being the pointer of the
// document itself. Nothing, and what is not JSON, has none.
func FindMask(raw json.RawMessage, at string) (pointer string, found bool) {
	if all := FindMasks(raw, at); len(all) > 0 {
		return all[0], true
	}
	return "", false
}

// FindMasks is FindMask for all of them, in order.
func FindMasks(raw json.RawMessage, at string) (pointers []string) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	return masksIn(v, at)
}

func masksIn(v any, at string) (out []string) {
	switch v := v.(type) {
	case string:
		if IsMask(v) || masksWithin(v) {
			out = append(out, at)
		}
	case []any:
		for i, e := range v {
			out = append(out, masksIn(e, at+"/"+strconv.Itoa(i))...)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, masksIn(v[k], at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(k))...)
		}
	}
	return out
}

// masksWithin reports whether a text is a JSON document that has a mask in it: some third parties keep such documents as text,
// and mask members of them (Airflow's variables).
func masksWithin(s string) bool {
	s = strings.TrimSpace(s)
	if s == "" || s[0] != '{' && s[0] != '[' || deep([]byte(s)) {
		return false
	}
	_, found := FindMask(json.RawMessage(s), "")
	return found
}
