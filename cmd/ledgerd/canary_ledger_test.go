package main

import (
	"path/filepath"
	"testing"

	"sideledger/ledger/ledgertest"
)

// A canaryLedger says where the ledger is that secrets must not be in, and where it is made again from its mirror.
type canaryLedger struct {
	database, rebuilt string
	key               string   // file of the key of secret fields
	places            []string // where a search has to find what is no secret
	postgres          *ledgertest.Postgres
}

// newCanaryLedger is a file in dir, or, below TestOnPostgres, a server of its own: its write-ahead log has nothing of other tests.
func newCanaryLedger(t *testing.T, dir string) canaryLedger {
	t.Helper()
	if !ledgertest.OnPostgres(t) {
		return canaryLedger{
			database: "sqlite:" + filepath.Join(dir, "ledger.db"), rebuilt: "sqlite:" + filepath.Join(dir, "rebuilt.db"),
			key: filepath.Join(dir, "ledger.db.secrets-key"), places: []string{"ledger.db", "ledger.db-wal", "backup.db", "rebuilt.db"},
		}
	}
	p := new(ledgertest.Postgres)
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return canaryLedger{
		database: p.Database(t), rebuilt: p.Database(t), postgres: p, key: filepath.Join(dir, "ledgerd.secrets-key"),
		places: []string{"tables of the ledger", "dump of the ledger", "tables of the rebuilt one", "dump of the rebuilt one", "write-ahead log"},
	}
}

// collect takes in what PostgreSQL has written, and what it would tell, in place of what it had before.
func (l *canaryLedger) collect(t *testing.T, all archive) {
	t.Helper()
	if l.postgres == nil {
		return // its files are in the folder that is searched anyway
	}
	all["write-ahead log"] = l.postgres.Log(t)
	for name, url := range map[string]string{"the ledger": l.database, "the rebuilt one": l.rebuilt} {
		all["tables of "+name] = l.postgres.Files(t, url)
		all["dump of "+name] = l.postgres.Dump(t, url)
	}
}
