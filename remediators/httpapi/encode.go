package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// formType is the content type of a body that is sent as a form: the members of its JSON object.
const formType = "application/x-www-form-urlencoded"

// A body of these types is one JSON string: the text that is sent, or the bytes in base64.
const (
	plainType = "text/plain"
	bytesType = "application/octet-stream"
)

var (
	errForm  = errors.New("is sent as a form, so it has to be an object of values, lists of values and such objects")
	errPlain = errors.New("is sent as plain text, so it has to be one string")
	errOctet = errors.New("is sent as bytes, so it has to be one string of base64, or null for none")
)

// mediaType is a content type without its parameters, in small letters.
func mediaType(s string) string {
	kind, _, _ := strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// knownType reports whether bodies of a content type can be made; an empty one is application/json.
func knownType(s string) bool {
	kind := mediaType(s)
	json := s == "" || kind == "application/json" || strings.HasSuffix(kind, "+json")
	return (json || slices.Contains([]string{formType, plainType, bytesType}, kind)) && !strings.ContainsAny(s, "\r\n\x00")
}

// wire turns a body as it was put together into the bytes that are sent.
func wire(contentType string, body json.RawMessage) ([]byte, error) {
	switch kind := mediaType(contentType); {
	case body == nil:
		return nil, nil
	case kind == formType:
		return form(body)
	case kind == plainType:
		var s string
		if err := json.Unmarshal(body, &s); err != nil {
			return nil, errPlain
		}
		return []byte(s), nil
	case kind == bytesType:
		var b []byte // encoding/json reads it from base64
		if err := json.Unmarshal(body, &b); err != nil {
			return nil, errOctet
		}
		return append([]byte{}, b...), nil
	}
	return body, nil
}

// form writes an object as Stripe and Rails read forms: a[b]=c for members, a[]=b for lists, nothing behind
// the = for null. Members keep their order.
func form(body json.RawMessage) ([]byte, error) {
	var out []string
	if err := formMembers(body, "", &out); err != nil {
		return nil, err
	}
	return []byte(strings.Join(out, "&")), nil
}

func formMembers(object json.RawMessage, prefix string, out *[]string) error {
	dec := json.NewDecoder(bytes.NewReader(object))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errForm
	}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		var v json.RawMessage
		if err != nil || !ok || dec.Decode(&v) != nil {
			return errForm
		}
		name = url.QueryEscape(name)
		if prefix != "" {
			name = prefix + "[" + name + "]"
		}
		if err := formValue(v, name, out); err != nil {
			return err
		}
	}
	return nil
}

func formValue(v json.RawMessage, name string, out *[]string) error {
	switch v[0] {
	case '{':
		return formMembers(v, name, out)
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(v, &list); err != nil {
			return errForm
		}
		for _, e := range list {
			s, ok := text(e)
			if !ok {
				return errForm
			}
			*out = append(*out, name+"[]="+url.QueryEscape(s))
		}
		return nil
	}
	s, _ := text(v) // null is nothing
	*out = append(*out, name+"="+url.QueryEscape(s))
	return nil
}

// shown is a body as a preview holds it: JSON, or a JSON string of the text that is sent, or of its bytes in base64.
func shown(contentType string, body []byte) json.RawMessage {
	switch mediaType(contentType) {
	case formType, plainType:
		return quote(string(body))
	case bytesType:
		return quote(base64.StdEncoding.EncodeToString(body))
	}
	return body
}
