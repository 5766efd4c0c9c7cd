package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/heads"
	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
)

// A kept mirror remembers what it was given, and fails when it is told to.
type kept struct {
	mu     sync.Mutex
	name   string
	fail   bool
	writes int
	at     map[string]int64
	hashes map[string]bool // "window number hash"
	bad    []string
	keys   []journal.WrappedKey
}

func newKept() *kept { return &kept{name: "kept", at: map[string]int64{}, hashes: map[string]bool{}} }

func (k *kept) Name() string { return k.name }

func (k *kept) Write(_ context.Context, keys []journal.WrappedKey, records []journal.Mirrored) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writes++
	if k.fail {
		return errOnPurpose
	}
	k.keys = append(k.keys, keys...)
	for _, r := range records {
		if _, begins := r.Follows(); r.Number > k.at[r.WindowID]+1 && !begins {
			k.bad = append(k.bad, fmt.Sprintf("record %d came after %d", r.Number, k.at[r.WindowID]))
		}
		k.at[r.WindowID] = max(k.at[r.WindowID], r.Number)
		k.hashes[fmt.Sprintf("%s %d %x", r.WindowID, r.Number, r.Hash)] = true
	}
	return nil
}

func (k *kept) set(fail bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = fail
}

func (k *kept) has(id uuid.UUID) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at[id.String()]
}

func mirrored(t *testing.T, s *Store, k *kept) *Store {
	t.Helper()
	if err := s.StartMirrors(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, problem := range k.bad {
			t.Error(problem)
		}
	})
	return s
}

func note(s ledger.Store, id uuid.UUID) error {
	return s.Update(context.Background(), id, func(tx ledger.Tx) error {
		_, err := ledgertest.Append(tx, "noted", uuid.Nil, uuid.Nil)
		return err
	})
}

// The whole store suite passes with a mirror behind it, and the mirror has every record of every window.
func TestStoreWithMirror(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			ledgertest.TestStore(t, func(t *testing.T) ledger.Store {
				k := newKept()
				s := mirrored(t, open(t), k)
				t.Cleanup(func() {
					heads, err := s.Heads(context.Background())
					if err != nil {
						t.Error(err)
					}
					for _, h := range heads {
						if h.Number > 0 && !k.hashes[fmt.Sprintf("%s %d %s", h.WindowID, h.Number, h.Hash)] {
							t.Errorf("the mirror has not record %d of window %s", h.Number, h.WindowID)
						}
					}
				})
				return s
			})
		})
	}
}

// What a mirror did not take is not answered, although it stands here; nothing more is recorded until the mirror has
// it; and then it comes before anything new.
func TestMirrorAway(t *testing.T) {
	for name, opener := range both {
		t.Run(name, func(t *testing.T) {
			k := newKept()
			s := mirrored(t, opener(t), k)
			w, other := open(t, s), open(t, s)
			if err := note(s, w.ID); err != nil || k.has(w.ID) != 1 {
				t.Fatalf("%v, the mirror has %d records", err, k.has(w.ID))
			}
			k.set(true)
			if err := note(s, w.ID); ledger.CodeOf(err) != ledger.CodeUnavailable {
				t.Fatalf("a record that is not in the mirror was answered: %v", err)
			}
			if got := find(t, s, w.ID).Head.Number; got != 2 {
				t.Fatalf("the commit did not stand: head %d", got)
			}
			for _, id := range []uuid.UUID{w.ID, other.ID} {
				if err := note(s, id); ledger.CodeOf(err) != ledger.CodeUnavailable {
					t.Fatalf("recorded while the mirror was away: %v", err)
				}
			}
			if got := find(t, s, w.ID).Head.Number; got != 2 {
				t.Fatalf("refused, and recorded all the same: head %d", got)
			}
			// Looking at a record that the mirror lacks is no answer either: a first answer must not be given again.
			err := s.Update(t.Context(), w.ID, func(ledger.Tx) error { return &ledger.ReplayError{} })
			if ledger.CodeOf(err) != ledger.CodeUnavailable {
				t.Fatalf("a replay was answered: %v", err)
			}
			// What adds no record goes on where nothing is missing: a lease must be renewed.
			if err := s.Update(t.Context(), other.ID, func(ledger.Tx) error { return nil }); err != nil {
				t.Fatal(err)
			}
			k.set(false)
			if err := note(s, other.ID); err != nil || k.has(w.ID) != 2 || k.has(other.ID) != 1 {
				t.Fatalf("%v, the mirror has %d and %d records", err, k.has(w.ID), k.has(other.ID))
			}
		})
	}
}

