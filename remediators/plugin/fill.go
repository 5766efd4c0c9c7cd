package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A place is the way to a value: the names and numbers from the root of its document.
type place []string

// visit is asked about every value of a document, the outer ones first; with true its value takes the place of what
// was there, and nothing below is asked about.
type visit func(at place, value []byte) ([]byte, bool, error)

// rewrite copies a document with some of its values replaced. Whatever is not replaced keeps its literals.
func rewrite(raw []byte, at place, fn visit) ([]byte, error) {
	if out, done, err := fn(at, raw); done || err != nil {
		return out, err
	}
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return raw, nil
	}
	dec := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	out := []byte{raw[0]}
	for n := 0; !atEnd(dec); n++ {
		if n > 0 {
			out = append(out, ',')
		}
		name, step, err := nextName(dec, raw[0] == '{', n)
		if err != nil {
			return nil, err
		}
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		next, err := rewrite(slices.Clone(value), append(slices.Clip(at), step), fn)
		if err != nil {
			return nil, err
		}
		out = append(append(out, name...), next...)
	}
	return append(out, raw[0]+2), nil // the closing bracket stands two behind the opening one
}

// atEnd reports whether the list or object that is being read is over.
func atEnd(dec *jsontext.Decoder) bool {
	kind := dec.PeekKind()
	return kind == '}' || kind == ']'
}

// nextName reads the name of a member, with its colon, and says what step of a way it is; elements have none, and are
// numbered.
func nextName(dec *jsontext.Decoder, member bool, n int) (name []byte, step string, err error) {
	if !member {
		return nil, strconv.Itoa(n), nil
	}
	name, err = dec.ReadValue()
	if err == nil {
		err = json.Unmarshal(name, &step)
	}
	return append(slices.Clone(name), ':'), step, err
}

// Errors of what a plugin asks to be filled in. They name no value.
var (
	errReference   = errors.New("a reference of the plugin names nothing that is there")
	errPlaceholder = errors.New("the plugin made a placeholder up")
)

// fill puts the real values in the place of {"$ref": POINTER} and {"$secret": NAME}.
func (v *veil) fill(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return rewrite(b.Bytes(), nil, func(_ place, value []byte) ([]byte, bool, error) {
		if pointer, ok := only(value, "$ref"); ok {
			out, found := v.at(pointer)
			if !found {
				return nil, false, errReference
			}
			return out, true, nil
		}
		if name, ok := only(value, "$secret"); ok {
			out, found := v.value(name)
			if !found {
				return nil, false, errPlaceholder
			}
			return out, true, nil
		}
		return nil, false, nil
	})
}

// only returns the text of an object's one member, if it has one of this name.
func only(value []byte, name string) (text string, ok bool) {
	if !bytes.HasPrefix(value, []byte(`{"`+name+`":"`)) {
		return "", false
	}
	var members map[string]string
	if json.Unmarshal(value, &members) != nil || len(members) != 1 {
		return "", false
	}
	return members[name], true
}

// lookup follows a JSON pointer (RFC 6901) below a document.
func lookup(doc json.RawMessage, pointer string) (json.RawMessage, bool) {
	if pointer == "" {
		return doc, len(doc) > 0
	}
	if pointer[0] != '/' {
		return nil, false
	}
	for step := range strings.SplitSeq(pointer[1:], "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		var (
			members map[string]json.RawMessage
			list    []json.RawMessage
		)
		switch {
		case json.Unmarshal(doc, &members) == nil && members[step] != nil:
			doc = members[step]
		case json.Unmarshal(doc, &list) == nil:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(list) {
				return nil, false
			}
			doc = list[i]
		default:
			return nil, false
		}
	}
	return doc, true
}
