package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sideledger/api/wire"
)

// A cluster is a PostgreSQL of the test's own, on a free loopback port, run as an ordinary user.
type cluster struct {
	*testing.T
	bin, dir, data, backup string
	port                   int
	as                     *syscall.SysProcAttr
}

// clusterQuery says which release the cluster's data are of.
const clusterQuery = "select json_build_object('release', version, 'orders', (select count(*) from orders)) from release"

// postgresBin returns the folder of PostgreSQL's programs.
func postgresBin(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		t.Fatal("PostgreSQL's server is not installed (Debian's package is postgresql)")
	}
	return found[len(found)-1]
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "cluster-") //nolint:usetesting // t.TempDir stands in a folder that is root's alone
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{T: t, bin: postgresBin(t), dir: dir, data: filepath.Join(dir, "data"), backup: filepath.Join(dir, "backup")}
	c.as = c.unprivileged()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c.run("initdb", "-D", c.data, "-U", "ledger", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	conf, err := os.OpenFile(filepath.Join(c.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(conf, "port = %d\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\nmax_connections = 10\nshared_buffers = '16MB'\n", c.port)
	if err := firstOf(err, conf.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	c.run("pg_ctl", "-D", c.data, "-l", c.data+".log", "-w", "start")
	return c
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// unprivileged makes programs run as the user postgres where the test runs as root.
func (c *cluster) unprivileged() *syscall.SysProcAttr {
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{}
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		c.Fatal(err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := firstOf(err1, err2, os.Chown(c.dir, int(uid), int(gid))); err != nil {
		c.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func (c *cluster) run(name string, args ...string) string {
	c.Helper()
	return strings.TrimSpace(string(sh(c.T, c.as, append([]string{filepath.Join(c.bin, name)}, args...)...)))
}

func (c *cluster) query(sql string) string {
	return c.run("psql", "-XAtq", "-h", "127.0.0.1", "-p", strconv.Itoa(c.port), "-U", "ledger", "-d", "postgres", "-c", sql)
}

// stop ends the server, whichever data it runs on, by the process id that it wrote, and removes everything.
func (c *cluster) stop() {
	raw, err := os.ReadFile(filepath.Join(c.data, "postmaster.pid"))
	if err == nil {
		first, _, _ := strings.Cut(string(raw), "\n")
		if pid, err := strconv.Atoi(first); err == nil {
			_ = syscall.Kill(pid, syscall.SIGQUIT)
		}
	}
	if err := os.RemoveAll(c.dir); err != nil {
		c.Log(err)
	}
}

// An upgradedCluster is a cluster whose upgrade failed, with a real ledgerd that can restore it from its base backup.
type upgradedCluster struct {
	*cluster
	server *server
	third  *witness
	window string
}

func newUpgradedCluster(t *testing.T) *upgradedCluster {
	t.Helper()
	c := newCluster(t)
	c.query("create table release (version text); insert into release values ('4.1'); create table orders (id int); insert into orders select generate_series(1, 1000)")
	c.run("pg_basebackup", "-h", "127.0.0.1", "-p", strconv.Itoa(c.port), "-U", "ledger", "-D", c.backup, "-c", "fast", "--no-sync")
	before := json.RawMessage(strings.ReplaceAll(c.query(clusterQuery), " ", ""))
	c.query("update release set version = '4.2'; delete from orders where id > 10; create table migrated (id int)")

	t.Setenv("PGHOST", "127.0.0.1")
	t.Setenv("PGPORT", strconv.Itoa(c.port))
	t.Setenv("PGUSER", "ledger")
	t.Setenv("PGDATABASE", "postgres")
	t.Setenv("RESTORE_QUERY", clusterQuery)
	third := &witness{counting: counting{state: map[string]string{}}, machine: func() string { return c.query("select version from release") }}
	web := httptest.NewServer(third)
	t.Cleanup(web.Close)
	s := newServer(t, buildServer(t), web.URL)
	script := example(t, "restore-postgres")
	s.addSystem("pg", fmt.Sprintf("      cluster: {argv: [%[1]s, undo, %[2]s, %[3]s, %[4]s], read: [%[1]s, read, %[2]s, %[3]s, %[4]s], "+
		"env: [PGHOST, PGPORT, PGUSER, PGDATABASE, RESTORE_QUERY], timeout: 6h, memory_mib: 8192, repeatable: true}\n", script, c.data, c.backup, c.bin))
	s.start()
	return &upgradedCluster{cluster: c, server: s, third: third, window: s.upgrade(third, &wire.Restore{
		System: "pg", Kind: "postgres.cluster", Resource: json.RawMessage(`{"cluster":"main"}`), Before: before, Undo: json.RawMessage(`{"command":"cluster"}`),
	})}
}

// check waits for the end of the rollback, and fails unless everything is as before the upgrade.
func (c *upgradedCluster) check(attempts int) {
	c.Helper()
	e := c.server.restored(c.window, c.third, []string{"/4 4.2", "/2 4.2", "/3 4.1", "/1 4.1"})
	if e.State != "undone" || e.Outcome != "undone" || len(e.Attempts) != attempts {
		c.Errorf("the restore is %s %s (%s), %d attempts", e.State, e.Outcome, e.Detail, len(e.Attempts))
	}
	if got := c.query("select count(*) from orders") + " " + c.query("select count(*) from pg_tables where tablename = 'migrated'"); got != "1000 0" {
		c.Errorf("orders, and tables of the upgrade: %s", got)
	}
	for i := range 4 {
		if at := fmt.Sprintf("/%d", i+1); c.third.state[at] != `{"v":"old"}` {
			c.Errorf("%s is %s", at, c.third.state[at])
		}
	}
}

// A PostgreSQL cluster is upgraded, which fails; one rollback takes back what has to go first, restores the cluster from
// its base backup, reads that back by a query, and takes back the rest.
func TestRestorePostgres(t *testing.T) {
	c := newUpgradedCluster(t)
	c.server.startRestoring(c.window)
	c.check(1)
}

// ledgerd and the restore are killed in the middle, as a power cut does, while the cluster is down and half of it is copied:
// the next one finds a cluster that does not answer, restores it again from the beginning, and only then undoes the rest.
func TestRestorePostgresKilledInTheMiddle(t *testing.T) {
	g := newGatedCopy(t)
	c := newUpgradedCluster(t)
	c.server.startRestoring(c.window)
	g.inTheMiddle()
	c.server.kill()
	g.kill()
	if _, err := os.Stat(filepath.Join(c.data, "postmaster.pid")); err == nil {
		t.Error("the cluster still runs: the test proves nothing about one that is down")
	}
	if got := c.third.seen(); len(got) != 2 {
		t.Errorf("before the restore: %v", got)
	}
	c.server.start()
	c.check(2)
	if n := g.began(); n != 2 {
		t.Errorf("the backup was copied %d times", n)
	}
}

// ledgerd alone is killed, and the restore outlives it: the next one waits for its end and does not restore again.
func TestRestorePostgresOutlivesLedgerd(t *testing.T) {
	g := newGatedCopy(t)
	c := newUpgradedCluster(t)
	c.server.startRestoring(c.window)
	goOn := g.inTheMiddle()
	c.server.kill()
	c.server.start()
	awaitWaiter(t, c.data+".lock")
	goOn()
	c.check(1)
	if n := g.began(); n != 1 {
		t.Errorf("the backup was copied %d times", n)
	}
}
