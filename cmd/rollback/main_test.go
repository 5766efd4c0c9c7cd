package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sideledger/api/wire"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rollback": main})
}

// TestScripts runs testdata/*.txtar, each against a server of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			f := newFake(t)
			env.Values["fake"] = f
			env.Setenv("ROLLBACK_URL", f.url)
			env.Setenv("ROLLBACK_TOKEN", "t0ken")
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("SPOOL", filepath.Join(env.WorkDir, "state", "rollback", "spool"))
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptExits, "fake": scriptFake, "setout": scriptSetout,
		},
	})
}

// exits STATUS COMMAND...: the command ends with exactly this status.
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := err.(*exec.ExitError) //nolint:errorlint // as Exec returns it
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// setout NAME: puts what the last command printed into a variable.
func scriptSetout(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// fake WORD ...: tells the server what to do.
func scriptFake(ts *testscript.TestScript, neg bool, args []string) {
	f := ts.Value("fake").(*fake)
	switch args[0] {
	case "down":
		f.down()
	case "up":
		f.up()
	case "calls": // PATTERN COUNT: so many calls matched
		scriptCalls(ts, f, args[1], args[2])
	case "forget":
		f.mu.Lock()
		f.log = nil
		f.mu.Unlock()
	case "script":
		f.mu.Lock()
		f.script = strings.Split(strings.TrimSpace(ts.ReadFile(args[1])), "\n")
		f.mu.Unlock()
	case "go":
		f.letGo()
	case "plan":
		f.mu.Lock()
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &f.plan))
		f.mu.Unlock()
	case "verify":
		f.mu.Lock()
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &f.verify))
		f.mu.Unlock()
	case "journal":
		f.mu.Lock()
		f.journal = ts.ReadFile(args[1])
		f.mu.Unlock()
	case "surprise": // FILE: this fact comes just before the next list of stuck entries is answered
		f.mu.Lock()
		f.surprise = ts.ReadFile(args[1])
		f.mu.Unlock()
	case "moved": // third parties show another state than what got stuck
		f.mu.Lock()
		f.moved = true
		f.mu.Unlock()
	case "resolve":
		f.mu.Lock()
		f.resolve = args[1]
		f.mu.Unlock()
	case "answer": // METHOD-AND-PATH-PATTERN STATUS [TIMES]; status 0 cuts the connection
		status, err := strconv.Atoi(args[2])
		ts.Check(err)
		r := rule{status: status}
		if len(args) > 3 {
			r.times, err = strconv.Atoi(args[3])
			ts.Check(err)
		}
		f.rule(args[1], r)
	case "safe": // METHOD-AND-PATH-PATTERN: refused, as a ledger in safe mode does
		f.rule(args[1], rule{status: 503, kind: "safe"})
	case "obey": // forgets all rules
		f.mu.Lock()
		f.rules = nil
		f.mu.Unlock()
	case "state": // WINDOW STATE
		f.mu.Lock()
		f.window(args[1]).State = args[2]
		f.mu.Unlock()
	case "entry": // ENTRY STATE: the entry is in this state
		f.mu.Lock()
		e := f.entry(args[1])
		f.mu.Unlock()
		if (e != nil && e.State == args[2]) == neg {
			ts.Fatalf("entry is %+v", e)
		}
	default:
		ts.Fatalf("fake %s?", args[0])
	}
}

func scriptCalls(ts *testscript.TestScript, f *fake, pattern, count string) {
	n := 0
	for _, c := range f.calls() {
		if strings.Contains(c, pattern) {
			n++
		}
	}
	if strconv.Itoa(n) != count {
		ts.Fatalf("%d calls have %q, want %s:\n%s", n, pattern, count, strings.Join(f.calls(), "\n"))
	}
}

// A proc is one running `rollback`.
type proc struct {
	*exec.Cmd
	out, err *watched
}

// A watched buffer tells when something was written to it.
type watched struct {
	buf  bytes.Buffer
	tell chan struct{}
	lock chan struct{}
}

func newWatched() *watched {
	w := &watched{tell: make(chan struct{}, 1), lock: make(chan struct{}, 1)}
	w.lock <- struct{}{}
	return w
}

func (w *watched) Write(p []byte) (int, error) {
	<-w.lock
	defer func() { w.lock <- struct{}{} }()
	select {
	case w.tell <- struct{}{}:
	default:
	}
	return w.buf.Write(p)
}

func (w *watched) String() string {
	<-w.lock
	defer func() { w.lock <- struct{}{} }()
	return w.buf.String()
}

// await waits until the text was written.
func (w *watched) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !strings.Contains(w.String(), text) {
		select {
		case <-w.tell:
		case <-deadline:
			t.Fatalf("%q was not written:\n%s", text, w)
		}
	}
}

// begin starts the command as a process of its own. env is added to what it needs for f.
func begin(t *testing.T, f *fake, env []string, args ...string) *proc {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &proc{exec.Command(self, args...), newWatched(), newWatched()}
	p.Args[0] = "rollback"
	p.Stdout, p.Stderr = p.out, p.err
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // whoever runs the tests on a terminal is no part of them
	p.Env = append(os.Environ(), "ROLLBACK_TOKEN=t0ken", "XDG_STATE_HOME="+t.TempDir(), "ROLLBACK_WINDOW=")
	if f != nil {
		p.Env = append(p.Env, "ROLLBACK_URL="+f.url)
	}
	p.Env = append(p.Env, env...)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

// ends waits for the process and checks its status.
func (p *proc) ends(t *testing.T, want int) {
	t.Helper()
	_ = p.Wait()
	if got := p.ProcessState.ExitCode(); got != want {
		t.Fatalf("exit status %d (%s), want %d\nstdout:\n%s\nstderr:\n%s", got, p.ProcessState, want, p.out, p.err)
	}
}

// windowWith makes a window with n applied entries.
func (f *fake) windowWith(n int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, v := f.openWindow(`{"name":"edge 4.2"}`)
	w := v.(*wire.Window)
	for i := 1; i <= n; i++ {
		id, _ := newID()
		f.record(w.ID, `{"id":"`+id+`","system":"edge","kind":"caddy.route","action":"create","before":null,"state":"applied","resource":{"path":"/r/`+strconv.Itoa(i)+`"}}`)
	}
	return w.ID
}
