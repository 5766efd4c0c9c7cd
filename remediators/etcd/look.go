package etcd

import (
	"context"
	"encoding/json"
	"net/http"

	"sideledger/ledger"
	"sideledger/remediators"
)

const (
	rangePath = "/v3/kv/range"
	txnPath   = "/v3/kv/txn"
	leasePath = "/v3/lease/timetolive"
)

// A pair is a key as the gateway shows it: bytes as base64, numbers as strings, and nothing that is zero.
type pair struct {
	Key         []byte `json:"key"`
	Value       []byte `json:"value"`
	ModRevision string `json:"mod_revision"`
	Lease       string `json:"lease"`
}

// Look implements [ledger.Remediator]. A range that answers is the proof of absence: a credential that may not read
// the key is refused. The validator is the key's mod_revision.
func (r *Remediator) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	key, err := parseKey(e.Where())
	if err != nil {
		return ledger.Look{}, remediators.Denied("its resource cannot be read")
	}
	before, err := parseImage("/before", e.Before)
	if err != nil {
		return ledger.Look{}, remediators.Denied("its before-image cannot be read")
	}
	out := ledger.Look{Known: true, Now: ledger.Absent, Scope: ledger.Scope{
		Owned: e.Owned, Masked: e.Masked, Volatile: e.Volatile, Unordered: e.Unordered,
	}}
	found, visible, err := r.read(ctx, key)
	if err != nil {
		return ledger.Look{}, err
	}
	out.Proven = visible && found == nil
	if found != nil {
		out.Now, out.Validator = imageOf(found.Value, found.Lease), found.ModRevision
	}
	if before != nil && before.Lease != "" && (found == nil || found.Lease != before.Lease) {
		out.Lost, err = r.lost(ctx, before.Lease)
	}
	return out, err
}

// read reads a key; nil if it is not there. visible: this is an etcd, and it answered.
func (r *Remediator) read(ctx context.Context, key string) (found *pair, visible bool, err error) {
	reply, err := r.client.Do(ctx, post(rangePath, map[string]any{"key": []byte(key)}))
	switch {
	case err != nil:
		return nil, false, err
	case reply.Status == http.StatusNotFound: // no such path: nothing of the API is visible
		return nil, false, nil
	}
	var doc struct {
		Header *struct{} `json:"header"`
		KVs    []pair    `json:"kvs"`
	}
	if err := decode(reply, &doc); err != nil {
		return nil, false, err
	}
	switch {
	case doc.Header == nil, len(doc.KVs) > 1:
		return nil, false, remediators.Unusable(reply, "the answer is no range of one key")
	case len(doc.KVs) == 0:
		return nil, true, nil
	case string(doc.KVs[0].Key) != key, doc.KVs[0].ModRevision == "":
		return nil, false, remediators.Unusable(reply, "the answer is about another key")
	}
	return &doc.KVs[0], true, nil
}

// lost says why a key cannot come back under a lease; "" if it can. etcd never gives a lease back that has ended, and
// without it the key would stay for ever.
func (r *Remediator) lost(ctx context.Context, lease string) (string, error) {
	reply, err := r.client.Do(ctx, post(leasePath, map[string]any{"ID": lease}))
	if err != nil {
		return "", err
	}
	var doc struct {
		ID  string `json:"ID"`
		TTL string `json:"TTL"` // "-1": there is none; left out: it ends this second
	}
	if reply.Status != http.StatusNotFound {
		if err := decode(reply, &doc); err != nil {
			return "", err
		}
		if doc.TTL != "-1" && doc.ID == lease {
			return "", nil
		}
	}
	return "the lease " + lease + ", under which the key was, has ended: without it the key would stay for ever", nil
}

// post is a call of the gateway. Byte slices go as base64.
func post(path string, body any) remediators.Call {
	raw, _ := json.Marshal(body) // maps of strings and bytes always encode
	return remediators.Call{Method: http.MethodPost, Path: path, Body: raw, Header: map[string]string{"Content-Type": "application/json"}}
}

// decode reads the document of an answer that has to be 200.
func decode(reply remediators.Reply, into any) error {
	if reply.Status != http.StatusOK {
		return remediators.Unusable(reply, "")
	}
	doc, why := remediators.Document(reply)
	if why != "" || json.Unmarshal(doc, into) != nil {
		return remediators.Unusable(reply, "the answer cannot be read")
	}
	return nil
}
