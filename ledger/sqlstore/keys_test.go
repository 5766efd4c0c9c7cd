package sqlstore

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// A data key is written with its entry, and by a rewrapping alone: no move of the entry writes an old one back.
func TestDataKeys(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			w := ledgertest.NewWindow("w")
			secret, plain := ledgertest.NewEntry(w.ID, "a"), ledgertest.NewEntry(w.ID, "a")
			secret.DataKey, secret.Secret = []byte("first"), []string{"/x"}
			secret.Encrypted = []ledger.Encrypted{{Field: "/before/x", Text: []byte{0, 1, 2}}}
			err := s.Open(t.Context(), w, func(tx ledger.Tx) error {
				for i, e := range []*ledger.Entry{&secret, &plain} {
					e.Seq = i + 1
					if err := tx.InsertEntry(e); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			stale, err := s.GetEntry(t.Context(), secret.ID)
			if err != nil || string(stale.DataKey) != "first" || !slices.Equal(stale.Secret, secret.Secret) || !bytes.Equal(stale.Encrypted[0].Text, secret.Encrypted[0].Text) {
				t.Fatalf("%+v, %v", stale, err)
			}
			err = s.ReplaceDataKeys(t.Context(), []Rewrapping{{Entry: secret.ID, Old: []byte("first"), New: []byte("second")}})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Update(t.Context(), w.ID, func(tx ledger.Tx) error { return tx.SaveEntry(stale, stale.State) }); err != nil {
				t.Fatal(err)
			}
			list, err := s.DataKeys(t.Context(), uuid.Nil, uuid.Nil, 10)
			if err != nil || len(list) != 1 || list[0].Entry != secret.ID || list[0].Window != w.ID || string(list[0].Wrapped) != "second" {
				t.Errorf("%+v, %v", list, err)
			}
			if list, err := s.DataKeys(t.Context(), ledger.NewID(), uuid.Nil, 10); err != nil || len(list) != 0 {
				t.Errorf("of another window: %+v, %v", list, err)
			}
			if list, err := s.DataKeys(t.Context(), w.ID, secret.ID, 10); err != nil || len(list) != 0 {
				t.Errorf("beyond the last: %+v, %v", list, err)
			}
			both := []Rewrapping{{Entry: secret.ID, Old: []byte("second"), New: []byte("third")}, {Entry: plain.ID, Old: []byte("x"), New: []byte("y")}}
			if err := s.ReplaceDataKeys(t.Context(), both); ledger.CodeOf(err) != ledger.CodeConflict {
				t.Errorf("one that is not there: %v", err)
			}
			if e, err := s.GetEntry(t.Context(), secret.ID); err != nil || string(e.DataKey) != "second" {
				t.Errorf("half of it was done: %q, %v", e.DataKey, err)
			}
		})
	}
}

func TestRootKey(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			if k, err := s.RootKey(t.Context()); k != nil || err != nil {
				t.Fatalf("%q, %v", k, err)
			}
			if err := s.InsertRootKey(t.Context(), []byte("first")); err != nil {
				t.Fatal(err)
			}
			if err := s.InsertRootKey(t.Context(), []byte("other")); ledger.CodeOf(err) != ledger.CodeConflict {
				t.Errorf("a second one: %v", err)
			}
			if err := s.ReplaceRootKey(t.Context(), []byte("other"), []byte("second")); ledger.CodeOf(err) != ledger.CodeConflict {
				t.Errorf("over another: %v", err)
			}
			if err := s.ReplaceRootKey(t.Context(), []byte("first"), []byte("second")); err != nil {
				t.Fatal(err)
			}
			if k, err := s.RootKey(t.Context()); string(k) != "second" || err != nil {
				t.Errorf("%q, %v", k, err)
			}
		})
	}
}