// What was not mirrored when the process ended is caught up before the first answer of the next.
func TestMirrorCaughtUpAtStart(t *testing.T) {
	urls := map[string]string{"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "l.db"), "Postgres": postgres.Database(t)}
	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			k := newKept()
			s := mirrored(t, openStore(t, Config{URL: url}), k)
			w, other := open(t, s), open(t, s)
			k.set(true)
			_ = note(s, w.ID)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			k.set(false)
			s = mirrored(t, openStore(t, Config{URL: url}), k)
			if err := note(s, other.ID); err != nil || k.has(w.ID) != 1 { // before the answer about another window
				t.Fatalf("%v, the mirror has %d records", err, k.has(w.ID))
			}
			if err := note(s, w.ID); err != nil || k.has(w.ID) != 2 {
				t.Fatalf("%v, the mirror has %d records", err, k.has(w.ID))
			}
		})
	}
}

// One write of the mirror serves a whole batch.
func TestMirrorWritesOncePerBatch(t *testing.T) {
	k := newKept()
	s := mirrored(t, sqliteStore(t), k)
	w := open(t, s)
	h := halt(t, s)
	before := k.writes
	for range 20 {
		h.update(w.ID, func(tx ledger.Tx) error {
			_, err := ledgertest.Append(tx, "noted", uuid.Nil, uuid.Nil)
			return err
		})
	}
	h.finish()
	if err := errors.Join(h.errs...); err != nil {
		t.Fatal(err)
	}
	if got := k.writes - before; got != 1 || k.has(w.ID) != 20 {
		t.Fatalf("%d writes for 20 records, %d arrived", got, k.has(w.ID))
	}
}

// A new mirror gets everything that the ledger has; positions survive a restart.
func TestSecondMirrorGetsAll(t *testing.T) {
	url := newURL(t)
	s := openStore(t, Config{URL: url})
	w := open(t, s)
	for range mirrorPage + 7 {
		if err := note(s, w.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	a := newKept()
	s = mirrored(t, openStore(t, Config{URL: url}), a)
	if err := note(s, w.ID); err != nil || a.has(w.ID) != mirrorPage+8 {
		t.Fatalf("%v, the mirror has %d records", err, a.has(w.ID))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	a.writes = 0
	s = mirrored(t, openStore(t, Config{URL: url}), a)
	if err := note(s, w.ID); err != nil || a.writes != 1 {
		t.Fatalf("%v, %d writes", err, a.writes)
	}
}

// Safe mode refuses changes, durably, and ends when it is told to.
func TestSafeMode(t *testing.T) {
	urls := map[string]string{"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "l.db"), "Postgres": postgres.Database(t)}
	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Config{URL: url})
			w := open(t, s)
			m := ledger.Missing{WindowID: w.ID, Have: 0, Want: 3, From: "client"}
			for range 2 {
				if err := s.EnterSafe(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			again := openStore(t, Config{URL: url})
			if err := again.LoadSafe(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(s.Safe(), again.Safe()); d != "" || len(s.Safe().Missing) != 1 {
				t.Fatal(d)
			}
			for _, s := range []*Store{s, again} {
				if err := note(s, w.ID); ledger.CodeOf(err) != ledger.CodeUnavailable {
					t.Fatalf("changed in safe mode: %v", err)
				}
			}
			if err := again.LeaveSafe(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := note(again, w.ID); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A busy log has something recorded in the moment before a signed head is stored.
type busy struct {
	*Store

	recordFunc func() error
}

func (b *busy) AddSigned(ctx context.Context, h journal.SignedHead) error {
	recorded := make(chan error, 1)
	go func() { recorded <- b.recordFunc() }()
	select {
	case err := <-recorded:
		return errors.Join(err, b.Store.AddSigned(ctx, h))
	case <-ctx.Done():
		return fmt.Errorf("a record waits for the signing, which waits for it: %w", ctx.Err())
	}
}

// What is recorded while heads are signed does not wait for the signing: both need the writer.
func TestRecordWhileSigning(t *testing.T) {
	for name, opener := range both {
		t.Run(name, func(t *testing.T) {
			s := mirrored(t, opener(t), newKept())
			w := open(t, s)
			key, _, err := heads.OpenKey(filepath.Join(t.TempDir(), "key"), "sideledger/test")
			if err != nil {
				t.Fatal(err)
			}
			log := &busy{Store: s, recordFunc: func() error { return note(s, w.ID) }}
			signer := heads.NewSigner(heads.SignerConfig{Log: log, Key: key, Origin: "sideledger/test", Clock: time.Now})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := signer.Sign(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
}
