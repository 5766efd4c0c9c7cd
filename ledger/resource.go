package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"
)

// A Key is the identity of a resource within the ledger. The zero key matches nothing.
type Key [32]byte

// ResourceKey returns SHA-256 over the system's name and the resource object with sorted keys,
// unescaped strings and literal numbers. A resource that is null or empty has the zero key.
func ResourceKey(system string, resource json.RawMessage) Key {
	if len(resource) == 0 || string(resource) == "null" {
		return Key{}
	}
	h := sha256.New()
	h.Write([]byte(system))
	h.Write([]byte{0})
	h.Write(canonical(resource))
	var k Key
	h.Sum(k[:0])
	return k
}

// canonical writes JSON with sorted keys, unescaped strings and literal numbers. Input that is not
// JSON comes back as it is.
func canonical(raw json.RawMessage) []byte {
	v, err := decode(raw)
	if err != nil {
		return raw
	}
	var b bytes.Buffer
	writeCanonical(&b, v)
	return b.Bytes()
}

func writeCanonical(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for i, k := range keys {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, k)
			b.WriteByte(':')
			writeCanonical(b, v[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeCanonical(b, e)
		}
		b.WriteByte(']')
	case json.Number:
		b.WriteString(v.String())
	case string:
		writeString(b, v)
	case bool:
		if v {
			b.WriteString("true")
		} else {
			b.WriteString("false")
		}
	default:
		b.WriteString("null")
	}
}

// writeString writes a JSON string with the two escapes that JSON demands and those of control
// characters; everything else stands for itself.
func writeString(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	b.Truncate(b.Len() - 1)
}

// decode reads one JSON value with numbers kept as literals.
func decode(raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return v, err
}
