package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sideledger/ledger"
	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/sqlstore/sqlstoretest"
)

// A ledger that is made again from its mirror answers every GET as the old one did, byte for byte, journals included, and
// passes its verification.
func TestRebuiltLedgerIsTheSame(t *testing.T) {
	for seed := range uint64(3) {
		h := newHouse(t, true)
		h.serve()
		h.busy(rand.New(rand.NewPCG(20261127, seed)), 60)
		if _, _, err := h.parts.vigil.Signed(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := h.gets()
		h.stop()
		if out := h.must("verify"); out != "OK" {
			t.Fatal(out)
		}
		if status, _, talk := h.run("rebuild", "--from", h.mirror); status != exitFailure || !strings.Contains(talk, "is not empty") {
			t.Fatalf("rebuilt over a ledger: %d %s", status, talk)
		}
		h.moved(".note-key")
		h.must("rebuild", "--from", h.mirror)
		if _, err := os.Stat(h.keeper.file(".admin-token")); err != nil {
			t.Error(err)
		}
		if out := h.must("verify"); out != "OK" {
			t.Fatal(out)
		}
		h.serve() // with the same mirror, and clients that keep what the old one answered
		if safe := h.parts.vigil.Safe(); safe != nil {
			t.Fatal(safe.Text())
		}
		if d := cmp.Diff(want, h.gets()); d != "" {
			t.Fatalf("seed %d: old (-), rebuilt (+):\n%s", seed, d)
		}
		h.busy(rand.New(rand.NewPCG(1, seed)), 20) // it goes on
		h.stop()
		if out := h.must("verify"); out != "OK" {
			t.Fatal(out)
		}
	}
}

// A rebuild that makes no ledger leaves nothing behind, says why, and touches nothing that was there.
func TestRebuildThatFailsLeavesNothing(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	h.effect(h.window("w").ID, "/1")
	h.stop()
	damaged := t.TempDir()
	names, err := filepath.Glob(filepath.Join(h.mirror, "*"+journal.SegmentSuffix))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		raw = []byte(strings.Replace(string(raw), `"w"`, `"W"`, 1))
		if err := os.WriteFile(filepath.Join(damaged, filepath.Base(name)), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, from string
		before     string // suffix of a folder that is there, and in the way of what is made last
		status     int
		says       string
	}{
		{"an empty folder", t.TempDir(), "", exitPerson, "is the mirror mounted there"},
		{"no folder", filepath.Join(t.TempDir(), "none"), "", exitFailure, "no such file"},
		{"a damaged mirror", damaged, "", exitPerson, "the mirror is damaged"},
		{"a token that cannot be written", h.mirror, ".admin-token", exitFailure, "write the first token"},
	} {
		h.moved()
		if c.before != "" {
			if err := os.Mkdir(h.keeper.file(c.before), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		want := entriesIn(t, h.dir)
		begun := c.before != "" && ledgertest.OnPostgres(t) // a database there is not ours to take away
		for range 2 {                                       // the second finds what the first found
			status, _, talk := h.run("rebuild", "--from", c.from)
			if status != c.status || !strings.Contains(talk, c.says) {
				t.Errorf("%s: %d %s", c.name, status, talk)
			}
			if begun {
				c.says = "is not empty"
			} else if d := cmp.Diff(want, entriesIn(t, h.dir)); d != "" {
				t.Errorf("%s: (-before +after)\n%s", c.name, d)
			}
		}
	}
}

func entriesIn(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// What a rebuild has begun to fill, and not ended, no command takes for a ledger.
func TestHalfFilledDatabaseIsRefused(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	h.effect(h.window("w").ID, "/1")
	h.stop()
	h.moved()
	if !ledgertest.OnPostgres(t) {
		sqlstoretest.Write(t, h.db()) // it was there before, so that it stays
	}
	inTheWay := h.keeper.file(".admin-token") // of what is made last
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if status, _, talk := h.run("rebuild", "--from", h.mirror); status != exitFailure || !strings.Contains(talk, "write the first token") {
		t.Fatalf("%d %s", status, talk)
	}
	for _, command := range [][]string{{"verify"}, {"recover"}, {"token", "list"}, {"migrate"}, {"rollback", "--window", ledger.NewID().String()}, {"serve"}} {
		if status, _, talk := h.run(command...); status != exitFailure || !strings.Contains(talk, "holds a part of a ledger") {
			t.Fatalf("ledgerd %v: %d %s", command, status, talk)
		}
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	h.moved()
	h.must("rebuild", "--from", h.mirror)
	h.must("verify")
}
