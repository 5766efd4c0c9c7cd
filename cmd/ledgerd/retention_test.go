package main

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// oldWindows leaves a window that was rolled back, and one that is open; it returns both.
func (h *house) oldWindows() (done, open *wire.Window) {
	h.Helper()
	h.serve()
	done, open = h.window("done"), h.window("open")
	h.busy(rand.New(rand.NewPCG(5, 5)), 10)
	for _, at := range []string{"/1", "/2", "/3"} {
		h.effect(done.ID, at)
	}
	h.rollBack(done.ID)
	h.effect(open.ID, "/4")
	if _, _, err := h.parts.vigil.Signed(h.Context()); err != nil {
		h.Fatal(err)
	}
	h.stop()
	return done, open
}

// A window that is pruned keeps its name, its counts and its last run; the ledger holds together with its signed heads and its
// mirror, can be made again from an old mirror and from a new one, and goes on.
func TestPruneCommand(t *testing.T) {
	h := newHouse(t, true)
	done, open := h.oldWindows()
	then := filepath.Join(t.TempDir(), "then.db")
	h.keeper.backup(then)
	if out := h.must("prune", "--older-than", "1d", "--yes"); out != "" {
		t.Fatalf("removed what happened just now: %s", out)
	}
	if out := h.must("prune", "--older-than", "0s"); !strings.Contains(out, done.ID) || strings.Contains(out, open.ID) || !strings.Contains(out, "would be removed") {
		t.Fatal(out)
	}
	h.must("prune", "--older-than", "0s", "--yes")
	h.holds("pruned")
	want := h.lives(done.ID)
	h.anew(h.mirror)
	if d := cmp.Diff(want, h.lives(done.ID)); d != "" {
		t.Errorf("made again from its mirror: %s", d)
	}
	h.mirror = filepath.Join(t.TempDir(), "new")
	h.configure()
	h.lives(done.ID) // the new mirror gets what is left
	h.holds("with a new mirror")
	h.anew(h.mirror)
	if d := cmp.Diff(want, h.lives(done.ID)); d != "" {
		t.Errorf("made again from a new mirror: %s", d)
	}
	h.keeper.restore(then) // the ledger is older than the pruning
	h.serve()
	safe := h.parts.vigil.Safe()
	h.stop()
	if safe == nil {
		t.Fatal("a ledger that is older than its pruning does not know it")
	}
	h.must("recover")
	h.must("prune", "--older-than", "0s", "--yes")
	h.holds("recovered")
	if d := cmp.Diff(want["/v1/windows/"+done.ID], h.lives(done.ID)["/v1/windows/"+done.ID]); d != "" {
		t.Errorf("recovered: %s", d)
	}
}

func (h *house) holds(when string) {
	h.Helper()
	if out := h.must("verify"); out != "OK" {
		h.Errorf("%s: %s", when, out)
	}
}

// anew makes the ledger again from a mirror, in a new folder.
func (h *house) anew(mirror string) {
	h.Helper()
	h.moved(".note-key", ".secrets-key")
	h.must("rebuild", "--from", mirror)
	h.holds("made again from " + mirror)
}

// lives serves, and asks what a pruned window shows.
func (h *house) lives(id string) map[string]string {
	h.Helper()
	h.serve()
	defer h.stop()
	got := h.gets()
	for _, want := range []string{`"undone":3`, `"pruned":{"at":`, `"state":"rolled_back"`} {
		if !strings.Contains(got["/v1/windows/"+id], want) {
			h.Errorf("%s lacks %s", got["/v1/windows/"+id], want)
		}
	}
	if again := h.rollBack(id); again.State != "finished" || !again.Complete || again.Counts.Undone != 3 {
		h.Errorf("its last run: %+v", again)
	}
	return got
}

// In safe mode what is here is evidence: nothing of it goes, not even what was said to be removed before.
func TestNothingIsRemovedInSafeMode(t *testing.T) {
	h := newHouse(t, true)
	h.oldWindows()
	h.serve()
	list, err := h.parts.ledger.Expired(t.Context(), time.Now().Add(time.Hour), uuid.Nil, 1)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if _, err := h.parts.ledger.Prune(t.Context(), list[0]); err != nil {
		t.Fatal(err)
	}
	if err := h.parts.store.EnterSafe(t.Context(), ledger.Missing{From: "a test", Detail: "on purpose"}); err != nil {
		t.Fatal(err)
	}
	h.parts.config.Retention = "400d"
	if err := h.parts.retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := h.parts.store.RemovePruned(t.Context(), 1); err != nil || n != 1 {
		t.Errorf("%d rows were left, %v", n, err)
	}
}
