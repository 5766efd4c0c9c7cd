package sqlstore

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// openPostgres makes one pool for reads and writes. An answered commit is durable: a session that would
// not wait for the disk is refused.
func (s *Store) openPostgres(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(s.cfg.URL)
	if err != nil {
		return errors.New("the PostgreSQL address cannot be read") // err may hold a part of the password
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "sideledger"
	}
	cfg.RuntimeParams["standard_conforming_strings"] = "on" // bun quotes for this
	db := stdlib.OpenDB(*cfg)
	conns := max(8, 4*runtime.NumCPU())
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	s.dialect = postgresDialect()
	s.write = bun.NewDB(db, pgdialect.New())
	s.read = s.write
	var durable string
	if err := db.QueryRowContext(ctx, "SHOW synchronous_commit").Scan(&durable); err != nil {
		return s.dialect.problem("ask PostgreSQL for synchronous_commit", "", err)
	}
	if durable == "off" {
		return errors.New("PostgreSQL's synchronous_commit is off: an answered record might not survive a power loss")
	}
	return nil
}
