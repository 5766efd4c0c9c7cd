package plugin

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"sideledger/ledger"
)

// A veil stands between a plugin and one entry: the values of secret fields are handed over as placeholders, which
// the server fills into requests and images; what the plugin says is freed of them, and of what third parties sent.
type veil struct {
	entry   *ledger.Entry
	seen    ledger.Look
	answers []json.RawMessage // bodies, from the first; what is not JSON is null
	secrets []json.RawMessage // values, by the number of their placeholder less one
	heard   map[string]bool   // texts that no sentence or log line repeats
}

// leastHidden is the shortest text that is looked for inside others: shorter ones stand in any sentence.
const leastHidden = 4

// newVeil learns the values of an entry's secret fields.
func newVeil(e *ledger.Entry, seen ledger.Look) *veil {
	v := &veil{entry: e, seen: seen, heard: map[string]bool{}}
	for _, doc := range []json.RawMessage{e.Before.JSON, e.After.JSON, seen.Now.JSON} {
		v.learn(doc)
	}
	return v
}

// learn takes in what stands at the secret places of an image.
func (v *veil) learn(doc json.RawMessage) {
	if len(v.entry.Secret) == 0 || len(doc) == 0 {
		return
	}
	_, _ = rewrite(doc, nil, func(at place, value []byte) ([]byte, bool, error) {
		if v.isSecret(at) {
			v.number(value)
			return value, true, nil
		}
		return nil, false, nil
	})
}

// isSecret reports whether a place of an image is named by the entry's secret pointers: below the image, or counted
// from the root of the entry.
func (v *veil) isSecret(at place) bool {
	return slices.ContainsFunc(v.entry.Secret, func(pointer string) bool {
		for _, prefix := range []string{"", "/before", "/after"} {
			if rest, ok := strings.CutPrefix(pointer, prefix); ok && names(rest, at) {
				return true
			}
		}
		return false
	})
}

// names reports whether a pointer, in which - stands for every element, names a place.
func names(pointer string, at place) bool {
	if pointer == "" {
		return len(at) == 0
	}
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	if len(steps) != len(at) {
		return false
	}
	for i, s := range steps {
		if s = strings.NewReplacer("~1", "/", "~0", "~").Replace(s); s != at[i] && s != "-" {
			return false
		}
	}
	return true
}

// number returns the number of a value's placeholder. Equal values have one.
func (v *veil) number(value []byte) int {
	i := slices.IndexFunc(v.secrets, func(s json.RawMessage) bool { return bytes.Equal(s, value) })
	if i < 0 {
		i = len(v.secrets)
		v.secrets = append(v.secrets, slices.Clone(value))
		v.hear(value)
	}
	return i + 1
}

// value returns what a placeholder stands for.
func (v *veil) value(name string) (json.RawMessage, bool) {
	n, err := strconv.Atoi(name)
	if err != nil || n < 1 || n > len(v.secrets) {
		return nil, false
	}
	return v.secrets[n-1], true
}

// cover puts placeholders in the place of secret values: at the secret places where the document is laid out like an
// image, and wherever a known value stands.
func (v *veil) cover(doc json.RawMessage) json.RawMessage {
	if len(v.entry.Secret) == 0 || len(doc) == 0 {
		return doc
	}
	out, err := rewrite(doc, nil, func(at place, value []byte) ([]byte, bool, error) {
		if !v.isSecret(at) && !v.holds(value) {
			return nil, false, nil
		}
		return []byte(`{"$secret":"` + strconv.Itoa(v.number(value)) + `"}`), true, nil
	})
	if err != nil {
		return json.RawMessage("null")
	}
	return out
}

// holds reports whether a value is a secret one, or a text with one in it.
func (v *veil) holds(value []byte) bool {
	var text string
	isText := json.Unmarshal(value, &text) == nil
	return slices.ContainsFunc(v.secrets, func(s json.RawMessage) bool {
		if bytes.Equal(s, value) {
			return len(value) >= leastHidden
		}
		var secret string
		return isText && json.Unmarshal(s, &secret) == nil && len(secret) >= leastHidden && strings.Contains(text, secret)
	})
}

// hear keeps the texts of a document, so that no sentence of the plugin repeats them.
func (v *veil) hear(doc []byte) {
	_, _ = rewrite(doc, nil, func(_ place, value []byte) ([]byte, bool, error) {
		var text string
		if json.Unmarshal(value, &text) == nil {
			v.hearText(text)
		}
		return nil, false, nil
	})
}

func (v *veil) hearText(text string) {
	if len(text) >= leastHidden {
		v.heard[text] = true
	}
}

// hide frees a sentence of the plugin from what it was told in confidence.
func (v *veil) hide(s string) string {
	for text := range v.heard {
		s = strings.ReplaceAll(s, text, "[redacted]")
	}
	return s
}

// at follows a reference: /before, /after, /resource, /now or /answers/1, and what is below.
func (v *veil) at(pointer string) (json.RawMessage, bool) {
	part, below, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	if below != "" {
		below = "/" + below
	}
	switch part {
	case "before":
		return lookup(v.entry.Before.JSON, below)
	case "after":
		return lookup(v.entry.After.JSON, below)
	case "resource":
		return lookup(v.entry.Where(), below)
	case "now":
		return lookup(v.seen.Now.JSON, below)
	case "answers":
		number, rest, _ := strings.Cut(strings.TrimPrefix(below, "/"), "/")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > len(v.answers) {
			return nil, false
		}
		if rest != "" {
			rest = "/" + rest
		}
		return lookup(v.answers[n-1], rest)
	default:
		return nil, false
	}
}
