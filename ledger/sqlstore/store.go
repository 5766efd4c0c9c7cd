package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// Config says where the ledger is kept. URL, Clock and Log are required.
type Config struct {
	// URL is "sqlite:FILE" or "postgres://…". A SQLite file that is not there is made, readable by its
	// owner alone.
	URL   string
	Clock ledger.Clock
	Log   *slog.Logger
	// GrownFunc is called after a commit, once for each window whose journal grew in it. It may be nil,
	// must not block, and must not call the store.
	GrownFunc func(windowID uuid.UUID)
	// CommittedFunc is told how long a commit took, until it was durable or failed, mirrors apart. It may be nil and must
	// not block.
	CommittedFunc func(took time.Duration, err error)
	// Queue is how many updates may wait for the SQLite writer before the next one is turned away with
	// CodeUnavailable; 0: 4096. PostgreSQL does not queue.
	Queue int
	// Reserve is how many bytes are kept free beside a SQLite database, for what [ledger.Use] lets use them on a
	// full disk; 0: none. One process alone may keep it: the one that holds the ledger's lock.
	Reserve int64
	// Recovering lets changes be made in safe mode: for who recovers the ledger, and nobody else.
	Recovering bool
}

func (c Config) validate() error {
	switch {
	case c.Clock == nil:
		return errors.New("sqlstore: the clock is missing")
	case c.Log == nil:
		return errors.New("sqlstore: the logger is missing")
	case c.Queue < 0:
		return errors.New("sqlstore: the queue is shorter than nothing")
	case c.Reserve < 0:
		return errors.New("sqlstore: the reserve is smaller than nothing")
	}
	return nil
}

// A Store keeps the ledger. Store implements [ledger.Store]; it is safe for concurrent use.
type Store struct {
	cfg     Config
	dialect *dialect
	write   *bun.DB  // SQLite: one connection, owned by the group; PostgreSQL: the one pool
	read    *bun.DB  // PostgreSQL: the same as write
	file    string   // SQLite only
	dsn     string   // SQLite only: of a write connection
	pooled  bool     // PostgreSQL only: a pooler stands between
	primary *primary // PostgreSQL only
	pulse   *pulse   // PostgreSQL only
	group   *group   // SQLite only
	lines   *lines   // PostgreSQL only
	reserve *reserve // SQLite only; nil: none is kept
	feed    *feed    // nil: no mirror
	safe    atomic.Pointer[ledger.SafeMode]

	stmtMu sync.Mutex
	stmts  map[string]*sql.Stmt // SQLite: what is asked often, by text before binding; the texts are constants, so it stays small

	// commitFunc commits the open transaction of c. Tests put failures in its place.
	commitFunc func(ctx context.Context, c *conn) error
}

var _ ledger.Store = (*Store)(nil)

// Open opens the database and checks that it keeps what it promises: SQLite's version and pragmas. It does not migrate:
// see [Store.Pending] and [Store.Migrate]. Close the Store when done.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Queue == 0 {
		cfg.Queue = 4096
	}
	s := &Store{cfg: cfg, commitFunc: commit, stmts: map[string]*sql.Stmt{}}
	s.lines = &lines{store: s, waiting: map[uuid.UUID][]*ticket{}}
	scheme, rest, _ := strings.Cut(cfg.URL, ":")
	var err error
	switch scheme {
	case "sqlite":
		err = s.openSQLite(ctx, rest)
	case "postgres", "postgresql":
		err = s.openPostgres(ctx)
	default:
		err = errors.New(`want "sqlite:FILE" or "postgres://…"`)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), s.closeDBs())
	}
	return s, nil
}

// Close answers what is queued, then closes the database. Calls made after it fail. A second Close does
// nothing.
func (s *Store) Close() error {
	if s.group != nil {
		s.group.close()
	}
	var err error
	if s.feed != nil {
		err = s.feed.close(context.Background())
	}
	return errors.Join(err, s.closeDBs())
}

func (s *Store) closeDBs() error {
	var errs []error
	if s.read != nil && s.read != s.write {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	s.pulse.close()
	return errors.Join(append(errs, s.reserve.close())...)
}

// Ping reports whether the migrated database answers reads: nil, or CodeUnavailable. CodeFull: it does, and the disk is
// full, so that it takes nothing new. A database that says nothing for five seconds does not answer, however long the caller would wait.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if _, err := s.read.ExecContext(ctx, "SELECT 1 FROM windows LIMIT 1"); err != nil {
		return unavailable("ping database", "", "the database does not answer", err)
	}
	return s.reserve.admit("ping database", "", ledger.UseNew)
}
