package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

const (
	listPage = 500
	maxPages = 50 // of one list
)

// prefixOf is the folder of the key that a place names: what stands before its last slash, with it; "": all keys.
func prefixOf(place json.RawMessage) string {
	key, err := parseKey(place)
	if err != nil {
		return ""
	}
	return key[:strings.LastIndex(key, "/")+1]
}

// Place implements [ledger.Lister].
func (r *Remediator) Place(_ string, place json.RawMessage) json.RawMessage {
	if prefix := prefixOf(place); prefix != "" {
		return named(prefix)
	}
	return json.RawMessage("{}")
}

// List implements [ledger.Lister]: the keys beside the one that the place names, and below; without a place all. Values
// are not read. etcd knows no times.
func (r *Remediator) List(ctx context.Context, kind string, place json.RawMessage) (ledger.Listing, error) {
	out := ledger.Listing{Place: r.Place(kind, place)}
	from, end := rangeOf(prefixOf(place))
	for range maxPages {
		found, more, err := r.page(ctx, from, end)
		if err != nil {
			return ledger.Listing{Place: out.Place}, err
		}
		for _, p := range found {
			name := named(string(p.Key))
			out.Items = append(out.Items, ledger.Listed{Resource: name, Shows: name})
		}
		if !more {
			return out, nil
		}
		from = append(bytes.Clone(found[len(found)-1].Key), 0)
	}
	out.Part = true
	return out, nil
}

// rangeOf is the range of the keys that begin with a prefix.
func rangeOf(prefix string) (from, end []byte) {
	from, end = []byte(prefix), []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	switch {
	case prefix == "":
		return []byte{0}, []byte{0} // all that there are
	case len(end) == 0:
		return from, []byte{0} // to the last one
	}
	end[len(end)-1]++
	return from, end
}

// page reads some keys of a range; more: there are others after them.
func (r *Remediator) page(ctx context.Context, from, end []byte) (found []pair, more bool, err error) {
	reply, err := r.client.Do(ctx, post(rangePath, map[string]any{
		"key": from, "range_end": end, "limit": listPage, "keys_only": true, "sort_target": "KEY", "sort_order": "ASCEND",
	}))
	if err != nil {
		return nil, false, err
	}
	var doc struct {
		Header *struct{} `json:"header"`
		KVs    []pair    `json:"kvs"`
		More   bool      `json:"more"`
	}
	if err := decode(reply, &doc); err != nil {
		return nil, false, err
	}
	if doc.Header == nil || doc.More && len(doc.KVs) == 0 {
		return nil, false, remediators.Unusable(reply, "the answer is no range of keys")
	}
	return doc.KVs, doc.More, nil
}

var _ ledger.Lister = (*Remediator)(nil)
