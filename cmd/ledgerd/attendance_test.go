package main

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/sqlstore"
)

// A pair of servers of one ledger, through PgBouncer, where no lock of a session would hold.
func twoServers(t *testing.T) (a, b *server, url string) {
	t.Helper()
	web := httptest.NewServer(&counting{state: map[string]string{}})
	t.Cleanup(web.Close)
	at := site{t.TempDir(), postgres.Bouncer(t)(migratedPostgres(t))}
	a = newServerAt(t, buildServer(t), web.URL, at, "")
	b = newServerAt(t, buildServer(t), web.URL, at, "")
	a.start()
	b.start()
	return a, b, at.database
}

// storeAt opens a ledger beside its servers.
func storeAt(t *testing.T, url string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: url, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// `ledgerd recover` changes nothing while a replica runs, in safe mode or not. Those that died are waited for; one that was only
// stopped ends when it wakes up, since what it remembers is of the time before.
func TestRecoverBesideReplicas(t *testing.T) {
	t.Parallel()
	a, b, url := twoServers(t)
	store := storeAt(t, url)
	refused := func(when string) {
		t.Helper()
		if status, talk := a.ends("recover"); status != exitFailure || !strings.Contains(talk, "a server runs on this ledger") || !strings.Contains(talk, "Stop all of them") {
			t.Errorf("%s: recover beside replicas ended with %d: %s", when, status, talk)
		}
	}
	refused("no safe mode")
	if err := store.EnterSafe(t.Context(), ledger.Missing{From: "a test", Detail: "something"}); err != nil {
		t.Fatal(err)
	}
	refused("safe mode")
	if raw, err := store.Fact(t.Context(), "safe_mode"); err != nil || len(raw) == 0 {
		t.Errorf("a recovery that was refused ended the safe mode: %v", err)
	}
	a.kill()
	refused("one replica is left")
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if status, talk := a.ends("recover"); status != 0 || !strings.Contains(talk, "recovered") {
		t.Errorf("with no replica left recover ended with %d: %s", status, talk)
	}
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(patience, func() { _ = b.cmd.Process.Kill() }).Stop()
	var exit *exec.ExitError
	if err := b.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailure {
		t.Errorf("the replica that slept through the recovery ended with %v", err)
	}
	b.cmd = nil
	if raw, err := os.ReadFile(b.log.Name()); err != nil || !strings.Contains(string(raw), errOutdated.Error()) {
		t.Errorf("it does not say why: %v", err)
	}
	a.start() // as any other again
}

// No server starts, and no second recovery, while one is under way; a server that ends in order is not waited for.
func TestNoServerBesideARecovery(t *testing.T) {
	t.Parallel()
	a, b, url := twoServers(t)
	for _, s := range []*server{a, b} {
		if err := errors.Join(s.cmd.Process.Signal(syscall.SIGTERM), s.cmd.Wait()); err != nil {
			t.Fatal(err)
		}
		s.cmd = nil
	}
	store := storeAt(t, url)
	if list, err := store.Duties(t.Context(), dutyServing); err != nil || len(list) > 0 {
		t.Errorf("servers that have ended still count: %v %v", list, err)
	}
	if mine, err := store.TakeDuty(t.Context(), dutySole, "a test", time.Hour); err != nil || !mine {
		t.Fatal(mine, err)
	}
	for _, command := range []string{"serve", "recover"} {
		if status, talk := a.ends(command); status != exitFailure || !strings.Contains(talk, "is under way on this ledger") {
			t.Errorf("%s beside a recovery ended with %d: %s", command, status, talk)
		}
	}
	if err := store.DropDuty(t.Context(), dutySole, "a test"); err != nil {
		t.Fatal(err)
	}
	a.start()
}
