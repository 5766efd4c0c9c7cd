package ledgertest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Pair is a PostgreSQL with a standby. Both stay at their ports, whichever is the primary.
type Pair struct {
	t       testing.TB
	primary *Postgres
	standby *Postgres
	address string
	bouncer *bouncer // nil: the address names both servers
}

// StartPair starts one, with a database; both end with the test. synchronous: a commit waits for the standby.
func StartPair(t testing.TB, synchronous bool) *Pair {
	t.Helper()
	p := &Pair{t: t, primary: new(Postgres), standby: new(Postgres)}
	t.Cleanup(func() {
		if err := errors.Join(p.primary.Stop(), p.standby.Stop()); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	p.address = p.primary.Database(t)
	if synchronous {
		p.SQL("ALTER SYSTEM SET synchronous_standby_names = 'walreceiver'")
		p.SQL("SELECT pg_reload_conf()")
	}
	var err error
	if p.standby.port, err = freePort(); err != nil {
		t.Fatal(err)
	}
	p.address = strings.Replace(p.address, fmt.Sprintf(":%d/", p.primary.port), fmt.Sprintf(":%d,127.0.0.1:%d/", p.primary.port, p.standby.port), 1)
	p.Rejoin()
	return p
}

// URL returns the address of the database, with both servers in it, or that through PgBouncer.
func (p *Pair) URL() string { return p.address }

// Bounce puts a PgBouncer in transaction mode before the pair. It leads to the primary, and after a promotion to the next one.
func (p *Pair) Bounce() {
	p.t.Helper()
	p.bouncer = startBouncer(p.t, p.primary.port)
	both := fmt.Sprintf(":%d,127.0.0.1:%d/", p.primary.port, p.standby.port)
	p.address = strings.Replace(p.address, both, fmt.Sprintf(":%d/", p.bouncer.port), 1)
}

// SQL runs a statement at the primary and returns what it shows.
func (p *Pair) SQL(statement string) string {
	p.t.Helper()
	out, err := p.primary.output("psql", "-XAtq", "-h", "127.0.0.1", "-p", strconv.Itoa(p.primary.port), "-U", "ledger", "-d", "ledger1", "-c", statement)
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// Rejoin makes the server that is not there, or was killed, a standby of the primary, from a copy of it, and waits until it follows.
func (p *Pair) Rejoin() {
	p.t.Helper()
	s := p.standby
	err := s.makeDir()
	data := filepath.Join(s.dir, "data")
	if err == nil {
		err = os.RemoveAll(data)
	}
	if err == nil {
		err = s.run("pg_basebackup", "-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(p.primary.port), "-U", "ledger", "-R", "-X", "stream", "-c", "fast", "--no-sync")
	}
	if err == nil {
		err = s.serve(data)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.Followed()
}

// Followed waits until the standby has what is committed now.
func (p *Pair) Followed() {
	p.t.Helper()
	place := p.SQL("SELECT pg_current_wal_flush_lsn()")
	p.Await("SELECT COUNT(*) FROM pg_stat_replication WHERE application_name = 'walreceiver' AND state = 'streaming' AND replay_lsn >= '"+place+"'", "1")
}

// Synced waits until the standby is a synchronous one.
func (p *Pair) Synced() {
	p.t.Helper()
	p.Await("SELECT sync_state FROM pg_stat_replication WHERE application_name = 'walreceiver'", "sync")
}

// Await asks the primary until the answer is the one that is wanted.
func (p *Pair) Await(question, want string) {
	p.t.Helper()
	got := ""
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		if got = p.SQL(question); got == want {
			return
		}
	}
	p.t.Fatalf("%s: %s, want %s", question, got, want)
}

// Hold stops what sends the log to the standby: what is committed from here on is at the primary
// alone, and a commit that has to wait for the standby does.
func (p *Pair) Hold() { p.signal(syscall.SIGSTOP) }

// Release ends a Hold.
func (p *Pair) Release() { p.signal(syscall.SIGCONT) }

func (p *Pair) signal(sig syscall.Signal) {
	p.t.Helper()
	pid, err := strconv.Atoi(p.SQL("SELECT pid FROM pg_stat_replication"))
	if err == nil {
		err = syscall.Kill(pid, sig)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// Lose kills all processes of the primary at once, as the loss of its machine does.
func (p *Pair) Lose() {
	p.t.Helper()
	if err := p.primary.kill(); err != nil {
		p.t.Fatal(err)
	}
}

// Promote makes the standby the primary. The other one, which was lost, may rejoin it.
func (p *Pair) Promote() {
	p.t.Helper()
	err := p.standby.run("pg_ctl", "promote", "-w", "-D", filepath.Join(p.standby.dir, "data"))
	p.primary, p.standby = p.standby, p.primary
	if err == nil && p.bouncer != nil {
		err = p.bouncer.lead(p.primary.port)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// kill ends every process of the server with SIGKILL. The first one is stopped meanwhile, so that it starts no others.
func (p *Postgres) kill() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err := errors.Join(p.signalChildren(syscall.SIGKILL), p.cmd.Process.Kill())
	<-p.done
	p.cmd = nil
	if p.admin != nil {
		err = errors.Join(err, p.admin.close())
		p.admin = nil
	}
	return err
}

// Freeze stops every process of the server: it takes connections and questions, and says nothing.
func (p *Postgres) Freeze(t testing.TB) {
	t.Helper()
	if err := errors.Join(p.cmd.Process.Signal(syscall.SIGSTOP), p.signalChildren(syscall.SIGSTOP)); err != nil {
		t.Fatal(err)
	}
}

// Thaw ends a Freeze.
func (p *Postgres) Thaw(t testing.TB) {
	t.Helper()
	if err := errors.Join(p.signalChildren(syscall.SIGCONT), p.cmd.Process.Signal(syscall.SIGCONT)); err != nil {
		t.Fatal(err)
	}
}

func (p *Postgres) signalChildren(sig syscall.Signal) error {
	children, err := childrenOf(p.cmd.Process.Pid)
	errs := []error{err}
	for _, c := range children {
		if err := syscall.Kill(c, sig); !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// childrenOf returns the processes that a process has started.
func childrenOf(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	var out []int
	for _, file := range stats {
		raw, readErr := os.ReadFile(file)
		if readErr != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(raw), ") ") // behind the name: the state, the parent
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		child, convErr := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		err = errors.Join(err, convErr)
		out = append(out, child)
	}
	return out, err
}
