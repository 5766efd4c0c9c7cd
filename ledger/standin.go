package ledger

import (
	"encoding/json"
	"strings"
)

// standIn returns an entry and a look with words in the places of secret values: strings, so that they can
// stand in a path or a header as well as in a body.
func (o *opened) standIn(seen Look) (*Entry, Look, error) {
	stand := *o.entry
	for _, p := range stand.parts() {
		if !p.secretIn() {
			continue
		}
		r := rewriter{
			wants: func(path []token, rest []byte) bool {
				return beginsMarker(rest) || o.places.has(p, path) || !p.image && o.known.holds(rest)
			},
			put: func(path []token, value json.RawMessage) (json.RawMessage, error) {
				if s, isText := leaf(value); isText && value[0] == '"' && !o.places.has(p, path) {
					return encode(o.known.hide(s))
				}
				return o.word(value)
			},
		}
		shown, err := r.rewrite(*p.raw)
		if err != nil {
			return nil, Look{}, err
		}
		*p.raw = shown
	}
	now := rewriter{
		wants: func(_ []token, rest []byte) bool { return beginsMarker(rest) },
		put:   func(_ []token, value json.RawMessage) (json.RawMessage, error) { return o.word(value) },
	}
	shown, err := now.rewrite(seen.Now.JSON)
	seen.Now = Image{JSON: shown}
	seen.Validator = o.known.hide(seen.Validator)
	return &stand, seen, err
}

// word returns the JSON string that stands for a value, or for a marker.
func (o *opened) word(value json.RawMessage) (json.RawMessage, error) {
	if beginsMarker(value) {
		return encode("$secret:" + markerText(value))
	}
	fp, err := fingerprintRaw(o.cipher, value)
	if err != nil {
		return nil, err
	}
	return encode("$secret:" + fp)
}

// hideRequest puts markers in place of whole words in a body, and hides whatever value is left anywhere.
func (o *opened) hideRequest(r Request) Request {
	r.URL, r.Summary = o.known.hide(r.URL), o.known.hide(r.Summary)
	header := make(map[string]string, len(r.Header))
	for name, value := range r.Header {
		header[name] = o.known.hide(value)
	}
	if r.Header != nil {
		r.Header = header
	}
	body := rewriter{
		wants: func(_ []token, rest []byte) bool {
			s, ok := leaf(rest)
			return ok && (isWord(s) || o.known.holds(rest))
		},
		put: func(_ []token, value json.RawMessage) (json.RawMessage, error) {
			s, _ := leaf(value)
			if isWord(s) {
				return marker(strings.TrimPrefix(s, "$secret:")), nil
			}
			return encode(o.known.hide(s))
		},
	}
	shown, err := body.rewrite(r.Body)
	if err != nil {
		shown = json.RawMessage(`"` + redacted + `"`)
	}
	r.Body = shown
	return r
}

// isWord reports whether a text is exactly one word for a secret.
func isWord(s string) bool {
	return strings.HasPrefix(s, wordBegin) && len(s) == len(wordBegin)+32 && strings.Trim(s[len(wordBegin):], "0123456789abcdef") == ""
}
