package etcd

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"sideledger/ledger"
)

// parseKey reads an entry's resource: {"key": TEXT}, or {"key_base64": …} where it is no text.
func parseKey(raw json.RawMessage) (string, error) {
	var doc struct {
		Key    *string `json:"key"`
		Base64 *string `json:"key_base64"`
	}
	if strict(raw, &doc) != nil || (doc.Key == nil) == (doc.Base64 == nil) {
		return "", ledger.Invalid("/resource", "has to be an object with key, or with key_base64 where the key is no text")
	}
	key := doc.Key
	if key == nil {
		plain, err := base64.StdEncoding.DecodeString(*doc.Base64)
		if err != nil {
			return "", ledger.Invalid("/resource/key_base64", "is not base64")
		}
		text := string(plain)
		key = &text
	}
	if *key == "" {
		return "", ledger.Invalid("/resource/key", "is empty; etcd has no such key")
	}
	return *key, nil
}

// named is a key's resource in its one form.
func named(key string) json.RawMessage {
	member := map[string]string{"key": key}
	if !utf8.ValidString(key) {
		member = map[string]string{"key_base64": base64.StdEncoding.EncodeToString([]byte(key))}
	}
	raw, _ := json.Marshal(member) // strings always encode
	return raw
}

// An image is a key's state: a value as text, or in base64 where it is none.
type image struct {
	Value  *string `json:"value,omitempty"`
	Base64 *string `json:"value_base64,omitempty"`
	Lease  string  `json:"lease,omitempty"` // a decimal number; empty: the key hangs on no lease
}

// parseImage reads an image; nil for absence and for what is not known.
func parseImage(field string, i ledger.Image) (*image, error) {
	if !i.Known() || i.IsAbsent() {
		return nil, nil
	}
	var out image
	if strict(i.JSON, &out) != nil || (out.Value == nil) == (out.Base64 == nil) {
		return nil, ledger.Invalid(field, "has to be an object with value, or with value_base64 where it is no text, and with lease where the key hangs on one")
	}
	if _, err := out.bytes(); err != nil {
		return nil, ledger.Invalid(field+"/value_base64", "is not base64")
	}
	if n, err := strconv.ParseInt(out.Lease, 10, 64); out.Lease != "" && (err != nil || n <= 0) {
		return nil, ledger.Invalid(field+"/lease", "has to be the lease's id, a decimal number in a string; leave it out for none")
	}
	return &out, nil
}

func (i *image) bytes() ([]byte, error) {
	if i.Value != nil {
		return []byte(*i.Value), nil
	}
	return base64.StdEncoding.DecodeString(*i.Base64)
}

// imageOf is the state of a key in its one form.
func imageOf(value []byte, lease string) ledger.Image {
	out := image{Lease: lease}
	text := string(value)
	if utf8.ValidString(text) {
		out.Value = &text
	} else {
		text = base64.StdEncoding.EncodeToString(value)
		out.Base64 = &text
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(out) // strings always encode
	return ledger.Image{JSON: bytes.TrimSpace(b.Bytes())}
}

// Canonical implements [ledger.Canonicalizer].
func (r *Remediator) Canonical(_ string, i ledger.Image) ledger.Image {
	out, err := parseImage("", i)
	if err != nil || out == nil {
		return i
	}
	value, _ := out.bytes() // parseImage has decoded it
	return imageOf(value, out.Lease)
}

// strict reads a document and refuses members that are not known.
func strict(raw json.RawMessage, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}
