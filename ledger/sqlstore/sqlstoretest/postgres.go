package sqlstoretest

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sideledger/ledger/ledgertest"
	"sideledger/ledger/sqlstore"
)

// A Postgres is a server for the ledgers of a package's tests. Its zero value is ready; TestMain stops it.
type Postgres struct{ ledgertest.Postgres }

// New returns the address of an empty ledger of the newest schema: a file in memory, and for a test below TestOnPostgres a
// database of this server.
func (p *Postgres) New(t testing.TB) (url string) {
	t.Helper()
	if ledgertest.OnPostgres(t) {
		return p.Migrated(t)
	}
	file := filepath.Join(ledgertest.MemoryDir(t), "l.db")
	Write(t, file)
	return "sqlite:" + file
}

// Written returns everything that stands on a disk of a ledger that [Postgres.New] gave.
func (p *Postgres) Written(t testing.TB, url string) []byte {
	t.Helper()
	if file, embedded := strings.CutPrefix(url, "sqlite:"); embedded {
		return ledgertest.Files(t, filepath.Dir(file))
	}
	return p.Files(t, url)
}

// Migrated returns the address of an empty ledger of the newest schema on this server.
func (p *Postgres) Migrated(t testing.TB) string {
	t.Helper()
	return p.Copy(t, func(url string) error {
		s, err := sqlstore.Open(context.Background(), sqlstore.Config{URL: url, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		return errors.Join(s.Migrate(context.Background()), s.Close())
	})
}
