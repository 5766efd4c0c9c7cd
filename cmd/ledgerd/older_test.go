package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger/ledgertest"
)

// restorePoints is how many older copies of a ledger are restored, with a mirror and without one: fewer on PostgreSQL.
func restorePoints(t *testing.T) int {
	if ledgertest.OnPostgres(t) {
		return 3
	}
	return 10
}

// embedded is the keeper of a SQLite file.
type embedded struct{ *house }

func (h embedded) database() string          { return "sqlite:" + h.db() }
func (h embedded) file(suffix string) string { return h.db() + suffix }
func (h embedded) move()                     {}

func (h embedded) backup(to string) {
	h.Helper()
	h.must("backup", to)
}

func (h embedded) restore(from string) {
	h.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		h.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm", ".side"} {
		if err := os.RemoveAll(h.db() + suffix); err != nil {
			h.Fatal(err)
		}
	}
	if err := os.WriteFile(h.db(), raw, 0o600); err != nil {
		h.Fatal(err)
	}
}

// blindDraft is an effect that cannot be read back: sent once too often, nobody would know.
func blindDraft(at string) wire.EntryDraft {
	d := putDraft(at)
	d.Read = nil
	return d
}

// A history is a ledger with copies of it taken at random points while it went on.
type history struct {
	*house
	copies  []string
	blind   map[string]bool // paths whose effect cannot be looked at
	undone  map[string]bool // paths that some run has undone, by the third party's own word
	records map[string]int64
}

// live runs a ledger through rollbacks and takes copies of it at random points.
func live(house *house, seed uint64, copies int) *history {
	house.Helper()
	t := house.T
	h := &history{house: house, blind: map[string]bool{}, undone: map[string]bool{}, records: map[string]int64{}}
	rnd := rand.New(rand.NewPCG(20261127, seed))
	h.serve()
	dir := t.TempDir()
	points := rnd.Perm(60)[:copies]
	var windows []string
	for i := range 60 {
		if i%6 == 0 {
			windows = append(windows, h.window(fmt.Sprintf("w%d", i)).ID)
		}
		w := windows[len(windows)-1]
		at := fmt.Sprintf("/e/%d", i)
		if i%3 == 1 {
			h.blind[at] = true
			h.third.set(at, `{"v":"new"}`)
			if _, err := h.client.Record(t.Context(), w, blindDraft(at)); err != nil {
				t.Fatal(err)
			}
		} else {
			h.effect(w, at)
		}
		if slices.Contains(points, i) {
			file := filepath.Join(dir, fmt.Sprintf("copy-%d.db", i))
			h.keeper.backup(file)
			h.copies = append(h.copies, file)
		}
		if i%6 == 5 && i%12 != 11 { // every other window is rolled back
			h.rollBack(w)
		}
	}
	h.window("the last word") // whatever the last copy has, this one is not in it
	for _, at := range h.third.take() {
		h.undone[at] = true
	}
	for _, w := range h.windows() {
		h.records[w.ID] = w.Head.Number
	}
	h.stop()
	return h
}

func (h *house) windows() []wire.Window {
	h.Helper()
	var list wire.WindowList
	if err := json.Unmarshal([]byte(h.read("/v1/windows?limit=1000")), &list); err != nil {
		h.Fatal(err)
	}
	return list.Items
}

// inSafeMode reports whether an error is the refusal of a ledger in safe mode.
func inSafeMode(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Status == http.StatusServiceUnavailable && strings.HasPrefix(e.Problem.Detail, "safe mode: ")
}

// checkSafe holds a ledger in safe mode to what it promises, and leaves one fact with it.
func (h *house) checkSafe(window string) (fact string) {
	h.Helper()
	ctx := h.Context()
	if err := h.client.Ready(ctx); !inSafeMode(err) || !strings.Contains(err.Error(), "is not here") && !strings.Contains(err.Error(), "are missing") {
		h.Fatalf("/readyz: %v", err)
	}
	d := putDraft("/later")
	d.State = "intended"
	_, intent := h.client.Record(ctx, window, d)
	_, start := h.client.StartRollback(ctx, window, wire.RollbackRequest{}, 0)
	_, opened := h.client.OpenWindow(ctx, wire.WindowDraft{Name: "n"})
	_, seal := h.client.Seal(ctx, window, "")
	for _, err := range []error{intent, start, opened, seal} {
		if !inSafeMode(err) {
			h.Fatalf("not refused in safe mode: %v", err)
		}
	}
	h.read("/v1/windows/" + window + "/entries")
	h.third.set("/fact", `{"v":"new"}`)
	e, err := h.client.Record(ctx, window, putDraft("/fact"))
	if err != nil {
		h.Fatalf("a fact was refused in safe mode: %v", err)
	}
	if calls := h.third.take(); len(calls) > 0 {
		h.Fatalf("undone in safe mode: %v", calls)
	}
	return e.ID
}

// rollAllBack rolls every window back that still has something open.
func (h *history) rollAllBack() {
	h.Helper()
	for _, w := range h.windows() {
		if w.RollbackID != nil {
			if r, err := h.client.Rollback(h.Context(), *w.RollbackID); err == nil && r.State == "paused" {
				if _, err := h.client.Resume(h.Context(), r.ID); err != nil {
					h.Fatal(err)
				}
			}
		}
		if w.State != "rolled_back" {
			h.rollBack(w.ID)
		}
	}
}

