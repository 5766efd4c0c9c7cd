package unleash

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sideledger/ledger/ledgertest"
	"sideledger/remediators/remediatortest"
)

// token is the admin token of the Unleash under test.
const token = "*:*.unleash-insecure-admin-token"

// server is the real Unleash that the tests of this package share, with its PostgreSQL. It starts with the
// first test that asks for it.
var server unleashServer

func TestMain(m *testing.M) {
	code := remediatortest.KeepProofs(m.Run())
	if err := server.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop Unleash:", err)
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // TestMain is a test's main
}

type unleashServer struct {
	once     sync.Once
	err      error
	url      string
	postgres ledgertest.Postgres
	process  *remediatortest.Process
	dir      string
}

// startUnleash returns the address of the shared Unleash.
func startUnleash(t *testing.T) string {
	t.Helper()
	server.once.Do(func() { server.err = server.start(t) })
	if server.err != nil {
		t.Fatalf("start Unleash: %v", server.err)
	}
	return server.url
}

func (s *unleashServer) start(t *testing.T) error {
	folder, err := install()
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "unleash-"); err != nil { //nolint:usetesting // it outlives the test that starts it
		return err
	}
	address := remediatortest.FreeAddress(t)
	host, port, _ := net.SplitHostPort(address)
	database, _, _ := strings.Cut(s.postgres.Lasting(t), "?")
	s.url = "http://" + address
	s.process, err = remediatortest.Launch(remediatortest.Program{
		Name: "node", Args: []string{filepath.Join(folder, "node_modules", "unleash-server", "dist", "server.js")}, Dir: s.dir,
		Env: []string{
			"NODE_ENV=production", "DATABASE_URL=" + database, "DATABASE_SSL=false", "HTTP_HOST=" + host, "HTTP_PORT=" + port,
			"LOG_LEVEL=error", "SEND_TELEMETRY=false", "CHECK_VERSION=false", "INIT_ADMIN_API_TOKENS=" + token,
		},
		ReadyFunc: remediatortest.Answers(s.url + "/health"), Within: 3 * time.Minute, // its migrations take seconds, more on a busy machine
	})
	return err
}

func (s *unleashServer) stop() error {
	if s.process != nil {
		s.process.Stop()
	}
	err := s.postgres.Stop()
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// install puts the Unleash of testdata/server/package-lock.json into the module's .cache, once for each lock
// file, and returns its folder. Its install scripts are not run.
func install() (string, error) {
	const from = "testdata/server"
	lockFile, err := os.ReadFile(filepath.Join(from, "package-lock.json"))
	if err != nil {
		return "", err
	}
	cache, err := filepath.Abs("../../.cache")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	sum := sha256.Sum256(lockFile)
	folder := filepath.Join(cache, "unleash-"+hex.EncodeToString(sum[:6]))
	release, err := lock(folder + ".lock")
	if err != nil {
		return "", err
	}
	defer release()
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	part := folder + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		if err := copyFile(filepath.Join(part, name), filepath.Join(from, name)); err != nil {
			return "", err
		}
	}
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = part
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return folder, os.Rename(part, folder)
}

// lock keeps two test runs from installing at once.
func lock(file string) (release func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
