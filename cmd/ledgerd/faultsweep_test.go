package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// A fault is what strace does to a call of the system: at the n-th of a thread, and with a plus at all that follow.
type fault struct {
	calls string // of the system
	what  string // as strace's inject wants it
	plus  string
	every func(n int) int // the next n
}

func one(n int) int   { return n + 1 }
func wider(n int) int { return n + 1 + n/3 }

// faults are swept from n = 1 until one does not fire any more: syncs one by one, writes (a few hundred) wider and wider.
var faults = []fault{
	{"fsync,fdatasync", "signal=KILL", "", one},
	{"pwrite64", "signal=KILL", "", wider},
	{"fsync,fdatasync", "error=EIO", "", one},
	{"pwrite64", "error=EIO", "", wider},
	{"pwrite64", "error=ENOSPC", "", wider},
	{"fsync,fdatasync", "error=ENOSPC", "", one},
	{"fsync,fdatasync", "error=EIO", "+", func(n int) int { return 3 * n }},
	{"pwrite64", "error=EIO", "+", func(n int) int { return 4 * n }},
	{"pwrite64", "error=ENOSPC", "+", func(n int) int { return 4 * n }},
}

// mostFaults bounds one sweep.
const mostFaults = 14

// ledgerd is killed, or gets an error, at the n-th fsync or write of its ledger, for n from 1 until it fires no more. Whatever
// came of it: a record is acknowledged, or answered 503 or 507, or not at all; after a restart none that was acknowledged is
// lost, one that is sent again is there once, numbers have no gaps, the journal and the database are sound, and a rollback
// runs to its end.
func TestFaultAtEach(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("this test needs strace: %v", err)
	}
	binary := buildServer(t)
	work := make(chan fault, len(faults))
	for _, f := range faults {
		work <- f
	}
	close(work)
	var wg sync.WaitGroup
	var mu sync.Mutex
	fired := 0
	for range 2 { // one waits for the disk while the other computes
		third := &counting{state: map[string]string{}}
		web := httptest.NewServer(third)
		t.Cleanup(web.Close)
		s := newSwept(t, binary, web.URL, third)
		wg.Go(func() {
			for f := range work {
				n := s.sweep(f)
				t.Logf("%s %s%s: %d points", f.calls, f.what, f.plus, n)
				mu.Lock()
				fired += n
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d faults fired, 0 acknowledged records lost", fired)
	if fired < 50 {
		t.Errorf("%d faults fired: this proves too little", fired)
	}
}

// A swept is a server that begins every time with the same ledger: one window with two entries, in a WAL that
// nobody has checkpointed.
type swept struct {
	*server
	third    *counting
	window   string
	first    []wire.EntryDraft
	template map[string][]byte // files by name
}

func newSwept(t *testing.T, binary, thirdURL string, third *counting) *swept {
	t.Helper()
	dir := t.TempDir()
	s := &swept{third: third, template: map[string][]byte{}}
	s.server = newServerIn(t, binary, thirdURL, dir, sideSystems(thirdURL)+"reserve: 2MiB\n")
	s.start()
	w, err := s.client.OpenWindow(t.Context(), wire.WindowDraft{Name: "swept"})
	if err != nil {
		t.Fatal(err)
	}
	s.window = w.ID
	for i := range 2 {
		d := putDraft(fmt.Sprintf("/first/%d", i))
		if _, err := s.client.Record(t.Context(), w.ID, d); err != nil {
			t.Fatal(err)
		}
		s.first = append(s.first, d)
	}
	s.kill()
	for _, name := range []string{"ledger.db", "ledger.db-wal", "ledger.db.note-key", "ledger.db.secrets-key"} {
		if s.template[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.dir = dir
	return s
}

// reset puts the first ledger back.
func (s *swept) reset() {
	s.t.Helper()
	old, err := filepath.Glob(filepath.Join(s.dir, "ledger.db*"))
	for _, name := range old {
		err = errors.Join(err, os.Remove(name))
	}
	for name, raw := range s.template {
		err = errors.Join(err, os.WriteFile(filepath.Join(s.dir, name), raw, 0o600))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// sweep makes f happen at every n and returns how often it did.
func (s *swept) sweep(f fault) (fired int) {
	for n := 1; fired < mostFaults; n = f.every(n) {
		if !s.at(f, n) {
			return fired
		}
		fired++
		if s.t.Failed() {
			s.t.Errorf("%s %s at %d%s", f.calls, f.what, n, f.plus)
			return fired
		}
	}
	return fired
}

// at records with f at n, starts the server anew and looks. It reports whether f fired.
func (s *swept) at(f fault, n int) bool {
	s.reset()
	drafts := make([]wire.EntryDraft, 8)
	for i := range drafts {
		drafts[i] = putDraft(fmt.Sprintf("/%s/%d", strconv.Itoa(n), i))
		drafts[i].System = crashSystems[i%len(crashSystems)]
	}
	for _, d := range append(drafts, s.first...) {
		s.third.set(pathOf(d), `{"v":"new"}`)
	}
	acked := map[string]bool{s.first[0].ID: true, s.first[1].ID: true}
	tr := s.trace(fmt.Sprintf("inject=%s:%s:when=%d%s", f.calls, f.what, n, f.plus), f.calls)
	for i := 0; i < len(drafts) && tr.ready; i++ {
		if !s.put(drafts[i], acked) {
			tr.awaitEnd()
			break
		}
	}
	tr.end()
	s.start()
	s.checkRecorded(s.window, maps.Clone(acked))
	for _, d := range drafts {
		if _, err := s.client.Record(s.t.Context(), s.window, d); err != nil {
			s.t.Errorf("sent again after a restart: %v", err)
		}
		acked[d.ID] = true
	}
	seqs := s.checkRecorded(s.window, acked)
	if len(seqs) != len(drafts)+len(s.first) {
		s.t.Errorf("%d entries, want %d", len(seqs), len(drafts)+len(s.first))
	}
	s.parallel = 1 + n%len(crashSystems)
	s.finish(s.window)
	s.checkUndone(s.window, s.third.take(), seqs)
	s.checkJournal(s.window)
	s.kill()
	checkSound(s.t, filepath.Join(s.dir, "ledger.db"))
	return tr.fired()
}

// put records a draft, asking again a few times, and notes whether it was acknowledged. False: nobody answers any more.
func (s *swept) put(d wire.EntryDraft, acked map[string]bool) bool {
	s.t.Helper()
	for range 3 {
		_, err := s.client.Record(s.t.Context(), s.window, d)
		var e *client.Error
		switch {
		case err == nil:
			acked[d.ID] = true
			return true
		case !errors.As(err, &e):
			return false
		case e.Status != http.StatusServiceUnavailable && e.Status != http.StatusInsufficientStorage:
			s.t.Errorf("a failed write was answered %v", err)
			return true
		}
	}
	return true
}

func pathOf(d wire.EntryDraft) string {
	return strings.TrimSuffix(strings.TrimPrefix(string(d.Resource), `{"path":"`), `"}`)
}

// A tracing is a server that runs under strace.
type tracing struct {
	t     *testing.T
	cmd   *exec.Cmd     // strace
	ended chan struct{} // closed when both have ended
	log   string
	ready bool

	killed, died bool // by end, or before it
}

// trace starts the server with one injection into calls on its ledger, and waits until it is ready or has ended.
func (s *swept) trace(inject, calls string) *tracing {
	s.t.Helper()
	tr := &tracing{t: s.t, ended: make(chan struct{}), log: filepath.Join(s.dir, "strace")}
	args := []string{"-f", "-qq", "-o", tr.log, "-e", "signal=none", "-e", "trace=" + calls, "-e", inject}
	if strings.Contains(inject, ":error=") {
		args = append(args, "--seccomp-bpf") // quicker, and counts wrong where a signal is injected
	}
	for _, suffix := range []string{"", "-wal", ".reserve"} {
		args = append(args, "-P", filepath.Join(s.dir, "ledger.db"+suffix))
	}
	tr.cmd = exec.Command("strace", append(args, s.binary, "serve", "--config", s.config)...)
	// strace counts for each thread: few threads, and no signals among them.
	tr.cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	tr.cmd.Dir, tr.cmd.Stdout, tr.cmd.Stderr = s.dir, s.log, s.log
	if err := tr.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = tr.cmd.Wait()
		close(tr.ended)
	}()
	s.t.Cleanup(tr.end)
	limit := time.Now().Add(30 * time.Second)
	for s.client.Ready(s.t.Context()) != nil {
		select {
		case <-tr.ended:
			return tr
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(limit) {
			s.t.Error("the server neither became ready nor ended")
			return tr
		}
	}
	tr.ready = true
	return tr
}

// awaitEnd waits for a server that does not answer any more.
func (tr *tracing) awaitEnd() {
	tr.t.Helper()
	select {
	case <-tr.ended:
	case <-time.After(30 * time.Second):
		tr.t.Error("a server that lives gave no answer")
	}
}

// end kills the server, so that strace ends too, and waits for both.
func (tr *tracing) end() {
	select {
	case <-tr.ended:
		tr.died = !tr.killed
		return
	default:
	}
	tr.killed = true
	pid := tr.cmd.Process.Pid
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for child := range strings.FieldsSeq(string(raw)) {
		if n, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	<-tr.ended
}

// fired reports whether the injection happened at all: the server died before it was ended, or a call got an error.
func (tr *tracing) fired() bool {
	raw, err := os.ReadFile(tr.log)
	if err != nil {
		tr.t.Error(err)
	}
	return tr.died || bytes.Contains(raw, []byte("INJECTED"))
}
