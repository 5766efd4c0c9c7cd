package ledgertest

import (
	"context"
	"testing"

	"sideledger/ledger"
)

// testRepliesAlone holds answers that are stored and asked for outside a unit of work to those inside of one.
func testRepliesAlone(t *testing.T, s ledger.Store) {
	w := opened(t, s, "w")
	inside := ledger.ReplyKey{TokenID: "t", Method: "POST", Path: "/v1/windows/x/seal", Key: "a'b\"?; --"}
	outside := inside
	outside.Key = "another"
	a := ledger.Reply{RequestHash: [32]byte{1}, Status: 201, Header: map[string]string{"ETag": `"1"`}, Body: []byte("{}\x00\xff"), At: start}
	b := ledger.Reply{RequestHash: [32]byte{2}, Status: 409, Body: []byte("no"), At: start}
	for _, key := range []ledger.ReplyKey{inside, outside} {
		if r, err := s.GetReply(t.Context(), key); r != nil || err != nil {
			t.Errorf("a reply that nobody saved: %+v, %v", r, err)
		}
	}
	update(t, s, w.ID, func(tx ledger.Tx) error { return tx.SaveReply(inside, a) })
	must(t, s.KeepReply(t.Context(), outside, b))
	must(t, s.KeepReply(t.Context(), inside, b)) // the first one stays
	must(t, s.KeepReply(t.Context(), outside, a))
	for key, want := range map[ledger.ReplyKey]ledger.Reply{inside: a, outside: b} {
		r, err := s.GetReply(t.Context(), key)
		must(t, err)
		same(t, *r, want)
		update(t, s, w.ID, func(tx ledger.Tx) error {
			r, err := tx.FindReply(key)
			must(t, err)
			same(t, *r, want)
			return nil
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.GetReply(gone, inside); err == nil {
		t.Error("a caller that has gone got an answer")
	}
}
