package main

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// An fsync that fails leaves pages that are neither on the disk nor to be written any more: a later fsync succeeds and
// does not bring them there ("fsyncgate"). Whatever the server does then, going on or dying and starting again, what it
// acknowledges afterwards survives a power cut, and a record that was answered "unknown" is taken once when it is sent again.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	third := &counting{state: map[string]string{}}
	web := httptest.NewServer(third)
	t.Cleanup(web.Close)
	binary := buildServer(t)
	for _, dies := range []bool{false, true} {
		t.Run(fmt.Sprintf("and the server dies %t", dies), func(t *testing.T) {
			p := newPowered(t, binary, web.URL)
			p.start()
			for n := 1; n <= 6; n++ {
				p.failSync(third, n, dies)
			}
			p.kill()
			checkSound(t, filepath.Join(p.dir, "ledger.db"))
		})
	}
}

// failSync makes the n-th fsync of the WAL from now on fail, and the one after it too when n is even.
func (p *powered) failSync(third *counting, n int, dies bool) {
	t := p.t
	t.Helper()
	w, err := p.client.OpenWindow(t.Context(), wire.WindowDraft{Name: fmt.Sprint(n)})
	if err != nil {
		t.Fatal(err)
	}
	process := p.cmd.Process
	arm := func() {
		syncs := 0
		p.disk.onStep(func(s step) syscall.Errno {
			if !s.sync || !strings.HasSuffix(s.name, "-wal") {
				return 0
			}
			if syncs++; syncs != n && (syncs != n+1 || n%2 == 1) {
				return 0
			}
			if dies {
				_ = process.Kill()
			}
			return syscall.EIO
		})
	}
	acked := map[string]bool{}
	var unknown []wire.EntryDraft
	records := 0
	put := func(draft wire.EntryDraft) {
		e, err := p.client.Record(t.Context(), w.ID, draft)
		switch {
		case err == nil:
			acked[e.ID] = true
		case client.Unreachable(err):
			unknown = append(unknown, draft)
		default:
			t.Errorf("a failed fsync was answered %v", err)
		}
	}
	for ; records < 8 || len(unknown) == 0 && records < 80; records++ { // the fsync may be that of a signed head: once more then
		if records%8 == 0 {
			arm()
		}
		at := fmt.Sprintf("/%s/%d", w.ID, records)
		third.set(at, `{"v":"new"}`)
		put(putDraft(at))
	}
	if len(unknown) == 0 {
		t.Error("no record was answered as unknown")
	}
	if dies {
		p.kill()
		p.disk.onStep(nil)
		p.start()
	}
	again := unknown
	unknown = nil
	for _, draft := range again {
		put(draft)
	}
	if len(unknown) > 0 {
		t.Errorf("%d records failed once more", len(unknown))
	}
	p.cut(nil)
	p.start()
	seqs := p.checkRecorded(w.ID, maps.Clone(acked))
	if len(seqs) != records {
		t.Errorf("%d records, %d entries", records, len(seqs))
	}
	p.finish(w.ID)
	p.checkUndone(w.ID, third.take(), seqs)
	p.checkJournal(w.ID)
}
