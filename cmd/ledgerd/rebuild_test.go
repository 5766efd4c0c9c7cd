package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		key, err := os.ReadFile(h.db() + ".note-key")
		if err != nil {
			t.Fatal(err)
		}
		h.dir = t.TempDir()
		if err := os.WriteFile(h.db()+".note-key", key, 0o600); err != nil {
			t.Fatal(err)
		}
		h.configure()
		h.must("rebuild", "--from", h.mirror)
		if _, err := os.Stat(filepath.Join(h.dir, "ledger.db.admin-token")); err != nil {
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
