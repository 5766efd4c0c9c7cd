package sqlstore

import (
	"context"
	"slices"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
)

// withKey records an entry with a secret field.
func withKey(s ledger.Store, window uuid.UUID, key string) (ledger.Entry, error) {
	e := ledgertest.NewEntry(window, "a")
	e.Secret, e.DataKey = []string{"/x"}, []byte(key)
	return e, ledgertest.Record(context.Background(), s, window, &e)
}

func (k *kept) hasKey(entry uuid.UUID, wrapped string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.keys, func(one journal.WrappedKey) bool {
		return one.EntryID == entry.String() && string(one.DataKey) == wrapped
	})
}

func (k *kept) hasRoot(wrapped string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.keys, func(one journal.WrappedKey) bool { return string(one.Root) == wrapped })
}

// A record is never in a mirror before the key that its entry's secrets are under: not when it is written, nor when it is
// caught up, from a mirror that was away, nor in a new one.
func TestKeysComeBeforeTheirRecords(t *testing.T) {
	for name, opener := range both {
		t.Run(name, func(t *testing.T) {
			k := newKept()
			s := mirrored(t, opener(t), k)
			w := open(t, s)
			first, err := withKey(s, w.ID, "one")
			if err != nil || !k.hasKey(first.ID, "one") || k.has(w.ID) == 0 {
				t.Fatalf("%v, the mirror has %d records and the keys %v", err, k.has(w.ID), k.keys)
			}
			k.set(true)
			second, err := withKey(s, w.ID, "two")
			if ledger.CodeOf(err) != ledger.CodeUnavailable {
				t.Fatalf("an entry was answered although its key is in no mirror: %v", err)
			}
			k.set(false)
			if err := note(s, w.ID); err != nil || !k.hasKey(second.ID, "two") {
				t.Fatalf("caught up: %v, %v", err, k.keys)
			}
			late := newKept()
			late.name = "late"
			mirrored(t, s, late)
			if err := note(s, w.ID); err != nil || !late.hasKey(first.ID, "one") || !late.hasKey(second.ID, "two") {
				t.Fatalf("a new mirror: %v, %v", err, late.keys)
			}
		})
	}
}

// What changes keys and adds no record reaches the mirrors too: a root secret, a rotation. A mirror that had all of it gets
// nothing twice, and one that failed gets it with the next start.
func TestKeyChangesReachTheMirror(t *testing.T) {
	for name, opener := range both {
		t.Run(name, func(t *testing.T) {
			k := newKept()
			s := opener(t)
			if err := s.InsertRootKey(t.Context(), []byte("root one")); err != nil {
				t.Fatal(err)
			}
			mirrored(t, s, k)
			if !k.hasRoot("root one") {
				t.Fatal("the root secret is not in the mirror at start")
			}
			w := open(t, s)
			e, err := withKey(s, w.ID, "one")
			if err != nil {
				t.Fatal(err)
			}
			rotate := func(from, to string) {
				t.Helper()
				err := s.ReplaceDataKeys(t.Context(), []Rewrapping{{Entry: e.ID, Old: []byte(from), New: []byte(to)}})
				if err == nil {
					err = s.ReplaceRootKey(t.Context(), []byte("root "+from), []byte("root "+to))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			rotate("one", "two")
			if err := s.MirrorKeys(t.Context()); err != nil || !k.hasKey(e.ID, "two") || !k.hasRoot("root two") {
				t.Fatalf("after a rotation: %v, %v", err, k.keys)
			}
			if err := note(s, w.ID); err != nil { // that the mirror has them is stored with the next change
				t.Fatal(err)
			}
			had := len(k.keys)
			if err := s.StartMirrors(t.Context(), k); err != nil || len(k.keys) != had {
				t.Fatalf("%v, it got %d keys again", err, len(k.keys)-had)
			}
			rotate("two", "three")
			k.set(true)
			if err := s.MirrorKeys(t.Context()); err == nil {
				t.Fatal("a mirror that is away has got the keys")
			}
			if err := note(s, w.ID); ledger.CodeOf(err) != ledger.CodeUnavailable {
				t.Fatalf("recorded although the mirror lacks keys: %v", err)
			}
			k.set(false)
			if err := s.StartMirrors(t.Context(), k); err != nil || !k.hasKey(e.ID, "three") || !k.hasRoot("root three") {
				t.Fatalf("at the next start: %v, %v", err, k.keys)
			}
			if err := note(s, w.ID); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A mirror of a version that kept no keys there gets all of them at the next start: nothing says that it has them.
func TestOlderMirrorsGetTheKeys(t *testing.T) {
	for name, opener := range both {
		t.Run(name, func(t *testing.T) {
			s := opener(t)
			w := open(t, s)
			e, err := withKey(s, w.ID, "one")
			if err == nil {
				err = s.InsertRootKey(t.Context(), []byte("root"))
			}
			if err == nil {
				err = s.SetFact(t.Context(), factKeys, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			head := find(t, s, w.ID).Head.Number
			if err := s.SetMirrored(t.Context(), "kept", map[string]journal.Leaf{"w": {WindowID: w.ID.String(), Number: head}}); err != nil {
				t.Fatal(err)
			}
			k := newKept()
			k.at[w.ID.String()] = head
			mirrored(t, s, k)
			if !k.hasKey(e.ID, "one") || !k.hasRoot("root") || k.writes != 2 {
				t.Errorf("%d writes, %v", k.writes, k.keys)
			}
		})
	}
}
