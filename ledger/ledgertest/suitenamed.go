package ledgertest

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"sideledger/ledger"
)

// testNamed: the keys of one system in all windows, whatever became of their entries but void, each once; and the entries that go
// by another name by now.
func testNamed(t *testing.T, s ledger.Store) {
	keys, renamed, err := s.Named(t.Context(), "a")
	must(t, err)
	same(t, len(keys)+len(renamed), 0)
	var wantKeys []ledger.Key
	for i, state := range []ledger.WindowState{ledger.WindowOpen, ledger.WindowKept, ledger.WindowRolledBack} {
		w := opened(t, s, "in "+string(state))
		for j, es := range entryStates {
			e := NewEntry(w.ID, "a")
			e.ResourceKey, e.State = ledger.Key{byte(j + 1)}, es // the same in each window
			recorded(t, s, w.ID, &e)
			if es != ledger.EntryVoid && i == 0 {
				wantKeys = append(wantKeys, e.ResourceKey)
			}
		}
		other, unnamed := NewEntry(w.ID, "b"), NewEntry(w.ID, "a")
		other.ResourceKey, unnamed.ResourceKey = ledger.Key{200}, ledger.Key{}
		recorded(t, s, w.ID, &other)
		recorded(t, s, w.ID, &unnamed)
		update(t, s, w.ID, func(tx ledger.Tx) error { tx.Window().State = state; return nil })
	}
	w := opened(t, s, "renamed")
	e, void := NewEntry(w.ID, "a"), NewEntry(w.ID, "a")
	e.Alias = &ledger.Alias{Resource: json.RawMessage(`{"id":"2"}`), At: start}
	void.Alias, void.State = e.Alias, ledger.EntryVoid
	e.ResourceKey, void.ResourceKey = ledger.Key{100}, ledger.Key{101}
	recorded(t, s, w.ID, &e)
	recorded(t, s, w.ID, &void)
	wantKeys = append(wantKeys, e.ResourceKey)

	keys, renamed, err = s.Named(t.Context(), "a")
	must(t, err)
	slices.SortFunc(keys, func(a, b ledger.Key) int { return bytes.Compare(a[:], b[:]) })
	slices.SortFunc(wantKeys, func(a, b ledger.Key) int { return bytes.Compare(a[:], b[:]) })
	same(t, keys, wantKeys)
	same(t, len(renamed), 1)
	same(t, renamed[0].ID, e.ID)
	same(t, string(renamed[0].Where()), `{"id":"2"}`)
}
