package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sideledger/api/wire"
)

// The server is killed in the middle of a run and comes back: the command says so, keeps trying, and
// ends with the run.
func TestFollowsThroughARestart(t *testing.T) {
	f := newFake(t)
	w := f.windowWith(3)
	f.plays("undone 3 undone", "hold", "undone 2 undone", "undone 1 undone")
	p := begin(t, f, nil, "--window", w)
	p.err.await(t, "[1/3] undone edge caddy.route  entry 3")
	f.down()
	p.err.await(t, "connection lost")
	f.letGo() // it goes on while nobody follows
	f.up()
	p.ends(t, exitDone)
	for _, want := range []string{"connected again", "[3/3] undone edge caddy.route  entry 1"} {
		if !strings.Contains(p.err.String(), want) {
			t.Errorf("stderr lacks %q:\n%s", want, p.err)
		}
	}
	if n := strings.Count(p.err.String(), "entry 3"); n != 1 {
		t.Errorf("entry 3 is shown %d times:\n%s", n, p.err)
	}
}

// Ctrl-C detaches: 130, the run goes on, and the message says how to follow again.
func TestInterruptDetaches(t *testing.T) {
	f := newFake(t)
	w := f.windowWith(2)
	f.plays("undone 2 undone", "wait system_away edge", "hold", "undone 1 undone")
	p := begin(t, f, nil, "--window", w)
	p.err.await(t, "waiting: a system is away (edge)")
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.ends(t, exitInterrupted)
	if !strings.Contains(p.err.String(), "rollback status --window "+w+" --follow") {
		t.Errorf("it does not say how to follow again:\n%s", p.err)
	}
	for _, c := range f.calls() {
		if strings.Contains(c, "/cancel") || strings.Contains(c, "/pause") {
			t.Errorf("it touched the run: %s", c)
		}
	}
	// A second one joins; its time is up while the run still goes: 8. So does --detach.
	begin(t, f, nil, "--window", w, "--timeout", "50ms").ends(t, exitRunning)
	begin(t, f, nil, "--window", w, "--detach").ends(t, exitRunning)
	again := begin(t, f, nil, "status", "--window", w, "--follow")
	again.err.await(t, "waiting: a system is away")
	f.letGo()
	again.ends(t, exitDone)
}

// A cancelled run is over, and the window that it left sealed has nothing more to follow: 5, at once.
func TestFollowsACancelledRun(t *testing.T) {
	f := newFake(t)
	w := f.windowWith(3)
	f.plays("undone 3 undone", "cancel")
	begin(t, f, nil, "--window", w).ends(t, exitFailed)
	again := begin(t, f, nil, "status", "--window", w, "--follow")
	again.ends(t, exitFailed)
	for _, want := range []string{": cancelled", "1 undone · 2 remaining", "2 remaining; some undo failed, is blocked, or was not begun"} {
		if !strings.Contains(again.out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, again.out)
		}
	}
}

// jsonl follows with one event a line and the run as its last line.
func TestFollowAsLines(t *testing.T) {
	f := newFake(t)
	w := f.windowWith(1)
	f.plays("undone 1 undone")
	p := begin(t, f, nil, "--window", w, "-o", "jsonl")
	p.ends(t, exitDone)
	lines := strings.Split(strings.TrimSpace(p.out.String()), "\n")
	var last wire.RollbackReport
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.State != "finished" {
		t.Errorf("last line %s: %v", lines[len(lines)-1], err)
	}
	for _, l := range lines[:len(lines)-1] {
		var e wire.Event
		if err := json.Unmarshal([]byte(l), &e); err != nil || e.ID == 0 {
			t.Errorf("line %s: %v", l, err)
		}
	}
	if len(lines) < 3 {
		t.Errorf("%d lines:\n%s", len(lines), p.out)
	}
}

// The end of the stream is the end, even where no record of it came.
func TestStreamEndsWithoutARecord(t *testing.T) {
	f := newFake(t)
	w := f.windowWith(1)
	f.plays("undone 1 undone")
	f.mu.Lock()
	f.mute = true
	f.mu.Unlock()
	p := begin(t, f, nil, "--window", w)
	p.ends(t, exitDone)
	if !strings.Contains(p.out.String(), "Done") {
		t.Errorf("stdout:\n%s", p.out)
	}
}

// recordArgs are the flags of an entry whose command follows.
func recordArgs(w string, more ...string) []string {
	return append([]string{
		"record", "--window", w, "--system", "s", "--kind", "k", "--action", "create", "--before", "null", "--resource", "{}",
	}, more...)
}

