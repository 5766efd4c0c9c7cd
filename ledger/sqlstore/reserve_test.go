package sqlstore

import (
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

const mib = 1 << 20

// A brim is a store whose disk is full when room is false: its commits fail as SQLite fails then.
type brim struct {
	*Store
	t     *testing.T
	room  bool
	clock *ledgertest.Clock
	win   ledger.Window
}

func newBrim(t *testing.T, size int64) *brim {
	t.Helper()
	b := &brim{t: t, room: true, clock: ledgertest.NewClock()}
	s, err := Open(t.Context(), Config{
		URL: "sqlite:" + filepath.Join(t.TempDir(), "l.db"), Clock: b.clock.Now, Log: slog.New(slog.DiscardHandler), Reserve: size,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Store, b.win = s, open(t, s)
	s.reserve.growFunc = func(f *os.File, from, to int64) error {
		if !b.room {
			return syscall.ENOSPC
		}
		return grow(f, from, to)
	}
	real, full := s.commitFunc, sqliteFull(t)
	s.commitFunc = func(ctx context.Context, c *conn) error {
		if !b.room {
			return full
		}
		return real(ctx, c)
	}
	return b
}

// sqliteFull returns SQLite's own error for a full disk.
func sqliteFull(t *testing.T) error {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "small.db")+"?_pragma=max_page_count(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "CREATE TABLE t (a)")
	if sqliteFault(err) != faultFull {
		t.Fatalf("got %v", err)
	}
	return err
}

// record records an entry for a use and returns the code of what became of it.
func (b *brim) record(use ledger.Use) ledger.Code {
	b.t.Helper()
	e := ledgertest.NewEntry(b.win.ID, "a")
	err := ledgertest.Record(ledger.WithUse(b.t.Context(), use), b.Store, b.win.ID, &e)
	return ledger.CodeOf(err)
}

// left returns the size of the reserve's file in MiB.
func (b *brim) left() int64 {
	b.t.Helper()
	info, err := os.Stat(b.file + reserveSuffix)
	if err != nil {
		b.t.Fatal(err)
	}
	return info.Size() / mib
}

// On a full disk what is new is refused and takes nothing of the reserve, facts get half of it, rollbacks all; and with
// room again it is whole before anything new is taken.
func TestReserve(t *testing.T) {
	b := newBrim(t, 32*mib)
	want := func(what string, code, wantCode ledger.Code, left int64) {
		t.Helper()
		if code != wantCode || b.left() != left {
			t.Errorf("%s: %q with %d MiB left, want %q with %d", what, code, b.left(), wantCode, left)
		}
	}
	want("room", b.record(ledger.UseNew), "", 32)
	b.room = false
	want("new", b.record(ledger.UseNew), ledger.CodeFull, 32)
	if code := ledger.CodeOf(b.Ping(t.Context())); code != ledger.CodeFull {
		t.Errorf("ready with a full disk: %q", code)
	}
	want("a fact", b.record(ledger.UseFact), ledger.CodeFull, 16)
	want("an undo", b.record(ledger.UseUndo), ledger.CodeFull, 0)
	b.room = true
	want("an undo, with room", b.record(ledger.UseUndo), "", 0)
	b.clock.Advance(refillEvery)
	want("new, with room", b.record(ledger.UseNew), "", 32)
	if err := b.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if es := list(t, b, b.win.ID); len(es) != 3 {
		t.Errorf("%d entries", len(es))
	}
}

// What shares a transaction with something new on a full disk is not refused with it.
func TestReserveDividesABatch(t *testing.T) {
	b := newBrim(t, 16*mib)
	h := halt(t, b.Store)
	inner, commits := b.commitFunc, 0
	b.commitFunc = func(ctx context.Context, c *conn) error { // the second has no room, the third has
		if commits++; commits == 2 {
			return sqliteFull(t)
		}
		return inner(ctx, c)
	}
	ids := map[ledger.Use]int{}
	for _, use := range []ledger.Use{ledger.UseNew, ledger.UseUndo} {
		e := ledgertest.NewEntry(b.win.ID, "a")
		ids[use] = h.queue(func() error {
			return ledgertest.Record(ledger.WithUse(t.Context(), use), b.Store, b.win.ID, &e)
		})
	}
	h.finish()
	if got := ledger.CodeOf(h.errs[ids[ledger.UseNew]]); got != ledger.CodeFull {
		t.Errorf("what was new: %q", got)
	}
	if err := h.errs[ids[ledger.UseUndo]]; err != nil || b.left() != 16 {
		t.Errorf("a rollback's: %v, with %d MiB left", err, b.left())
	}
}

// A reserve that was used is as it was when the ledger is opened again without room, and one that is wanted smaller becomes it.
func TestReserveIsOpenedAgain(t *testing.T) {
	database, clock := filepath.Join(t.TempDir(), "l.db"), ledgertest.NewClock()
	if err := os.WriteFile(database, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	name := database + reserveSuffix
	reopen := func(size int64) *reserve {
		t.Helper()
		r, err := openReserve(t.Context(), Config{Reserve: size, Clock: clock.Now, Log: slog.New(slog.DiscardHandler)}, database)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := reopen(8 * mib)
	if r.left != 8*mib || r.full {
		t.Errorf("fresh: %d, %v", r.left, r.full)
	}
	r.full = true
	r.release(t.Context())
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() != 7*mib || info.Mode().Perm() != 0o600 {
		t.Errorf("%+v, %v", info, err)
	}
	for _, size := range []int64{16 * mib, 4 * mib} {
		r := reopen(size)
		if r.left != size || r.full {
			t.Errorf("wanted %d: %d, %v", size, r.left, r.full)
		}
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
	}
	var none *reserve
	if none.admit("", "", ledger.UseNew) != nil || none.spend(t.Context(), sqliteFull(t)) || none.close() != nil {
		t.Error("without a reserve something is refused, or spent")
	}
}

// A reserve that cannot be written by the filesystem's own call is written out.
func TestReserveIsWrittenOut(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "r"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := fill(f, 0, 3*mib/2); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(f.Name())
	if err != nil || len(raw) != 3*mib/2 || strings.Count(string(raw), "\x00") > len(raw)/100 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
}
