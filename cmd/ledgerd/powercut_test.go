package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // looks at a ledger that nobody has open

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger/journal"
)

// powerRounds is how often the power is cut while the server records, and once more while it rolls back.
var powerRounds = flag.Int("power.rounds", powerDefault, "how often TestPowerCut cuts the power while the server records, and once more while it rolls back")

// A powered is the real ledgerd on a disk that can lose power.
type powered struct {
	*server
	dir     string // where the disk is mounted
	disk    *disk
	unmount func()
}

func newPowered(t *testing.T, binary, thirdURL string) *powered {
	t.Helper()
	p := &powered{dir: t.TempDir(), disk: newDisk()}
	p.unmount = p.disk.mount(t, p.dir)
	t.Cleanup(func() {
		if p.server != nil {
			p.kill()
		}
		p.unmount()
	})
	p.server = newServerIn(t, binary, thirdURL, p.dir, sideSystems(thirdURL))
	return p
}

// cut ends the server and cuts the power: what was not synced is gone, but for what coinFunc lets survive. The
// disk is there again then, and the server is not.
func (p *powered) cut(coinFunc func() bool) {
	p.t.Helper()
	p.kill()
	p.unmount()
	p.disk = p.disk.cut(coinFunc)
	p.unmount = p.disk.mount(p.t, p.dir)
}

// killAt makes the server die at the n-th write or fsync from now on, before it happens.
func (p *powered) killAt(n int) {
	process := p.cmd.Process
	p.disk.onStep(func(s step) syscall.Errno {
		if s.n < n {
			return 0
		}
		_ = process.Kill()
		return syscall.EIO // nobody is left to see it
	})
}

// The power is cut at random writes while eight clients record, and again while the window is rolled back. What was not
// synced is gone, or every other time survives by chance, page by page. Nothing that was acknowledged is lost, nothing is
// undone twice, the order is kept, every run finishes, and the database is sound.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	third := &counting{state: map[string]string{}}
	web := httptest.NewServer(third)
	t.Cleanup(web.Close)
	p := newPowered(t, buildServer(t), web.URL)
	rnd := rand.New(rand.NewPCG(20261127, 1))
	p.start()
	var windows []string
	acked, cutShort := 0, 0
	for round := range *powerRounds {
		var luck func() bool
		if round%2 == 1 {
			luck = coin(uint64(round))
		}
		w, err := p.client.OpenWindow(t.Context(), wire.WindowDraft{Name: fmt.Sprintf("round %d", round)})
		if err != nil {
			t.Fatal(err)
		}
		windows = append(windows, w.ID)
		p.parallel = 1 + rnd.IntN(len(crashSystems))
		p.killAt(1 + rnd.IntN(600))
		ids := p.record(third, w.ID, 8, 16)
		acked += len(ids)
		p.cut(luck)
		p.start()
		seqs := p.checkRecorded(w.ID, ids)
		cutShort += p.rollBackCut(w.ID, 1+rnd.IntN(40*len(seqs)+40), luck)
		p.checkUndone(w.ID, third.take(), seqs)
		p.checkJournal(w.ID)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	for _, id := range windows {
		p.checkJournal(id)
	}
	p.kill()
	checkSound(t, filepath.Join(p.dir, "ledger.db"))
	if acked < *powerRounds || cutShort < *powerRounds/2 {
		t.Errorf("%d records and %d rollbacks that were cut short: this proves nothing", acked, cutShort)
	}
	t.Logf("%d power cuts, %d of them in a rollback that was under way; %d acknowledged records, 0 lost", 2**powerRounds, cutShort, acked)
}

