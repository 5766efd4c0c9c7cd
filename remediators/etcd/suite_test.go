package etcd

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
)

// dialect is etcd's gateway over the suite's third party: the document at /r/N is the key /r/N. Its revision is made
// of what it says, so what the suite cannot show is a key that was touched and says the same: see the other tests.
type dialect struct{}

func revision(doc string) string { return fmt.Sprint(1 + int64(crc32.ChecksumIEEE([]byte(doc)))) }

type txn struct {
	Key     []byte `json:"key"` // of a range
	Compare []struct {
		Target string `json:"target"`
		Key    []byte `json:"key"`
		Mod    string `json:"mod_revision"`
	} `json:"compare"`
	Success []struct {
		Put *struct {
			Value []byte `json:"value"`
			Lease string `json:"lease"`
		} `json:"request_put"`
	} `json:"success"`
}

// Reads implements [remediatortest.PostReader].
func (dialect) Reads(_, path string) bool { return path != txnPath }

// Path implements [remediatortest.Dialect].
func (dialect) Path(_, _ string, body []byte) string {
	var t txn
	_ = json.Unmarshal(body, &t)
	if len(t.Compare) > 0 {
		t.Key = t.Compare[0].Key
	}
	return "/" + strings.TrimPrefix(string(t.Key), "/")
}

// Read implements [remediatortest.Dialect].
func (dialect) Read(path string, docs map[string]string) (status int, body string) {
	doc := docs[path]
	if doc == "" {
		return 200, `{"header":{"revision":"1"}}`
	}
	i, err := parseImage("", ledger.Image{JSON: json.RawMessage(doc)})
	if err != nil {
		return 500, `{}`
	}
	value, _ := i.bytes()
	raw, _ := json.Marshal(map[string]any{
		"header": map[string]string{"revision": "1"},
		"kvs":    []any{map[string]any{"key": []byte(path), "value": value, "mod_revision": revision(doc)}},
	})
	return 200, string(raw)
}

// Change implements [remediatortest.Dialect].
func (dialect) Change(_, _, doc string, body []byte) (next string, status int, answer string) {
	var t txn
	if json.Unmarshal(body, &t) != nil || len(t.Compare) != 1 || len(t.Success) != 1 {
		return doc, 400, `{"code":3}`
	}
	c := t.Compare[0]
	if holds := c.Target == "CREATE" && doc == "" || c.Target == "MOD" && doc != "" && c.Mod == revision(doc); !holds {
		return doc, 200, `{"header":{"revision":"1"}}`
	}
	if put := t.Success[0].Put; put != nil {
		next = string(imageOf(put.Value, put.Lease).JSON)
	}
	return next, 200, `{"header":{"revision":"2"},"succeeded":true}`
}

func TestSuite(t *testing.T) {
	remediatortest.Run(t, remediatortest.Subject{
		Dialect: dialect{},
		DocFunc: func(_, value string) string { return `{"value":"` + value + `"}` },
		BindFunc: func(t *testing.T, th *remediatortest.Third) ledger.Remediator {
			with := setup.At(th.URL)
			with.Config.Credential = "env:TOKEN"
			return with.Bind(t)
		},
		EntryFunc: func(action ledger.Action, path, before, after string) *ledger.Entry {
			return &ledger.Entry{State: ledger.EntryApplied, Draft: draft(action, path, before, after)}
		},
	})
}
