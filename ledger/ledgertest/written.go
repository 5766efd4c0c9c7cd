package ledgertest

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// Files returns what stands in a database's own files. What is in the server's memory alone is written before.
func (p *Postgres) Files(t testing.TB, address string) []byte {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p.say(t, "CHECKPOINT")
	oid := p.say(t, "SELECT oid FROM pg_database WHERE datname = '"+strings.TrimPrefix(u.Path, "/")+"'")
	return Files(t, filepath.Join(p.dir, "data", "base", oid))
}

// Log returns what stands in the write-ahead log, which all databases of the server share.
func (p *Postgres) Log(t testing.TB) []byte {
	t.Helper()
	return Files(t, filepath.Join(p.dir, "data", "pg_wal"))
}

// Dump returns a database as pg_dump writes it: with no value compressed, and bytes in hex.
func (p *Postgres) Dump(t testing.TB, address string) []byte {
	t.Helper()
	out, err := p.output("pg_dump", address)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// say runs a statement that is for no database.
func (p *Postgres) say(t testing.TB, statement string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	out, err := p.admin.sql(statement)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