// The same loses acknowledged records where SQLite does not sync every commit: the test above can fail. No
// configuration leads there: the source is changed for this build alone.
func TestPowerCutBites(t *testing.T) {
	t.Parallel()
	third := &counting{state: map[string]string{}}
	web := httptest.NewServer(third)
	t.Cleanup(web.Close)
	p := newPowered(t, buildChanged(t, mutate(t, "../../ledger/sqlstore/sqlite.go", map[string]string{
		"synchronous(FULL)":    "synchronous(NORMAL)",
		`{"synchronous", "2",`: `{"synchronous", "1",`,
	})), web.URL)
	p.start()
	w, err := p.client.OpenWindow(t.Context(), wire.WindowDraft{Name: "normal"})
	if err != nil {
		t.Fatal(err)
	}
	p.killAt(400)
	ids := p.record(third, w.ID, 8, 64)
	if len(ids) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	p.cut(nil)
	p.start()
	lost := 0
	for id := range ids {
		_, err := p.client.Entry(t.Context(), id)
		switch {
		case client.CodeOf(err) == client.CodeNotFound:
			lost++
		case err != nil:
			t.Fatal(err)
		}
	}
	t.Logf("with synchronous=NORMAL %d of %d acknowledged records are lost", lost, len(ids))
	if lost == 0 {
		t.Error("none is lost: TestPowerCut would not notice that nothing is synced")
	}
}

// mutate returns the flag of go build that puts a changed copy in the place of a source file. Every old text must
// stand in it once.
func mutate(t *testing.T, file string, changes map[string]string) string {
	t.Helper()
	full, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(full)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for from, to := range changes {
		if strings.Count(text, from) != 1 {
			t.Fatalf("%q stands %d times in %s", from, strings.Count(text, from), file)
		}
		text = strings.Replace(text, from, to, 1)
	}
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{full: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{changed: []byte(text), overlay: list} {
		if err := os.WriteFile(name, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "-overlay=" + overlay
}

// record lets n clients record up to each entries, at as many systems as its runs undo at once, until the server does not answer them any more, and returns
// the ids that were acknowledged.
func (s *server) record(third *counting, window string, n, each int) map[string]bool {
	s.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	acked := map[string]bool{}
	for c := range n {
		wg.Go(func() {
			for i := range each {
				at := fmt.Sprintf("/%s/%d-%d", window, c, i)
				third.set(at, `{"v":"new"}`)
				draft := putDraft(at)
				draft.System = crashSystems[(c+i)%max(1, s.parallel)]
				e, err := s.client.Record(s.t.Context(), window, draft)
				if err != nil {
					return // whether this one is there, nobody knows
				}
				mu.Lock()
				acked[e.ID] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return acked
}

// rollBackCut starts a rollback, cuts the power at its n-th write or fsync, or when it is over, and waits for the
// end of the run that goes on after it. It returns 1 if the run was cut short.
func (p *powered) rollBackCut(window string, n int, luck func() bool) int {
	p.t.Helper()
	request := wire.RollbackRequest{Reason: "power cut", Parallel: p.parallel}
	if _, err := p.client.StartRollback(p.t.Context(), window, request, 0); err != nil {
		p.t.Fatal(err)
	}
	p.killAt(n)
	short := 1
	for {
		run, err := p.client.StartRollback(p.t.Context(), window, request, 10*time.Second)
		if err != nil {
			break // the power is gone
		}
		if run.State == "finished" {
			short = 0
			break
		}
	}
	p.cut(luck)
	p.start()
	p.finish(window)
	return short
}

// finish waits for the end of a window's rollback, and starts it if there is none.
func (s *server) finish(window string) *wire.Rollback {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	for {
		run, err := s.client.StartRollback(ctx, window, wire.RollbackRequest{Parallel: s.parallel}, 10*time.Second)
		if err != nil {
			s.t.Fatalf("the run did not finish: %v", err)
		}
		if run.State != "finished" {
			continue
		}
		if !run.Complete {
			s.t.Errorf("the run is not complete: %+v", run.Counts)
		}
		return run
	}
}

// checkJournal verifies a window's journal.
func (s *server) checkJournal(window string) {
	s.t.Helper()
	body, err := s.client.Journal(s.t.Context(), window)
	if err != nil {
		s.t.Fatal(err)
	}
	defer body.Close()
	rep, err := journal.Verify(body)
	if err != nil || !rep.OK || rep.WindowID != window {
		s.t.Errorf("the journal of %s: %+v, %v", window, rep, err)
	}
}

// checkSound lets SQLite check a database that nobody has open.
func checkSound(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check of %s: %s, %v", file, verdict, err)
	}
}
