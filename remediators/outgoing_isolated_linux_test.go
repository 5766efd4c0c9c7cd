package remediators

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// isolated says that this process has a network of its own, in which every address of the world is this
// machine: a connection to any address at all reaches a judge.
const isolated = "SIDELEDGER_TEST_ISOLATED"

// inIsolation runs one test again in such a network, with these variables in its environment, and returns
// what it printed. Where the system gives no namespaces it returns false: the caller then judges by
// loopback alone.
func inIsolation(t *testing.T, test string, env ...string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c",
		"ip link set lo up && ip route add local 0.0.0.0/0 dev lo && ip -6 route add local ::/0 dev lo || exit 99; exec \"$0\" \"$@\"",
		os.Args[0], "-test.run", "^"+test+"$", "-test.v", "-test.count", "1", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), isolated+"=1", "GODEBUG=netdns=cgo")
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() == 99) {
		t.Logf("no network namespace here, so loopback alone is judged: %v", err)
		return false
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+test) {
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if _, said, ok := strings.Cut(line, "figure: "); ok {
			t.Log(strings.TrimSpace(said))
		}
	}
	return true
}
