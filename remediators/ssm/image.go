package ssm

import (
	"bytes"
	"encoding/json"
	"slices"

	"sideledger/ledger"
)

// secureString is the type whose values are encrypted.
const secureString = "SecureString"

// An image is a parameter's state. Of a SecureString it names the version that holds the value, never the value.
type image struct {
	Type     string      `json:"type"`
	Value    *string     `json:"value,omitempty"`    // of a String or a StringList
	Version  int64       `json:"version,omitempty"`  // of a SecureString
	Modified json.Number `json:"modified,omitempty"` // when that version was written, seconds since 1970: numbers begin again after a delete

	Description    string            `json:"description,omitempty"`
	AllowedPattern string            `json:"allowed_pattern,omitempty"`
	KeyID          string            `json:"key_id,omitempty"`
	DataType       string            `json:"data_type,omitempty"` // empty: text
	Tier           string            `json:"tier,omitempty"`      // not compared: it goes up and never down
	Policies       []json.RawMessage `json:"policies,omitempty"`  // the text of each
}

// parseImage reads an image; nil for absence and for what is not known.
func parseImage(field string, i ledger.Image) (*image, error) {
	if !i.Known() || i.IsAbsent() {
		return nil, nil
	}
	var out image
	if strict(i.JSON, &out) != nil {
		return nil, ledger.Invalid(field, "has to be an object with type and value or, for a SecureString, version")
	}
	switch out.Type {
	case secureString:
		if out.Value != nil || out.Version < 1 {
			return nil, ledger.Invalid(field, "of a SecureString says its version; the value stands in no image")
		}
	case "String", "StringList":
		if out.Value == nil || out.Version != 0 || out.Modified != "" {
			return nil, ledger.Invalid(field, "of a String or a StringList says its value, and no version")
		}
	default:
		return nil, ledger.Invalid(field+"/type", "is one of String, StringList, SecureString")
	}
	if out.DataType == "text" {
		out.DataType = ""
	}
	return &out, nil
}

func (i *image) image() ledger.Image {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(i) // strings, numbers and JSON that was read always encode
	return ledger.Image{JSON: bytes.TrimSpace(b.Bytes())}
}

// Canonical implements [ledger.Canonicalizer].
func (r *Remediator) Canonical(_ string, i ledger.Image) ledger.Image {
	out, err := parseImage("", i)
	if err != nil || out == nil {
		return i
	}
	return out.image()
}

// A version is one line of a parameter's history.
type version struct {
	Type             string
	Value            string // of a SecureString: its ciphertext, which is dropped
	Version          int64
	LastModifiedDate json.Number
	Description      string
	AllowedPattern   string
	KeyID            string `json:"KeyId"`
	DataType         string
	Tier             string
	Policies         []struct{ PolicyText string }
}

// image is the state of a parameter whose newest version this is.
func (v *version) image() *image {
	out := &image{
		Type: v.Type, Description: v.Description, AllowedPattern: v.AllowedPattern, KeyID: v.KeyID, DataType: v.DataType, Tier: v.Tier,
	}
	if v.DataType == "text" {
		out.DataType = ""
	}
	for _, p := range v.Policies {
		if json.Valid([]byte(p.PolicyText)) {
			out.Policies = append(out.Policies, json.RawMessage(p.PolicyText))
		}
	}
	if v.Type == secureString {
		out.Version, out.Modified = v.Version, v.LastModifiedDate
	} else {
		out.Value = &v.Value
	}
	return out
}

// among reports whether an image of a SecureString is about one of these very versions.
func (i *image) among(list []version) bool {
	return i != nil && i.Type == secureString && slices.ContainsFunc(list, func(v version) bool {
		return i.Version == v.Version && (i.Modified == "" || i.Modified == v.LastModifiedDate)
	})
}

// strict reads a document and refuses members that are not known.
func strict(raw json.RawMessage, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}
