package vaultkv

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A secret is what an entry's resource names. Both begin with a slash, and neither is escaped.
type secret struct {
	Mount string `json:"mount"`
	Path  string `json:"path"`
}

func parseSecret(raw json.RawMessage) (secret, error) {
	var s secret
	if strict(raw, &s) != nil || !s.whole() {
		return secret{}, ledger.Invalid("/resource", `has to be an object with mount and path, each beginning with a slash and ending with none: {"mount": "/secret", "path": "/shop/db"}`)
	}
	return s, nil
}

// whole reports whether calls about it can be made.
func (s secret) whole() bool {
	for _, part := range []string{s.Mount, s.Path} {
		if len(part) < 2 || strings.HasSuffix(part, "/") || remediators.CheckPath(escaped(part)) != nil {
			return false
		}
	}
	return true
}

func (s secret) resource() json.RawMessage {
	raw, _ := json.Marshal(s) // strings always encode
	return raw
}

// at is where the engine has one of its parts for the secret: data, metadata, delete, undelete.
func (s secret) at(part string) string {
	return "/v1" + escaped(s.Mount) + "/" + part + escaped(s.Path)
}

// escaped escapes each segment of a path.
func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// An image says which version of a secret is the current one: never what it holds.
type image struct {
	Version int64  `json:"version"`
	Created string `json:"created,omitempty"` // when that version was written: numbers begin again once the metadata were deleted
}

// parseImage reads an image; nil for absence and for what is not known.
func parseImage(field string, i ledger.Image) (*image, error) {
	if !i.Known() || i.IsAbsent() {
		return nil, nil
	}
	var out image
	if strict(i.JSON, &out) != nil || out.Version < 1 {
		return nil, ledger.Invalid(field, "has to be an object with version, and with created where that is known; what the secret holds stands in no image")
	}
	return &out, nil
}

func (i *image) image() ledger.Image {
	raw, _ := json.Marshal(i) // a number and a string always encode
	return ledger.Image{JSON: raw}
}

// is reports whether an image is about this very version.
func (i *image) is(o *image) bool {
	return i != nil && i.Version == o.Version && (i.Created == "" || i.Created == o.Created)
}

// strict reads a document and refuses members that are not known.
func strict(raw json.RawMessage, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}
