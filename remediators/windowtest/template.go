package windowtest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sideledger/ledger/sqlstore"
)

// template is a database as it is once it has all its tables: made once, since the many windows of a package would
// spend a third of their time on making them.
var template = sync.OnceValues(func() (raw []byte, err error) {
	dir, err := os.MkdirTemp("", "windowtest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx, file := context.Background(), filepath.Join(dir, "l.db")
	store, err := sqlstore.Open(ctx, sqlstore.Config{URL: "sqlite:" + file, Clock: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	err = store.Migrate(ctx)
	if closed := store.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})
