package ledgertest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// StartPostgres starts a PostgreSQL for this test and its subtests, stops it when they are over, and returns
// the address of an empty database in it. It fails the test where PostgreSQL is not installed. Tests that
// share one server keep a [Postgres] and stop it in TestMain.
func StartPostgres(t testing.TB) string {
	t.Helper()
	p := new(Postgres)
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	return p.Database(t)
}

// A Postgres is one server on a free loopback port, with its data in a folder of its own, in memory where that can be, and
// without fsync. The zero value is ready: the server starts with the first database asked for. Whoever has one
// calls Stop at the end.
type Postgres struct {
	Sync bool // with fsync and on a disk, as a server has it that is not for tests

	once sync.Once
	err  error
	bin  string // folder of initdb, postgres and createdb
	dir  string
	port int
	cred *syscall.SysProcAttr // PostgreSQL does not run as root
	cmd  *exec.Cmd
	done chan error // gets the server's end

	mu       sync.Mutex
	n        int    // databases so far
	template string // the database that Copy copies; empty: not made yet
	admin    *session
}

// Database returns the address of a new, empty database, which goes with the test. It fails the test if there is no server
// to be had.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	name := p.create(t, "template0")
	p.dropAfter(t, name)
	return p.address(name)
}

// Lasting is Database for one that outlives the test, as several share it: it goes with the server.
func (p *Postgres) Lasting(t testing.TB) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address(p.create(t, "template0"))
}

// A Lifetime is what a database goes with: a test, or one example of a test.
type Lifetime interface {
	Helper()
	Error(args ...any)
	Fatal(args ...any)
	Cleanup(fn func())
}

// Copy returns the address of a new database that is a copy of one which prepareFunc has filled, once for all: migrating takes
// longer than most tests. prepareFunc leaves no connection open.
func (p *Postgres) Copy(t Lifetime, prepareFunc func(url string) error) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.template == "" {
		name := p.create(t, "template0")
		if err := prepareFunc(p.address(name)); err != nil {
			t.Fatal(err)
		}
		p.template = name
	}
	name := p.create(t, p.template)
	p.dropAfter(t, name)
	return p.address(name)
}

// Clone returns the address of a copy of a database of this server, to which nobody is connected.
func (p *Postgres) Clone(t Lifetime, address string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	name, _, _ := strings.Cut(address[strings.LastIndexByte(address, '/')+1:], "?")
	name = p.create(t, name)
	p.dropAfter(t, name)
	return p.address(name)
}

// dropAfter lets a database go with the test, whoever is connected to it still.
func (p *Postgres) dropAfter(t Lifetime, name string) {
	t.Helper()
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.admin == nil {
			return // the server went before
		}
		if _, err := p.admin.sql("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
}

// create makes a database and returns its name. p.mu is held.
func (p *Postgres) create(t Lifetime, template string) string {
	t.Helper()
	p.once.Do(func() { p.err = p.start() })
	if p.err != nil {
		t.Fatal("start PostgreSQL: ", p.err)
	}
	p.n++
	name := fmt.Sprintf("ledger%d", p.n)
	if _, err := p.admin.sql("CREATE DATABASE " + name + " TEMPLATE " + template); err != nil {
		t.Fatal(err)
	}
	return name
}

func (p *Postgres) address(name string) string {
	return fmt.Sprintf("postgres://ledger@127.0.0.1:%d/%s?sslmode=disable", p.port, name)
}

// Stop ends the server and removes its data. It does nothing if there is no server.
func (p *Postgres) Stop() error {
	var errs []error
	if p.admin != nil {
		errs = append(errs, p.admin.close())
		p.admin = nil
	}
	if p.cmd != nil {
		errs = append(errs, p.cmd.Process.Signal(syscall.SIGQUIT)) // at once: the data goes too
		<-p.done
		p.cmd = nil
	}
	if p.dir != "" {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	return errors.Join(errs...)
}

// makeDir finds the programs and makes the server's folder, once.
func (p *Postgres) makeDir() (err error) {
	if p.dir != "" {
		return nil
	}
	if p.bin, err = findPostgres(); err != nil {
		return err
	}
	parent := ""
	if info, err := os.Stat(memory); err == nil && info.IsDir() && !p.Sync {
		parent = memory
	}
	if p.dir, err = os.MkdirTemp(parent, "postgres-"); err != nil {
		return err
	}
	p.cred, err = unprivileged(p.dir)
	return err
}

func (p *Postgres) start() (err error) {
	if err := p.makeDir(); err != nil {
		return err
	}
	data := filepath.Join(p.dir, "data")
	if err := p.run("initdb", "-D", data, "-U", "ledger", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"); err != nil {
		return err
	}
	// Somebody may take the free port first: then the server says so and another one is tried.
	for range 5 {
		if p.port, err = freePort(); err != nil {
			return err
		}
		if err = p.serve(data); err == nil {
			p.admin, err = p.openSession()
			return err
		}
	}
	return err
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (p *Postgres) serve(data string) error {
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), "-D", data, "-p", strconv.Itoa(p.port), "-k", p.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync="+onOff(p.Sync), "-c", "full_page_writes="+onOff(p.Sync), "-c", "max_connections=200")
	cmd.Dir, cmd.SysProcAttr = p.dir, p.cred
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ready, done := make(chan bool, 1), make(chan error, 1)
	var said strings.Builder
	go func() {
		in := bufio.NewScanner(out)
		for in.Scan() {
			if strings.Contains(in.Text(), "database system is ready to accept") {
				ready <- true
				_, _ = io.Copy(io.Discard, out)
				break
			}
			said.WriteString(in.Text() + "\n")
		}
		done <- cmd.Wait()
	}()
	select {
	case <-ready:
		p.cmd, p.done = cmd, done
		return nil
	case err := <-done:
		return fmt.Errorf("postgres ended at its start: %w\n%s", err, said.String())
	case <-time.After(time.Minute):
		return errors.Join(errors.New("postgres is not ready after a minute"), cmd.Process.Kill())
	}
}

func (p *Postgres) run(name string, args ...string) error {
	_, err := p.output(name, args...)
	return err
}

func (p *Postgres) output(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred.Credential}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return out, nil
}

// findPostgres looks where Debian keeps the servers, newest first, and then in the PATH.
func findPostgres() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	if len(dirs) > 0 {
		return filepath.Dir(dirs[0]), nil
	}
	found, err := exec.LookPath("postgres")
	if err != nil {
		return "", errors.New("PostgreSQL's server is not installed (Debian's package is postgresql)")
	}
	return filepath.Dir(found), nil
}

func version(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

// unprivileged gives dir to the user postgres, and makes programs run as that user, where the test runs as
// root. The server ends with the test, however that ends.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{}
	EndWithParent(attr, syscall.SIGQUIT)
	if os.Getuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, int(uid), int(gid))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
