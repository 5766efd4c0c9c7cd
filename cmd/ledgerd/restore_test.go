package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// A witness is a counting third party that notes with every changing call what the machine showed at that moment.
type witness struct {
	counting

	machine func() string
	mu      sync.Mutex
	order   []string
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		w.mu.Lock()
		w.order = append(w.order, r.URL.Path+" "+w.machine())
		w.mu.Unlock()
	}
	w.counting.ServeHTTP(rw, r)
}

func (w *witness) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.order)
}

// example returns the path of a script in docs/examples.
func example(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "docs", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// addSystem adds a system with one command to the server's configuration.
func (s *server) addSystem(name, commands string) {
	s.t.Helper()
	f, err := os.OpenFile(s.config, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "  %s:\n    remediator: command\n    retry: {base: 10ms, cap: 200ms}\n    commands:\n%s", name, commands); err != nil {
		s.t.Fatal(err)
	}
}

// upgrade opens a window that names its restore and records what an upgrade does at the third party: two effects that have
// to go before the restore, and two that do not.
func (s *server) upgrade(third *witness, restore *wire.Restore) string {
	s.t.Helper()
	w, err := s.client.OpenWindow(s.t.Context(), wire.WindowDraft{Name: "4.2", Snapshot: "before 4.2", Restore: restore})
	if err != nil {
		s.t.Fatal(err)
	}
	for i, before := range []bool{false, true, false, true} {
		at := fmt.Sprintf("/%d", i+1)
		third.set(at, `{"v":"new"}`)
		d := putDraft(at)
		d.BeforeRestore = before
		if _, err := s.client.Record(s.t.Context(), w.ID, d); err != nil {
			s.t.Fatal(err)
		}
	}
	return w.ID
}

// startRestoring starts a rollback with the snapshot and does not wait for it.
func (s *server) startRestoring(window string) {
	s.t.Helper()
	r := wire.RollbackRequest{Reason: "4.2 is bad", RestoreSnapshot: true}
	if _, err := s.client.StartRollback(s.t.Context(), window, r, 0); err != nil {
		s.t.Fatal(err)
	}
}

// restored waits for the end of the rollback and checks it; it returns the restore's entry.
func (s *server) restored(window string, third *witness, want []string) wire.Entry {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	var run *wire.Rollback
	for run == nil || !run.Over() {
		var err error
		if run, err = s.client.StartRollback(ctx, window, wire.RollbackRequest{RestoreSnapshot: true}, 20*time.Second); err != nil {
			s.t.Fatalf("the run did not finish: %v", err)
		}
	}
	if d := cmp.Diff(want, third.seen()); d != "" {
		s.t.Errorf("what the machine showed at each undo (-want +got):\n%s", d)
	}
	w, err := s.client.Window(ctx, window)
	if err != nil {
		s.t.Fatal(err)
	}
	if !run.Complete || !run.RestoreSnapshot || w.State != "rolled_back" || w.Counts.Undone+w.Counts.AlreadyUndone != 5 {
		s.t.Errorf("run %+v, window %s %+v", run, w.State, w.Counts)
	}
	for e, err := range s.client.AllEntries(ctx, window, client.EntryQuery{Desc: true}) {
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Restore {
			return e
		}
	}
	s.t.Fatal("the restore is no entry of the window")
	return wire.Entry{}
}

// A gatedCopy is a cp, the first in the PATH, that stops in the middle while its gate stands.
type gatedCopy struct {
	*testing.T
	gate           string
	copies, holder string // files: one line for each cp that began; the process id of the last one
}

func newGatedCopy(t *testing.T) *gatedCopy {
	t.Helper()
	dir := t.TempDir()
	g := &gatedCopy{T: t, gate: filepath.Join(dir, "gate"), copies: filepath.Join(dir, "copies"), holder: filepath.Join(dir, "holder")}
	cp, err := exec.LookPath("cp")
	if err != nil {
		t.Fatal(err)
	}
	slow := fmt.Sprintf("#!/bin/sh\necho x >>%[1]s\necho $$ >%[2]s\nmkdir \"$3\"\n[ ! -p %[3]s ] || read gate <%[3]s\nrmdir \"$3\"\nexec %[4]s \"$@\"\n",
		g.copies, g.holder, g.gate, cp)
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "cp"), []byte(slow), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	if err := syscall.Mkfifo(g.gate, 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// inTheMiddle returns once a restore copies; what it returns lets it go on.
func (g *gatedCopy) inTheMiddle() (goOn func()) {
	g.Helper()
	f, err := os.OpenFile(g.gate, os.O_WRONLY, 0) // opens when the other side reads
	if err != nil {
		g.Fatal(err)
	}
	if err := os.Remove(g.gate); err != nil {
		g.Fatal(err)
	}
	return func() { _ = f.Close() }
}

// kill ends the restore that copies, with all that it started, as a power cut does.
func (g *gatedCopy) kill() {
	g.Helper()
	raw, err := os.ReadFile(g.holder)
	if err != nil {
		g.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		g.Fatal(err)
	}
	group, err := syscall.Getpgid(pid)
	if err != nil || group == syscall.Getpgrp() {
		g.Fatalf("the restore's process group is %d: %v", group, err)
	}
	if err := syscall.Kill(-group, syscall.SIGKILL); err != nil {
		g.Fatal(err)
	}
}

// began counts the copies that began.
func (g *gatedCopy) began() int {
	g.Helper()
	raw, err := os.ReadFile(g.copies)
	if err != nil {
		g.Fatal(err)
	}
	return strings.Count(string(raw), "x")
}

// awaitWaiter returns once somebody waits for the lock in a file.
func awaitWaiter(t *testing.T, lock string) {
	t.Helper()
	info, err := os.Stat(lock)
	if err != nil {
		t.Fatal(err)
	}
	inode := fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino)
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(locks)) {
			if strings.Contains(line, "-> FLOCK") && strings.Contains(line, inode) {
				return
			}
		}
		if time.Now().After(limit) {
			t.Fatal("the next look does not wait for the restore that is still at work")
		}
	}
}

