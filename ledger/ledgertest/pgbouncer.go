package ledgertest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Bouncer starts a PgBouncer in transaction mode before this server, and returns what turns the address of a database into
// the one through it. It ends with the test. It fails the test where PgBouncer is not installed.
func (p *Postgres) Bouncer(t testing.TB) (through func(database string) string) {
	t.Helper()
	p.Database(t) // the server runs
	b := startBouncer(t, p.port)
	return func(database string) string {
		return strings.Replace(database, fmt.Sprintf(":%d/", p.port), fmt.Sprintf(":%d/", b.port), 1)
	}
}

// A bouncer is a PgBouncer that runs.
type bouncer struct {
	port int
	file string // its configuration
	cmd  *exec.Cmd
}

// startBouncer starts one that leads to a port.
func startBouncer(t testing.TB, to int) *bouncer {
	t.Helper()
	for range 5 { // somebody may take the free port first
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		b := &bouncer{port: port}
		if err = b.start(t, to); err == nil {
			return b
		}
		t.Logf("pgbouncer: %v", err)
	}
	t.Fatal("PgBouncer (Debian's package is pgbouncer) does not start")
	return nil
}

// lead lets it lead to another port, as who runs it does after a failover: another configuration, and a RELOAD.
func (b *bouncer) lead(to int) error {
	return errors.Join(b.configure(to), b.cmd.Process.Signal(syscall.SIGHUP))
}

func (b *bouncer) configure(to int) error {
	return os.WriteFile(b.file, fmt.Appendf(nil, bouncerConfig, to, b.port), 0o644)
}

const bouncerConfig = `[databases]
* = host=127.0.0.1 port=%d user=ledger
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
server_login_retry = 1
`

// start starts it and waits until it listens.
func (b *bouncer) start(t testing.TB, to int) error {
	dir, err := os.MkdirTemp("", "pgbouncer-") //nolint:usetesting // t.TempDir stands in a folder that is root's alone
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cred, err := unprivileged(dir)
	if err != nil {
		return err
	}
	b.file = filepath.Join(dir, "pgbouncer.ini")
	if err := b.configure(to); err != nil {
		return err
	}
	cmd := exec.Command("/usr/sbin/pgbouncer", b.file)
	b.cmd = cmd
	cmd.Dir, cmd.SysProcAttr = dir, cred
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ready, done := make(chan bool, 1), make(chan error, 1)
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			if strings.Contains(in.Text(), "process up") {
				ready <- true
			}
		}
		done <- cmd.Wait()
	}()
	select {
	case <-ready:
		t.Cleanup(func() {
			_ = cmd.Process.Signal(syscall.SIGQUIT) // at once
			<-done
		})
		return nil
	case err := <-done:
		return fmt.Errorf("it ended at its start: %w", err)
	case <-time.After(time.Minute):
		return errors.Join(errors.New("it is not ready after a minute"), cmd.Process.Kill())
	}
}
