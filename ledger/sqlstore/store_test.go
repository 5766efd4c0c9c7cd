package sqlstore

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// postgres is one server for the tests of this package; TestMain stops it.
var postgres ledgertest.Postgres

func TestMain(m *testing.M) {
	m.Run()
	if err := postgres.Stop(); err != nil {
		panic(err)
	}
}

// sqliteStore opens a new ledger in a file of its own.
func sqliteStore(t testing.TB) *Store {
	return openStore(t, Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")})
}

// newURL is the address of a new database, in a file, or, below TestOnPostgres, there.
func newURL(t testing.TB) string {
	t.Helper()
	if ledgertest.OnPostgres(t) {
		return migrated(t)
	}
	return "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
}

// newStore opens a new ledger at such an address.
func newStore(t testing.TB) *Store {
	t.Helper()
	return openStore(t, Config{URL: newURL(t)})
}

func postgresStore(t testing.TB) *Store {
	return openBare(t, Config{URL: migrated(t)})
}

// migrated is the address of a new database on PostgreSQL of the newest schema.
func migrated(t testing.TB) string {
	t.Helper()
	return postgres.Copy(t, func(url string) error {
		s, err := Open(context.Background(), Config{URL: url, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		return errors.Join(s.Migrate(context.Background()), s.Close())
	})
}

// both are the two databases.
var both = map[string]func(testing.TB) *Store{"SQLite": sqliteStore, "Postgres": postgresStore}

func openStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	s := openBare(t, cfg)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// openBare opens a database without migrating it.
func openBare(t testing.TB, cfg Config) *Store {
	t.Helper()
	cfg.Clock, cfg.Log = ledgertest.NewClock().Now, slog.New(slog.DiscardHandler)
	s, err := Open(t.Context(), cfg)
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

func TestStore(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			ledgertest.TestStore(t, func(t *testing.T) ledger.Store { return open(t) })
		})
	}
}
