package httpapi

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"sideledger/ledger"
)

// parsePointer splits a JSON pointer (RFC 6901) into its tokens.
func parsePointer(s string) (tokens []string, ok bool) {
	if s == "" {
		return nil, true
	}
	if s[0] != '/' {
		return nil, false
	}
	tokens = strings.Split(s[1:], "/")
	for i, t := range tokens {
		for j := 0; j < len(t); j++ {
			if t[j] == '~' && (j+1 == len(t) || (t[j+1] != '0' && t[j+1] != '1')) {
				return nil, false
			}
		}
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens, true
}

func escapeToken(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

// at returns the bytes of the value that a pointer names, as they stand in the document; ok is false if
// there is none.
func at(raw json.RawMessage, tokens []string) (v json.RawMessage, ok bool) {
	for _, t := range tokens {
		raw = bytes.TrimSpace(raw)
		switch {
		case len(raw) > 0 && raw[0] == '{':
			var m map[string]json.RawMessage
			if json.Unmarshal(raw, &m) != nil {
				return nil, false
			}
			raw = m[t]
		case len(raw) > 0 && raw[0] == '[':
			raw = element(raw, t)
		default:
			return nil, false
		}
	}
	return raw, len(raw) > 0
}

// element returns an element of a list by its index as a pointer writes it; nil if there is none.
func element(list json.RawMessage, token string) json.RawMessage {
	var a []json.RawMessage
	i, err := strconv.Atoi(token)
	if err != nil || strconv.Itoa(i) != token || json.Unmarshal(list, &a) != nil || i < 0 || i >= len(a) {
		return nil
	}
	return a[i]
}

// same reports whether two JSON values are equal as the domain compares them: numbers by exact value,
// members in any order.
func same(a, b json.RawMessage) bool {
	if string(a) == "null" || string(b) == "null" {
		return string(a) == string(b)
	}
	c := ledger.Compare(ledger.Image{JSON: a}, ledger.Image{}, ledger.Image{JSON: b}, ledger.Scope{Owned: []string{""}})
	return c.Before
}

// text returns a scalar as it is written in a path, a header or a longer string.
func text(raw json.RawMessage) (s string, ok bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "", false
	}
	switch raw[0] {
	case '{', '[', 'n':
		return "", false
	case '"':
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	default:
		return string(raw), true
	}
}
