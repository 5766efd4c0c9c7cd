package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"sideledger/ledger"
	"sideledger/migrations"
)

// The migrator's tables, under names of ours. Its lock table stays empty: a row there has no owner and no
// end, so a start that crashed would block all later ones. The transaction of a migration is its lock.
const (
	appliedTable = "migrations_applied"
	locksTable   = "migrations_locks"
)

// migrationLock is the key of the PostgreSQL lock that migrations run under. It is a lock of the
// transaction: the server lets it go with the transaction, whatever became of the process.
const migrationLock = 0x73696465

// A change of a table waits on PostgreSQL for everybody who has the table open, a long read included, and everybody else
// queues behind it. So it gives up after lockWait, lets them pass, and tries again after lockPause.
const (
	lockWait  = time.Second
	lockPause = 2 * time.Second
)

// errApplied ends a migration that somebody else applied while this one waited for its transaction.
var errApplied = errors.New("applied meanwhile")

// migrationName is what a migration's file must be called; bun would pass over another name in silence, or
// run it outside a transaction.
var migrationName = regexp.MustCompile(`^[0-9]{14}_[a-z0-9_]+\.tx\.up\.sql$`)

// Pending returns the migrations that the database lacks, oldest first, by number and name. It changes
// nothing. A database that is newer than this program is CodeConflict.
func (s *Store) Pending(ctx context.Context) ([]string, error) {
	m, err := s.migrator(s.read, s.migrations())
	if err != nil {
		return nil, err
	}
	todo, err := m.pending(ctx)
	var names []string
	for i := range todo {
		names = append(names, todo[i].String())
	}
	return names, s.dialect.problem("list migrations", "", err)
}

// Migrate brings the database up to date. It may be called at any time, by several processes at once,
// and while another process uses the database; one that was interrupted is simply called again. Each
// migration is applied as a whole or not at all. A database that is newer than this program is CodeConflict.
func (s *Store) Migrate(ctx context.Context) error {
	return s.dialect.problem("migrate", "", s.migrate(ctx, s.migrations()))
}

func (s *Store) migrations() fs.FS {
	if s.file != "" {
		return migrations.SQLite
	}
	return migrations.Postgres
}

func (s *Store) migrate(ctx context.Context, files fs.FS) (err error) {
	db := s.write
	if s.file != "" { // the writer has the one connection of its pool
		if db, err = openBun(s.dsn, 1); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
	}
	m, err := s.migrator(db, files)
	if err != nil {
		return err
	}
	for {
		todo, err := m.pending(ctx)
		if err != nil || len(todo) == 0 {
			return err
		}
		if err := m.init(ctx); err != nil {
			return fmt.Errorf("make the migrator's tables: %w", err)
		}
		switch _, err := m.Migrate(ctx); {
		case errors.Is(err, errApplied): // somebody else is at it too: see what is left
		case isLockWait(err):
			s.cfg.Log.WarnContext(ctx, "a migration waits: a table that it changes is in use", slog.Any("err", err))
			if err := pause(ctx, lockPause); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// A migrator is bun's, with what its traps need.
type migrator struct {
	*migrate.Migrator
	all     migrate.MigrationSlice
	locking bool // PostgreSQL; on SQLite a transaction is a lock
}

func (s *Store) migrator(db *bun.DB, files fs.FS) (*migrator, error) {
	err := fs.WalkDir(files, ".", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !migrationName.MatchString(d.Name()) {
			return fmt.Errorf("migration %q is not named NUMBER_words.tx.up.sql", d.Name())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	ms := migrate.NewMigrations()
	if err := ms.Discover(files); err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	m := &migrator{all: ms.Sorted(), locking: s.file == ""}
	m.Migrator = migrate.NewMigrator(db, ms,
		migrate.WithTableName(appliedTable), migrate.WithLocksTableName(locksTable),
		// bun marks a migration before it runs unless told otherwise, and then after its transaction: a crash
		// between the two would run it twice. So a hook marks it in its transaction, and bun's own mark changes
		// nothing.
		migrate.WithMarkAppliedOnSuccess(true), migrate.WithUpsert(true),
		migrate.BeforeMigration(m.before), migrate.AfterMigration(markApplied))
	return m, nil
}

// before runs in the migration's transaction, which on SQLite holds the write lock already. The wait for the tables is bounded,
// the one for another process's migrations is not.
func (m *migrator) before(ctx context.Context, db bun.IConn, one *migrate.Migration) error {
	if err := m.lock(ctx, db); err != nil {
		return err
	}
	var n int
	err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+appliedTable+" WHERE name = ?", one.Name).Scan(&n)
	if err != nil {
		return err
	}
	if n > 0 {
		return errApplied
	}
	if m.locking {
		_, err = db.ExecContext(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", lockWait.Milliseconds()))
	}
	return err
}

func (m *migrator) lock(ctx context.Context, db bun.IConn) error {
	if !m.locking {
		return nil
	}
	_, err := db.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", migrationLock)
	return err
}

// markApplied runs in the migration's transaction.
func markApplied(ctx context.Context, db bun.IConn, one *migrate.Migration) error {
	_, err := db.ExecContext(ctx, "INSERT INTO "+appliedTable+" (name, group_id) VALUES (?, ?)", one.Name, one.GroupID)
	return err
}

// init makes bun's tables. On PostgreSQL two CREATE TABLE IF NOT EXISTS at once can fail.
func (m *migrator) init(ctx context.Context) error {
	if !m.locking {
		return m.Init(ctx)
	}
	return m.DB().RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := m.lock(ctx, tx); err != nil {
			return err
		}
		return m.Init(ctx) // on another connection, while this one holds the lock
	})
}

// pending returns what is not applied yet, without writing anything.
func (m *migrator) pending(ctx context.Context) (migrate.MigrationSlice, error) {
	query := "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = ?"
	if m.locking {
		query = "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass(?)"
	}
	var n int
	if err := m.DB().QueryRowContext(ctx, query, appliedTable).Scan(&n); err != nil {
		return nil, fmt.Errorf("look for the migrator's tables: %w", err)
	}
	if n == 0 {
		return m.all, nil
	}
	applied, err := m.AppliedMigrations(ctx)
	if err != nil {
		return nil, fmt.Errorf("list applied migrations: %w", err)
	}
	done := map[string]bool{}
	for _, a := range applied {
		done[a.Name] = true
		if !slices.ContainsFunc(m.all, func(k migrate.Migration) bool { return k.Name == a.Name }) {
			return nil, ledger.Conflict("list migrations", "", "the database was migrated by a newer version of this program: use that one")
		}
	}
	return slices.DeleteFunc(slices.Clone(m.all), func(k migrate.Migration) bool { return done[k.Name] }), nil
}
