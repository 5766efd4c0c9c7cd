package sqlstore

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// endless is the caller's own patience, in which everything here has to end.
func endless(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// What was asked of a server that has frozen ends without an answer, be it more than there are connections; what is asked after that ends
// at once; and all is as before when the server goes on, with no connection more.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	var server ledgertest.Postgres
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := openBare(t, Config{URL: server.Database(t)})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := openWindowIn(t, s)
	ctx := endless(t)
	server.Freeze(t)
	began := time.Now()
	ends := make(chan error)
	const questions = 40
	for range questions {
		go func() {
			_, err := s.FindWindow(ctx, id)
			ends <- err
		}()
	}
	for range questions {
		if err := <-ends; ledger.CodeOf(err) != ledger.CodeUnavailable || ctx.Err() != nil {
			t.Errorf("asked of a frozen server: %v", err)
		}
	}
	t.Logf("given up after %v", time.Since(began).Round(time.Millisecond))
	if err := s.Update(ctx, id, func(ledger.Tx) error { return nil }); ledger.CodeOf(err) != ledger.CodeUnavailable || ctx.Err() != nil {
		t.Errorf("a change at a frozen server: %v", err)
	}
	server.Thaw(t)
	for errors.Is(s.write.PingContext(ctx), errSilent) {
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := s.FindWindow(ctx, id); err != nil {
		t.Errorf("asked of a server that goes on: %v", err)
	}
	if n, most := s.write.Stats().OpenConnections, s.write.Stats().MaxOpenConnections; n > most {
		t.Errorf("%d connections, %d at most", n, most)
	}
	for n := questions; n > s.write.Stats().OpenConnections; { // that the server has
		if err := s.read.QueryRowContext(ctx, "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'sideledger'").Scan(&n); err != nil {
			t.Fatalf("%d connections are left at the server: %v", n, err)
		}
	}
}

// A server that is only slow is waited for: here a lock, for longer than a frozen one is given.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	s := postgresStore(t)
	id := openWindowIn(t, s)
	tx, err := s.write.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "LOCK TABLE windows IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := s.FindWindow(t.Context(), id)
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("not waited for: %v", err)
	case <-time.After(2*quietFor + askWithin):
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Where the address names two hosts, one that has frozen is left for the other one.
func TestFrozenHostIsLeft(t *testing.T) {
	t.Parallel()
	var servers [2]ledgertest.Postgres
	var urls [2]*url.URL
	for i := range servers {
		t.Cleanup(func() {
			if err := servers[i].Stop(); err != nil {
				t.Error(err)
			}
		})
		var err error
		if urls[i], err = url.Parse(servers[i].Database(t)); err != nil {
			t.Fatal(err)
		}
	}
	s := openBare(t, Config{URL: strings.Replace(urls[0].String(), urls[0].Host, urls[0].Host+","+urls[1].Host, 1)})
	port := func() (n string, err error) {
		err = s.read.QueryRowContext(endless(t), "SELECT current_setting('port')").Scan(&n)
		return n, err
	}
	if got, err := port(); err != nil || got != urls[0].Port() {
		t.Fatal(got, err)
	}
	servers[0].Freeze(t)
	defer servers[0].Thaw(t)
	if got, err := port(); err == nil { // it was sent to the first one
		t.Errorf("%s answered", got)
	}
	if got, err := port(); err != nil || got != urls[1].Port() {
		t.Errorf("%s answered: %v", got, err)
	}
}
