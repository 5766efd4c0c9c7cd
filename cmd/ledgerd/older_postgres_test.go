package main

import (
	"os"
	"path/filepath"
	"testing"
)

// postgresPoints is how many older copies of a ledger on PostgreSQL are restored, with a mirror and without one.
const postgresPoints = 3

// served is the keeper of a database on PostgreSQL, which pg_dump copies.
type served struct {
	*house
	bin, url string
}

// newServedHouse is newHouse with the ledger on a PostgreSQL of the test's own. What such a ledger keeps in files stands
// in the folder that it runs in.
func newServedHouse(t *testing.T, mirrored bool) *house {
	t.Helper()
	h := newHouse(t, mirrored)
	h.keeper = served{house: h, bin: postgresBin(t), url: postgres.Database(t)}
	h.configure()
	t.Chdir(h.dir)
	return h
}

func (s served) database() string { return s.url }

func (s served) backup(to string) {
	s.Helper()
	sh(s.T, nil, filepath.Join(s.bin, "pg_dump"), "--no-owner", "-f", to, s.url)
}

func (s served) restore(from string) {
	s.Helper()
	psql := filepath.Join(s.bin, "psql")
	sh(s.T, nil, psql, "-Xq", "-v", "ON_ERROR_STOP=1", "-c", "drop schema public cascade; create schema public", s.url)
	sh(s.T, nil, psql, "-Xq", "-v", "ON_ERROR_STOP=1", "-f", from, s.url)
	if err := os.RemoveAll(filepath.Join(s.dir, "ledgerd.side")); err != nil {
		s.Fatal(err)
	}
}

func TestPostgresRestoredWithMirror(t *testing.T) {
	live(newServedHouse(t, true), 3, postgresPoints).restoredWithMirror()
}

func TestPostgresRestoredWithoutMirror(t *testing.T) {
	live(newServedHouse(t, false), 4, postgresPoints).restoredWithoutMirror()
}
