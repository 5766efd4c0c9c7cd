package sqlstore

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
)

// noSystems has none: everything else of a ledger works.
type noSystems struct{}

func (noSystems) Find(name string) (ledger.System, ledger.Remediator, error) {
	return ledger.System{}, nil, ledger.NotFound("system", name)
}
func (noSystems) List() []ledger.SystemStatus { return nil }
func (noSystems) Park(string, bool)           {}

type noWaker struct{}

func (noWaker) Wake(ledger.Rollback) {}

// lived returns a store with a window that has been through something: real records of the ledger.
func lived(t *testing.T, s *Store) uuid.UUID {
	t.Helper()
	l := ledger.New(ledger.Config{Store: s, Systems: noSystems{}, Clock: ledgertest.NewClock().Now, Log: slog.New(slog.DiscardHandler), Waker: noWaker{}})
	ctx := ledger.WithActor(t.Context(), ledger.Actor{TokenID: "tok", Role: ledger.RoleAdmin})
	w, err := l.OpenWindow(ctx, ledger.WindowDraft{Name: "w", Labels: map[string]string{"k": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Seal(ctx, w.ID, "enough"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Reopen(ctx, w.ID, "more"); err != nil {
		t.Fatal(err)
	}
	r, err := l.StartRollback(ctx, w.ID, ledger.RollbackRequest{Reason: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Claim(ctx, r.ID, ledger.Claimant{Holder: "me", Force: true}); err != nil {
		t.Fatal(err)
	}
	return w.ID
}

func records(t *testing.T, s *Store, id uuid.UUID) []journal.Record {
	t.Helper()
	list, err := s.ListRecords(t.Context(), ledger.RecordQuery{WindowID: id, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func absorb(t *testing.T, s *Store, id uuid.UUID, list []journal.Record) error {
	t.Helper()
	return s.Absorb(t.Context(), nil, func(takeFunc func(uuid.UUID, journal.Record) error) error {
		for _, r := range list {
			if err := takeFunc(id, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// A window is made anew from its records, at once or in parts; what does not follow is refused and changes nothing.
func TestAbsorb(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			old := open(t)
			id := lived(t, old)
			all := records(t, old, id)
			s := open(t)
			for _, part := range [][]journal.Record{all[:2], all[2:]} {
				if err := absorb(t, s, id, part); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(find(t, old, id), find(t, s, id)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(all, records(t, s, id)); d != "" {
				t.Error(d)
			}
			for _, s := range []*Store{old, s} {
				if bad, err := s.Verify(t.Context()); err != nil || len(bad) > 0 {
					t.Errorf("%v, %v", bad, err)
				}
			}
			fork := all[len(all)-1]
			fork.Number++
			for _, bad := range [][]journal.Record{{fork}, all[:1], all[len(all)-1:]} {
				if err := absorb(t, s, id, bad); ledger.CodeOf(err) != ledger.CodeConflict {
					t.Errorf("took records that do not follow: %v", err)
				}
			}
			if got := find(t, s, id).Head; got != find(t, old, id).Head {
				t.Errorf("a refusal changed something: %+v", got)
			}
		})
	}
}

// The wrapped keys of secret fields stand in no record. A window that is made anew over rows that have some keeps them.
func TestAbsorbKeepsDataKeys(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			old, s := open(t), open(t)
			l := ledger.New(ledger.Config{
				Store: old, Systems: ledgertest.NewThird(), Clock: ledgertest.NewClock().Now, Log: slog.New(slog.DiscardHandler), Waker: noWaker{},
			})
			w, err := l.OpenWindow(t.Context(), ledger.WindowDraft{Name: "w"})
			if err != nil {
				t.Fatal(err)
			}
			image := ledger.Image{JSON: []byte(`{"v":1}`)}
			got, err := l.Record(t.Context(), w.ID, []ledger.Draft{{
				System: "sys", Kind: "k", Action: ledger.ActionUpdate, Resource: []byte(`{"path":"/a"}`), Before: image, After: image, State: ledger.EntryApplied,
			}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Seal(t.Context(), w.ID, ""); err != nil {
				t.Fatal(err)
			}
			all := records(t, old, w.ID)
			if err := absorb(t, s, w.ID, all[:2]); err != nil {
				t.Fatal(err)
			}
			key := []byte("wrapped")
			err = s.change(t.Context(), "test", func(ctx context.Context, db bun.IDB) error {
				_, err := db.NewUpdate().Model((*entryRow)(nil)).Set("data_key = ?", key).Where("id = ?", got[0].Entry.ID).Exec(ctx)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := absorb(t, s, w.ID, all[2:]); err != nil {
				t.Fatal(err)
			}
			e, err := s.GetEntry(t.Context(), got[0].Entry.ID)
			if err != nil || string(e.DataKey) != string(key) {
				t.Errorf("the key is %q, %v", e.DataKey, err)
			}
		})
	}
}

// Rows that the journal does not tell are found on PostgreSQL too; cmd/ledgerd has the tests of SQLite.
func TestVerifyRows(t *testing.T) {
	for _, edit := range []string{
		"UPDATE windows SET name = 'x'", "UPDATE rollbacks SET reason = 'x'", "UPDATE journal SET kind = 'x' WHERE number = 2",
		"DELETE FROM journal WHERE number = 2", "DELETE FROM rollbacks",
	} {
		s := postgresStore(t)
		id := lived(t, s)
		if _, err := s.write.ExecContext(t.Context(), edit); err != nil {
			t.Fatal(err)
		}
		bad, err := s.Verify(t.Context())
		if err != nil || len(bad) != 1 || bad[0].WindowID != id.String() || bad[0].Number == 0 {
			t.Errorf("%s: %v, %v", edit, bad, err)
		}
	}
}

// Leaves are only ever added behind the last.
func TestSignedLeaves(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			l := journal.Leaf{WindowID: ledger.NewID().String(), Number: 1, Hash: "0011"}
			h := journal.SignedHead{Note: "n", Leaves: []journal.Leaf{l, l}}
			if err := s.AddSigned(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			if err := s.AddSigned(t.Context(), h); ledger.CodeOf(err) != ledger.CodeConflict {
				t.Fatalf("added in the middle: %v", err)
			}
			if got, err := s.Leaves(t.Context()); err != nil || len(got) != 2 || got[1] != l {
				t.Fatalf("%v, %v", got, err)
			}
			if note, err := s.Fact(t.Context(), factNote); err != nil || string(note) != "n" {
				t.Fatalf("%s, %v", note, err)
			}
			if err := s.ForgetLeaves(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Leaves(t.Context()); err != nil || len(got) != 0 {
				t.Fatalf("%v, %v", got, err)
			}
		})
	}
}

// A recovery marks every open entry once, and lets an unfinished rollback wait.
func TestRecoverWindow(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			id := lived(t, s)
			e := ledgertest.NewEntry(id, "a")
			l := ledger.New(ledger.Config{Store: s, Systems: noSystems{}, Clock: ledgertest.NewClock().Now, Log: slog.New(slog.DiscardHandler), Waker: noWaker{}})
			if err := ledgertest.Record(t.Context(), s, id, &e); err != nil {
				t.Fatal(err)
			}
			for i, want := range []int{1, 0} {
				if n, err := l.Recover(context.Background(), id, "note"); err != nil || n != want {
					t.Fatalf("call %d marked %d entries: %v", i, n, err)
				}
			}
			got, err := s.GetEntry(t.Context(), e.ID)
			if err != nil || len(got.Attempts) != 1 || got.Attempts[0].Result != string(ledger.CallAmbiguous) || got.MayResend(false) || !got.MayResend(true) {
				t.Fatalf("%+v, %v", got, err)
			}
			if j := ledger.Judge(got, ledger.Look{}); j.Verdict != ledger.VerdictInDoubt {
				t.Errorf("an entry that nobody can look at would be sent: %s", j.Verdict)
			}
			r, err := s.GetRollback(t.Context(), find(t, s, id).RollbackID)
			if err != nil || r.State != ledger.RollbackPaused || r.Holder != "" || r.Epoch < 1<<20 {
				t.Errorf("%+v, %v", r, err)
			}
			var last struct{ Kind, Note string }
			all := records(t, s, id)
			if err := json.Unmarshal(all[len(all)-1].Body, &last); err != nil || last.Kind != "window.recovered" {
				t.Errorf("%+v, %v", last, err)
			}
		})
	}
}
