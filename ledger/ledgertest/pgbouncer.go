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
	for range 5 { // somebody may take the free port first
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		if err = p.bounce(t, port); err == nil {
			return func(database string) string {
				return strings.Replace(database, fmt.Sprintf(":%d/", p.port), fmt.Sprintf(":%d/", port), 1)
			}
		}
		t.Logf("pgbouncer: %v", err)
	}
	t.Fatal("PgBouncer (Debian's package is pgbouncer) does not start")
	return nil
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
`

// bounce starts one and waits until it listens.
func (p *Postgres) bounce(t testing.TB, port int) error {
	dir, err := os.MkdirTemp("", "pgbouncer-") //nolint:usetesting // t.TempDir stands in a folder that is root's alone
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cred, err := unprivileged(dir)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, fmt.Appendf(nil, bouncerConfig, p.port, port), 0o644); err != nil {
		return err
	}
	cmd := exec.Command("/usr/sbin/pgbouncer", file)
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
