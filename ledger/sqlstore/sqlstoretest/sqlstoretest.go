// Package sqlstoretest opens stores for tests.
package sqlstoretest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sideledger/ledger/ledgertest"
	"sideledger/ledger/sqlstore"
)

// Open opens a store and closes it when the test ends. What is left out of the configuration is a new SQLite
// database of the newest schema in memory, the machine's clock, and no log.
func Open(t testing.TB, c sqlstore.Config) *sqlstore.Store {
	t.Helper()
	if c.URL == "" {
		file := filepath.Join(ledgertest.MemoryDir(t), "l.db")
		Write(t, file)
		c.URL = "sqlite:" + file
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s, err := sqlstore.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Write writes an empty SQLite database of the newest schema to a file. It is a copy of one that is made once in a
// process: the migrations take longer than most tests.
func Write(t testing.TB, file string) {
	t.Helper()
	raw, err := empty()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "sideledger-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "l.db")
	s, err := sqlstore.Open(context.Background(), sqlstore.Config{URL: "sqlite:" + file, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if err := s.Migrate(context.Background()); err != nil {
		_ = s.Close()
		return nil, err
	}
	if err := s.Close(); err != nil { // what is in the write-ahead log goes into the file
		return nil, err
	}
	return os.ReadFile(file)
})
