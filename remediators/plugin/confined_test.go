package plugin

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

// report makes a plugin tell what an expression, or the error of it, comes to.
const report = `
def attempt(f):
    try:
        return repr(f())
    except BaseException as e:
        return type(e).__name__
say(id=call["id"], error={"message": attempt(lambda: %s)})`

// attempted is what a confined plugin says of an expression in Python.
func attempted(t *testing.T, expression string) string {
	t.Helper()
	s := newStand(t, hostile(t, "import socket, ctypes, signal", fmt.Sprintf(report, expression)), nil)
	_, err := s.Look(t.Context(), s.entry)
	return strings.TrimPrefix(saidBy(err), "answered: the plugin says: ")
}

// A plugin reaches nothing but its own memory, the system's libraries and the server.
func TestConfined(t *testing.T) {
	t.Setenv("CANARY", "canary-in-the-environment")
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(kept, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	third := remediatortest.NewThird(t)
	port := third.URL[strings.LastIndex(third.URL, ":")+1:]
	for name, c := range map[string]struct{ expression, want string }{
		"environment":          {"dict(os.environ)", "{'LC_CTYPE': 'C.UTF-8'}"}, // Python sets that one itself
		"arguments":            {"sys.argv[1:]", "[]"},
		"a file":               {"open(" + py(kept) + ").read()", "PermissionError"},
		"the server's secrets": {"open('/proc/%d/environ' % os.getppid()).read()", "PermissionError"},
		"its own environment":  {"open('/proc/self/environ').read()", "PermissionError"},
		"passwords":            {"open('/etc/passwd').read()", "PermissionError"},
		"a new file":           {"open('/tmp/plugin-was-here', 'w')", "PermissionError"},
		"a file removed":       {"os.remove(" + py(kept) + ")", "PermissionError"},
		"a file's mode":        {"os.chmod(" + py(kept) + ", 0o777)", "PermissionError"},
		"the network":          {"socket.create_connection(('127.0.0.1', " + port + "))", "PermissionError"},
		"a datagram":           {"socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "PermissionError"},
		"a local socket":       {"socket.socket(socket.AF_UNIX)", "PermissionError"},
		"a child":              {"os.fork()", "PermissionError"},
		"a program":            {"__import__('subprocess').run(['/bin/true'])", "PermissionError"},
		"a spawned program":    {"os.posix_spawn('/bin/true', ['true'], {})", "PermissionError"},
		"a session":            {"os.setsid()", "PermissionError"},
		"the server killed":    {"os.kill(os.getppid(), 0)", "PermissionError"},
		"shared memory":        {"__import__('mmap').mmap(-1, 4096)", "OSError"},
		"a file in memory":     {"os.memfd_create('x')", "PermissionError"},
		"a larger limit":       {"__import__('resource').setrlimit(__import__('resource').RLIMIT_DATA, (1 << 40, 1 << 40))", "ValueError"},
		"too much memory":      {"len(bytearray(1 << 30))", "MemoryError"},
		"its own copy changed": {"os.pwrite(3, b'x', 0)", "PermissionError"},
		"threads":              {"__import__('threading').Thread(target=lambda: None).start()", "None"},
		"the clock":            {"__import__('time').time() > 0", "True"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := attempted(t, c.expression); got != c.want {
				t.Errorf("%s: %s, want %s", c.expression, got, c.want)
			}
		})
	}
	if reqs, _ := third.Calls(); len(reqs) > 0 {
		t.Error("a plugin reached the third party by itself")
	}
}

func py(s string) string { return "'" + s + "'" }

// Where nothing confines a plugin, it is run only if the operator has said so; what it leaves behind in its group dies
// with it.
func TestLeftBehind(t *testing.T) {
	dir := t.TempDir()
	note := filepath.Join(dir, "pid")
	s := newStand(t, hostile(t, "", `
pid = os.fork()
if pid == 0:
    while True: __import__("time").sleep(60)
open(`+py(note)+`, "w").write(str(pid))
sys.exit()`), func(c *remediators.SystemConfig) { c.Plugin.Unconfined = true })
	if _, err := s.Look(t.Context(), s.entry); !strings.Contains(saidBy(err), "broke down") {
		t.Fatal(saidBy(err))
	}
	pid, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // the kernel takes its time over what was killed
		state, err := os.ReadFile("/proc/" + string(pid) + "/stat") // it may wait to be reaped by whoever adopts it
		if err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("the child is there: %s", state)
		}
	}
}

// The processes of a plugin end with the registry, and with the configuration that named them.
func TestProcessesEnd(t *testing.T) {
	path := hostile(t, "", `say(id=call["id"], error={"message": str(os.getpid())})`)
	s := newStand(t, path, nil)
	_, err := s.Look(t.Context(), s.entry)
	pid := strings.TrimPrefix(saidBy(err), "answered: the plugin says: ")
	if _, err := os.Stat("/proc/" + pid); err != nil {
		t.Fatalf("it is not kept: %v", err)
	}
	_, err = s.Look(t.Context(), s.entry)
	if again := strings.TrimPrefix(saidBy(err), "answered: the plugin says: "); again != pid {
		t.Errorf("the second call was served by %s, want %s", again, pid)
	}
	if _, err := s.registry.Update(map[string]remediators.SystemConfig{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + pid); err == nil {
		t.Error("it runs on after its system is gone")
	}
}

// Where it cannot be confined it is not run.
func TestNotConfinedNotRun(t *testing.T) {
	s := newStand(t, hostile(t, "", `say(id=call["id"], error={"message": "it runs"})`), func(c *remediators.SystemConfig) {
		c.Plugin.Folders = []string{"/etc/passwd/none"} // the kernel cannot open it as a folder
	})
	if _, err := s.Look(t.Context(), s.entry); !strings.Contains(saidBy(err), "it cannot be confined here") {
		t.Error(saidBy(err))
	}
}