// A tree is a directory that is upgraded, its copy, and a cp that stops in the middle.
type tree struct {
	*testing.T
	*gatedCopy
	server *server
	third  *witness
	window string
	live   string
}

func newTree(t *testing.T) *tree {
	t.Helper()
	dir := t.TempDir()
	w := &tree{T: t, live: filepath.Join(dir, "app")}
	w.write("version", "4.1")
	w.write("lib/deep/data", strings.Repeat("data ", 1000))
	if err := os.Symlink("version", filepath.Join(w.live, "link")); err != nil {
		t.Fatal(err)
	}
	backup, script := filepath.Join(dir, "copy"), example(t, "restore-tree")
	w.sh("cp", "-a", w.live, backup)
	var read struct{ Now json.RawMessage }
	if err := json.Unmarshal(w.sh(script, "read", w.live, backup), &read); err != nil {
		t.Fatal(err)
	}
	w.write("version", "4.2")
	w.write("lib/new", "made by the upgrade")
	w.gatedCopy = newGatedCopy(t)
	w.third = &witness{counting: counting{state: map[string]string{}}, machine: func() string { return w.read("version") }}
	web := httptest.NewServer(w.third)
	t.Cleanup(web.Close)
	w.server = newServer(t, buildServer(t), web.URL)
	w.server.addSystem("vm", fmt.Sprintf("      tree: {argv: [%[1]s, undo, %[2]s, %[3]s], read: [%[1]s, read, %[2]s, %[3]s], timeout: 2h, repeatable: true}\n", script, w.live, backup))
	w.server.start()
	w.window = w.server.upgrade(w.third, &wire.Restore{
		System: "vm", Kind: "tree", Resource: json.RawMessage(`{"tree":"app"}`), Before: read.Now, Undo: json.RawMessage(`{"command":"tree"}`),
	})
	return w
}

func (w *tree) write(name, text string) {
	w.Helper()
	path := filepath.Join(w.live, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w *tree) read(name string) string {
	raw, err := os.ReadFile(filepath.Join(w.live, name))
	if err != nil {
		return "nothing"
	}
	return string(raw)
}

func (w *tree) sh(argv ...string) []byte {
	w.Helper()
	return sh(w.T, nil, argv...)
}

// sh runs a program to its end and returns its stdout.
func sh(t *testing.T, attr *syscall.SysProcAttr, argv ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir, cmd.Stderr, cmd.SysProcAttr = "/", &stderr, attr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, stderr.String())
	}
	return out
}

var treeOrder = []string{"/4 4.2", "/2 4.2", "/3 4.1", "/1 4.1"}

func (w *tree) check(runs int) {
	w.Helper()
	e := w.server.restored(w.window, w.third, treeOrder)
	if n := w.began(); n != runs || e.State != "undone" {
		w.Errorf("the tree was copied %d times, want %d; the restore is %s %s (%s)", n, runs, e.State, e.Outcome, e.Detail)
	}
	if w.read("version") != "4.1" || w.read("link") != "4.1" || w.read("lib/new") != "nothing" {
		w.Errorf("version %s, lib/new %s", w.read("version"), w.read("lib/new"))
	}
}

// ledgerd and the restore that it runs are killed in the middle, as a power cut does: the next one looks, runs the restore
// again, and only then undoes the rest.
func TestRestoreTreeKilledInTheMiddle(t *testing.T) {
	w := newTree(t)
	w.server.startRestoring(w.window)
	w.inTheMiddle()
	w.server.kill()
	w.kill()
	if d := cmp.Diff(treeOrder[:2], w.third.seen()); d != "" || w.read("version") != "4.2" {
		t.Errorf("before the restore (-want +got):\n%s\nthe machine shows %s", d, w.read("version"))
	}
	w.server.start()
	w.check(2)
}

// ledgerd alone is killed, and the restore outlives it: the next ledgerd waits for its end, looks, and does not run it twice.
func TestRestoreTreeOutlivesLedgerd(t *testing.T) {
	w := newTree(t)
	w.server.startRestoring(w.window)
	goOn := w.inTheMiddle()
	w.server.kill()
	w.server.start()
	awaitWaiter(t, w.live+".lock")
	goOn()
	w.check(1)
}
