package sqlstore

import (
	"log/slog"
	"path/filepath"
	"testing"

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

func postgresStore(t testing.TB) *Store {
	return openStore(t, Config{URL: postgres.Database(t)})
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
