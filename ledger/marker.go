package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// In a stored document, and in all that is shown, a marker stands in place of a secret value:
//
//	{"$secret":"hmac:3f9a1c0e5b7d42618890aa3c5f1e2d74"}
//
// It is the value's fingerprint, HMAC-SHA-256 cut to 128 bits under a key that this ledger alone has, over the
// value as the ledger compares it: equal values have equal fingerprints, however they are spelled. Inside a
// longer text, such as a URL, the word $secret:hmac:… stands for it.
const (
	markerMember = "$secret"
	markerBegin  = `{"$secret":"hmac:`
	wordBegin    = "$secret:hmac:"
)

// fingerprint returns "hmac:" and 32 hex digits of a decoded value.
func fingerprint(c Cipher, v any) string {
	sum := c.MAC(macFingerprint, []byte(text(document{}.strip("", v))))
	return "hmac:" + hex.EncodeToString(sum[:16])
}

func fingerprintRaw(c Cipher, value json.RawMessage) (string, error) {
	v, err := decode(value)
	if err != nil {
		return "", err
	}
	return fingerprint(c, v), nil
}

func marker(fp string) json.RawMessage {
	return json.RawMessage(`{"` + markerMember + `":"` + fp + `"}`)
}

// markerIn returns the fingerprint of a decoded value that is a marker.
func markerIn(v any) (fp string, ok bool) {
	m, isObject := v.(map[string]any)
	if !isObject || len(m) != 1 {
		return "", false
	}
	fp, _ = m[markerMember].(string)
	return fp, strings.HasPrefix(fp, "hmac:")
}

// beginsMarker reports whether a value of a stored document is a marker.
func beginsMarker(rest []byte) bool { return bytes.HasPrefix(rest, []byte(markerBegin)) }

// markerText returns the fingerprint of a marker as it is stored.
func markerText(raw json.RawMessage) string {
	return strings.TrimSuffix(strings.TrimPrefix(string(raw), `{"`+markerMember+`":"`), `"}`)
}

// hasMarker returns the pointer of the first marker, or of the first text with a word for one, in what
// somebody posts: a fingerprint is no value.
func hasMarker(raw json.RawMessage) (pointer string, found bool) {
	if !bytes.Contains(raw, []byte("secret")) && !bytes.Contains(raw, []byte(`\u`)) {
		return "", false
	}
	r := rewriter{wants: func(path []token, rest []byte) bool {
		if found {
			return false
		}
		switch {
		case rest[0] == '{' && valueEnd(rest) <= 200:
			v, err := decode(json.RawMessage(rest[:valueEnd(rest)]))
			_, found = markerIn(v)
			found = found && err == nil
		case rest[0] == '"':
			s, _ := leaf(rest)
			found = strings.Contains(s, wordBegin)
		}
		if found {
			pointer = pointerOf(path)
		}
		return false
	}}
	if _, err := r.rewrite(raw); err != nil {
		return "", false // what cannot be read is refused elsewhere
	}
	return pointer, found
}

const (
	shortest  = 4  // shorter values stand in any text: they are hidden where they are named, and not looked for
	telling   = 12 // a value of this length does not stand in a longer text by chance
	mostKnown = 2000
)

// A known set is the texts of an entry's secret values in the forms in which they may stand in other texts,
// each with its word. It is built, then used.
type known struct {
	words  map[string]string // form → word
	plain  []string          // the texts themselves
	hiding *strings.Replacer
}

// add takes in every text and number of a secret value.
func (k *known) add(c Cipher, value json.RawMessage) {
	r := rewriter{wants: func(_ []token, rest []byte) bool {
		s, ok := leaf(rest)
		if !ok || len(s) < shortest || len(k.plain) >= mostKnown || slices.Contains(k.plain, s) {
			return false
		}
		fp, err := fingerprintRaw(c, json.RawMessage(rest[:valueEnd(rest)]))
		if err != nil {
			return false
		}
		if k.words == nil {
			k.words = map[string]string{}
		}
		k.plain, k.hiding = append(k.plain, s), nil
		for _, form := range formsOf(s) {
			k.words[form] = "$secret:" + fp
		}
		return false
	}}
	_, _ = r.rewrite(value) // what cannot be read has no text to look for
}

// formsOf returns a text as it is, and escaped or encoded in the ways that texts carry others.
func formsOf(s string) []string {
	b := []byte(s)
	out := []string{
		s, url.QueryEscape(s), url.PathEscape(s), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
		base64.RawStdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b), strings.Trim(text(s), `"`),
	}
	if raw, err := json.Marshal(s); err == nil {
		out = append(out, string(raw[1:len(raw)-1]))
	}
	return out
}

func (k *known) replacer() *strings.Replacer {
	if k.hiding == nil {
		forms := make([]string, 0, len(k.words))
		for form := range k.words {
			forms = append(forms, form)
		}
		slices.SortFunc(forms, func(a, b string) int {
			if len(a) != len(b) {
				return len(b) - len(a) // the longest first: a part of it must not be taken for another
			}
			return strings.Compare(a, b)
		})
		pairs := make([]string, 0, 2*len(forms))
		for _, form := range forms {
			pairs = append(pairs, form, k.words[form])
		}
		k.hiding = strings.NewReplacer(pairs...)
	}
	return k.hiding
}

// hide returns s with words in place of secret texts.
func (k *known) hide(s string) string {
	if len(k.words) == 0 {
		return s
	}
	return k.replacer().Replace(s)
}

// holds reports whether the text or number that rest begins with has a secret text in it.
func (k *known) holds(rest []byte) bool {
	s, ok := leaf(rest)
	switch {
	case !ok || len(k.words) == 0:
		return false
	case rest[0] != '"':
		return slices.Contains(k.plain, s)
	default:
		return k.hide(s) != s
	}
}

// names reports whether a text is a secret one, or has one in it that does not stand there by chance.
func (k *known) names(s string) bool {
	return slices.Contains(k.plain, s) || slices.ContainsFunc(k.plain, func(p string) bool {
		return len(p) >= telling && strings.Contains(s, p)
	})
}