// checkNotTwice: nothing that a run of the lost time had undone was undone again.
func (h *history) checkNotTwice() {
	h.Helper()
	for _, at := range h.third.take() {
		if h.undone[at] {
			h.Errorf("%s was undone by a run that the restored ledger had lost, and was undone again (blind: %t)", at, h.blind[at])
		}
	}
}

// Restored to older copies, a ledger with a mirror is in safe mode each time; after its recovery nothing that the mirror had is lost,
// and nothing is undone that a later run had undone.
func TestRestoredWithMirror(t *testing.T) {
	beside(t)
	live(newHouse(t, true), 1, restorePoints(t)).restoredWithMirror()
}

func (h *history) restoredWithMirror() {
	h.Helper()
	t := h.T
	mirrorNow := h.mirrorBytes()
	for _, file := range h.copies {
		h.keeper.restore(file)
		h.setMirror(mirrorNow)
		third := h.third.copyState()
		h.serve()
		if h.parts.vigil.Safe() == nil {
			t.Fatalf("%s: no safe mode", filepath.Base(file))
		}
		first := h.windows()[len(h.windows())-1].ID
		fact := h.checkSafe(first)
		h.stop()
		h.must("recover")
		h.serve()
		if safe := h.parts.vigil.Safe(); safe != nil {
			t.Fatal(safe.Text())
		}
		if e, err := h.client.Entry(t.Context(), fact); err != nil || e.State != "applied" && e.State != "stuck" {
			t.Fatalf("the fact that was kept aside: %+v, %v", e, err)
		}
		seen := map[string]int64{}
		for _, w := range h.windows() {
			seen[w.ID] = w.Head.Number
		}
		for id, number := range h.records {
			if seen[id] < number {
				t.Errorf("%s: window %s had %d records in the mirror and has %d", filepath.Base(file), id, number, seen[id])
			}
		}
		h.rollAllBack()
		h.checkNotTwice()
		h.stop()
		if out := h.must("verify"); out != "OK" {
			t.Fatal(out)
		}
		h.third.restoreState(third)
		h.heads.last, h.heads.at = nil, "" // the next copy is judged by the mirror alone
	}
}

// Without a mirror the heads that a client kept tell; what is lost has to be accepted, and is not undone twice even so.
func TestRestoredWithoutMirror(t *testing.T) {
	beside(t)
	live(newHouse(t, false), 2, restorePoints(t)).restoredWithoutMirror()
}

func (h *history) restoredWithoutMirror() {
	h.Helper()
	t := h.T
	kept, newest := h.heads.last, h.heads.at
	for _, file := range h.copies {
		h.keeper.restore(file)
		h.heads.last, h.heads.at = kept, newest
		third := h.third.copyState()
		h.serve()
		first := h.windows()[len(h.windows())-1].ID // the client's first call: it carries the head
		if h.parts.vigil.Safe() == nil {
			t.Fatalf("%s: no safe mode", filepath.Base(file))
		}
		fact := h.checkSafe(first)
		h.stop()
		if status, _, talk := h.run("recover"); status != exitPerson || !strings.Contains(talk, "nothing was changed") {
			t.Fatalf("recovered what is lost: %d %s", status, talk)
		}
		if status, _, talk := h.run("recover", "--accept-loss"); status != 0 || !strings.Contains(talk, lossWarning) {
			t.Fatalf("recover ended with %d: %s", status, talk)
		}
		h.serve()
		if h.windows(); h.parts.vigil.Safe() != nil { // the same client, with the same heads
			t.Fatalf("back in safe mode: %s", h.parts.vigil.Safe().Text())
		}
		if e, err := h.client.Entry(t.Context(), fact); err != nil || e.State != "applied" && e.State != "stuck" {
			t.Fatalf("the fact that was kept aside: %+v, %v", e, err)
		}
		h.rollAllBack()
		h.checkNotTwice()
		h.stop()
		if out := h.must("verify"); out != "OK" {
			t.Fatal(out)
		}
		h.third.restoreState(third)
	}
}

// mirrorBytes returns what the mirror has, and setMirror puts it back, so that every copy meets the same one.
func (h *house) mirrorBytes() map[string][]byte {
	h.Helper()
	out := map[string][]byte{}
	list, err := os.ReadDir(h.mirror)
	if err != nil {
		h.Fatal(err)
	}
	for _, e := range list {
		f, err := os.Open(filepath.Join(h.mirror, e.Name()))
		if err != nil {
			h.Fatal(err)
		}
		raw, err := io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil {
			h.Fatal(err)
		}
		out[e.Name()] = raw
	}
	return out
}

func (h *house) setMirror(files map[string][]byte) {
	h.Helper()
	if err := os.RemoveAll(h.mirror); err != nil {
		h.Fatal(err)
	}
	if err := os.Mkdir(h.mirror, 0o700); err != nil {
		h.Fatal(err)
	}
	for name, raw := range files {
		if err := os.WriteFile(filepath.Join(h.mirror, name), raw, 0o600); err != nil {
			h.Fatal(err)
		}
	}
}

func (c *counting) copyState() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]string{}
	for k, v := range c.state {
		out[k] = v
	}
	return out
}

func (c *counting) restoreState(s map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.calls = s, nil
}
