package etcd

import (
	"encoding/json"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
)

// A real etcd is rehearsed beside a key that is there, which stays as it is.
func TestRehearsal(t *testing.T) {
	remediatortest.Proves(t, Kind, "rehearsed")
	b := start(t)
	s := setup.At(b.proxy.URL)
	s.Config.Effects = []string{"POST /v3/kv/put"}
	w := s.Open(t)
	b.put(b.key("there"), "v", "")
	place, err := json.Marshal(map[string]string{"key": b.key("there")})
	if err != nil {
		t.Fatal(err)
	}
	r := w.Rehearse(ledger.RehearsalRequest{System: "config", Place: place})
	if !r.Proven() || len(r.Canaries) != 1 || len(r.Left) != 0 {
		t.Fatalf("%+v", r)
	}
	canary, err := parseKey(r.Canaries[0].Resource)
	if err != nil || canary != b.key(r.Canaries[0].Name) {
		t.Errorf("the canary was %s (%v)", canary, err)
	}
	if n := b.count(); n != 1 {
		t.Errorf("%d keys are left, want the one that was there", n)
	}
}

// count counts the keys of this test.
func (b *bench) count() int {
	b.t.Helper()
	var doc struct{ Kvs []json.RawMessage }
	answer := b.Must("POST", "/kv/range", encode(b, map[string]any{"key": []byte(b.key("")), "range_end": []byte("/" + b.t.Name() + "0")}))
	if err := json.Unmarshal([]byte(answer), &doc); err != nil {
		b.t.Fatal(err)
	}
	return len(doc.Kvs)
}