// The intent is renewed at half of its time while the command runs, and no longer.
func TestRecordRenews(t *testing.T) {
	f := newFake(t)
	w := f.windowWith(0)
	fifo := filepath.Join(t.TempDir(), "go")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p := begin(t, f, nil, recordArgs(w, "--perform-within", "40ms", "--", "cat", fifo)...)
	f.await(`^POST /v1/entries/.*/renew`)
	if calls := strings.Join(f.calls(), "\n"); strings.Contains(calls, "/applied") {
		t.Errorf("reported before it ended:\n%s", calls)
	}
	if err := os.WriteFile(fifo, []byte("end"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.ends(t, 0)
	f.await(`/applied`)
}

// Signals reach the command, and its end by one is 128 and the number. The command is one process that
// takes every signal at once: a shell would wait for its child first, and may then think better of it.
func TestRecordPassesSignalsOn(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "never")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for sig, want := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130, syscall.SIGHUP: 129, syscall.SIGUSR1: 138} {
		f := newFake(t)
		w := f.windowWith(0)
		p := begin(t, f, nil, recordArgs(w, "--", "sh", "-c", `echo up; exec cat "$0"`, fifo)...)
		p.out.await(t, "up")
		if err := p.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		p.ends(t, want)
		if calls := strings.Join(f.calls(), "\n"); strings.Contains(calls, "/applied") || strings.Contains(calls, "/void") {
			t.Errorf("%v: nobody knows, yet it reported:\n%s", sig, calls)
		}
	}
}

// The intent is answered before the command starts.
func TestRecordIntentFirst(t *testing.T) {
	f := newFake(t)
	w := f.windowWith(0)
	mark := filepath.Join(t.TempDir(), "ran")
	f.mu.Lock() // the server holds its answer back
	p := begin(t, f, nil, recordArgs(w, "--", "touch", mark)...)
	_, early := os.Stat(mark)
	f.mu.Unlock()
	p.ends(t, 0)
	if early == nil {
		t.Error("the command ran before its intent was answered")
	}
	if calls := f.calls(); !strings.Contains(calls[0], "/entries") || !strings.Contains(calls[len(calls)-1], "/applied") {
		t.Errorf("calls %q", calls)
	}
}

// An answer that is lost after the effect is asked for again under the same key: one entry.
func TestRecordSurvivesLostAnswers(t *testing.T) {
	f := newFake(t)
	w := f.windowWith(0)
	f.rule("POST .*/entries$", rule{after: true, times: 1})
	f.rule("POST .*/applied$", rule{after: true, times: 1})
	begin(t, f, nil, recordArgs(w, "--", "true")...).ends(t, 0)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.entries) != 1 || f.entries[0].State != "applied" {
		t.Errorf("%d entries: %+v", len(f.entries), f.entries)
	}
}

// Killed at any moment, a spool keeps every line that was acknowledged: a printed id is in it.
func TestSpoolSurvivesKill(t *testing.T) {
	f := newFake(t)
	w := f.windowWith(0)
	f.down()
	state := t.TempDir()
	file := filepath.Join(state, "rollback", "spool", w+".jsonl")
	acknowledged := map[string]bool{}
	for round := range 12 {
		p := begin(t, f, []string{"XDG_STATE_HOME=" + state}, recordArgs(w, "--spool")...)
		if round%3 != 0 { // killed somewhere on its way, as soon as the spool is touched
			for p.ProcessState == nil && syscall.Kill(p.Process.Pid, 0) == nil {
				if s := p.err.String(); strings.Contains(s, "in the spool") || p.out.String() != "" {
					break
				}
				if info, err := os.Stat(file); err == nil && info.Size() > int64(len(acknowledged))*100 {
					break
				}
			}
			_ = p.Process.Kill()
		}
		_ = p.Wait()
		if id := strings.TrimSpace(p.out.String()); id != "" {
			acknowledged[id] = true
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := wire.ReadSpool(bytes.NewReader(raw))
	kept := map[string]bool{}
	for _, c := range got.Calls {
		kept[entryOf(c)] = true
	}
	for id := range acknowledged {
		if !kept[id] {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	if len(acknowledged) < 4 {
		t.Errorf("only %d rounds were not killed", len(acknowledged))
	}
}

// What a torn line leaves behind does not stand behind the next one.
func TestSpoolAfterATornLine(t *testing.T) {
	var said bytes.Buffer
	s := spool{app: newApp(func(string) string { return "" }, nil, nil, &said), dir: t.TempDir()}
	if err := os.WriteFile(s.file("w"), []byte(`{"at":"`+strings.Repeat("x", 9000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.append(t.Context(), "w", wire.SpoolCall{Method: "POST", Path: "/v1/windows", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(s.file("w"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := wire.ReadSpool(f); err != nil || len(got.Calls) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if !strings.Contains(said.String(), "not whole") {
		t.Errorf("said %q", said.String())
	}
}

// Commands that spool at once do not lose each other's lines.
func TestSpoolTogether(t *testing.T) {
	a := newApp(func(string) string { return "" }, nil, new(bytes.Buffer), new(bytes.Buffer))
	dir := t.TempDir()
	const writers, each = 4, 20
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			s := spool{app: a, dir: dir}
			for j := range each {
				c := wire.SpoolCall{Method: "POST", Path: "/v1/windows", Key: strconv.Itoa(i*each + j)}
				if err := s.append(t.Context(), "w", c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	raw, err := os.ReadFile(filepath.Join(dir, "w.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.ReadSpool(bytes.NewReader(raw))
	if err != nil || len(got.Calls) != writers*each {
		t.Errorf("%d calls, %v", len(got.Calls), err)
	}
}
