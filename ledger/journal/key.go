package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// A WrappedKey is a key of secret fields as it is kept and exported: encrypted under a key that stands nowhere beside
// it, and never in plain. It is part of no chain, since a rotation wraps it anew: whoever opens it finds by that whether
// it was changed. Exactly one of Root and EntryID with DataKey is given.
type WrappedKey struct {
	Root    []byte `json:"root,omitempty"` // the ledger's root secret; base64, as DataKey
	EntryID string `json:"entry_id,omitempty"`
	Key     string `json:"key,omitempty"` // id of the key that it is wrapped under; it stands in the wrapping too
	DataKey []byte `json:"data_key,omitempty"`
}

// Wrapped returns the wrapping itself.
func (k WrappedKey) Wrapped() []byte {
	if len(k.Root) > 0 {
		return k.Root
	}
	return k.DataKey
}

func (k WrappedKey) whole() bool { return (len(k.Root) > 0) != (k.EntryID != "" && len(k.DataKey) > 0) }

// WriteKey writes a wrapped key as a line of a mirror.
func WriteKey(w io.Writer, k WrappedKey) error {
	raw, err := json.Marshal(k)
	if err == nil {
		_, err = fmt.Fprintf(w, "{\"key\":%s}\n", raw)
	}
	return err
}

// A Wrappings is every wrapping of one key that a mirror has, each once, in the order of the segments: a rotation adds
// one, and a process that did not know of it yet may add the older one behind it.
type Wrappings [][]byte

// Has reports whether a wrapping is among them.
func (w Wrappings) Has(wrapped []byte) bool {
	for _, one := range w {
		if bytes.Equal(one, wrapped) {
			return true
		}
	}
	return false
}

func (w Wrappings) with(wrapped []byte) Wrappings {
	if w.Has(wrapped) {
		return w
	}
	return append(w, wrapped)
}

// Keys are the wrapped keys of a mirror.
type Keys struct {
	Root Wrappings            // of the ledger's root secret
	Data map[string]Wrappings // of data keys, by the entry's id
}

func (k *Keys) take(one WrappedKey) {
	if len(one.Root) > 0 {
		k.Root = k.Root.with(one.Root)
		return
	}
	if k.Data == nil {
		k.Data = map[string]Wrappings{}
	}
	k.Data[one.EntryID] = k.Data[one.EntryID].with(one.DataKey)
}
