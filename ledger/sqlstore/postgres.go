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

// openPostgres makes one pool for reads and writes, of connections to a server that takes both. An answered commit is durable: a
// session that would not wait for the disk is refused.
func (s *Store) openPostgres(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(s.cfg.URL)
	if err != nil {
		return errors.New("the PostgreSQL address cannot be read") // err may hold a part of the password
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "sideledger"
	}
	cfg.RuntimeParams["standard_conforming_strings"] = "on" // bun quotes for this
	s.dialect = postgresDialect()
	OnlyPrimary(cfg)
	s.primary = newPrimary()
	s.pulse = listenTo(cfg, s.cfg.Log)
	if s.pooled, err = isPooled(ctx, cfg); err != nil {
		return s.dialect.problem("connect to PostgreSQL", "", err)
	}
	if s.pooled {
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	db := stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(s.greet))
	conns := max(8, 4*runtime.NumCPU())
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	s.write = bun.NewDB(db, pgdialect.New())
	s.read = s.write
	if err := db.PingContext(ctx); err != nil {
		return s.dialect.problem("connect to PostgreSQL", "", err)
	}
	return nil
}

// isPooled reports whether a pooler such as PgBouncer stands between: then the process that the connection was told of at
// its start is not the one that answers. A pooler may hand each transaction to another server connection, which
// knows nothing that an earlier one prepared.
func isPooled(ctx context.Context, cfg *pgx.ConnConfig) (bool, error) {
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	var pid uint32
	err = c.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pid)
	return pid != c.PgConn().PID(), err
}

// Pooled reports whether a pooler stands between this process and PostgreSQL. Nothing that belongs to a session holds
// then: no LISTEN, no prepared statement.
func (s *Store) Pooled() bool { return s.pooled }

// aloneLock is the key of the PostgreSQL lock that Alone holds.
const aloneLock = 0x73696466

// Alone runs fn while no other process runs one on this database: for what a first start makes once. It is short, and
// uses the store freely. An embedded ledger has one process anyway.
func (s *Store) Alone(ctx context.Context, fn func() error) error {
	if s.file != "" {
		return fn()
	}
	var own error
	err := s.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		// A process that was stopped in the middle must not hold up the starts of all others.
		if _, err := tx.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = '30s'"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", aloneLock); err != nil {
			return err
		}
		own = fn()
		return own
	})
	if own != nil {
		return own
	}
	return s.dialect.problem("wait for the other replicas", "", err)
}
