package sqlstoretest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"sideledger/ledger/ledgertest"
	"sideledger/ledger/sqlstore"
)

// A Postgres is a server for the ledgers of a package's tests. Its zero value is ready; TestMain stops it.
type Postgres struct{ ledgertest.Postgres }

// Open is [Open], and for a test below TestOnPostgres the ledger is on this server.
func (p *Postgres) Open(t testing.TB, c sqlstore.Config) *sqlstore.Store {
	t.Helper()
	if ledgertest.OnPostgres(t) {
		c.URL = p.Migrated(t)
	}
	return Open(t, c)
}

// Migrated returns the address of an empty ledger of the newest schema.
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
