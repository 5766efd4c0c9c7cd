package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"sideledger/ledger"
)

// pragmas are set by the driver on every connection it makes, since a pragma sent through a pool would
// hold for one connection alone. A checkpoint comes after 16 MiB of WAL: its fsyncs cost more than rereading
// so much after a crash.
const pragmas = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)" +
	"&_pragma=wal_autocheckpoint(4096)"

// held is what a write connection must answer, else the ledger is not safe in this database.
var held = []struct{ pragma, want, why string }{
	{"journal_mode", "wal", "readers would wait for the writer"},
	{"synchronous", "2", "an answered record might not survive a power loss"},
	{"foreign_keys", "1", "entries could stand without their window"},
	{"busy_timeout", "5000", "a second process would fail at once"},
}

// oldest is the first SQLite without the WAL-reset bug of 3.7.0 to 3.51.2, which corrupts databases
// (sqlite.org/wal.html).
var oldest = [3]int{3, 51, 3}

func (s *Store) openSQLite(ctx context.Context, file string) error {
	if file == "" || strings.HasPrefix(file, ":") || strings.ContainsAny(file, "\x00\n") {
		return errors.New(`want "sqlite:FILE": the ledger is kept in a file`)
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if err := s.createFile(ctx, abs); err != nil {
		return err
	}
	s.file, s.dialect = abs, sqliteDialect()
	if s.reserve, err = openReserve(ctx, s.cfg, abs); err != nil {
		return err
	}
	dsn := "file:" + (&url.URL{Path: abs}).EscapedPath() + "?" + pragmas
	s.dsn = dsn + "&_txlock=immediate"
	if s.write, err = openBun(s.dsn, 1); err != nil {
		return err
	}
	if s.read, err = openBun(dsn+"&_pragma=query_only(1)", max(4, runtime.NumCPU())); err != nil {
		return err
	}
	c, err := s.writer(ctx)
	for s.reserve.spend(ctx, err) { // the index of the WAL is a file too
		c, err = s.writer(ctx)
	}
	if err != nil {
		return err
	}
	s.group = newGroup(s, c)
	return nil
}

// writer returns the first connection of the writer.
func (s *Store) writer(ctx context.Context) (*conn, error) {
	c, err := s.conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkSQLite(ctx, c.raw); err != nil {
		return nil, errors.Join(err, c.close())
	}
	// Where somebody else keeps writing, they have synced what they found.
	if err := s.resync(ctx, c); err != nil && !isBusy(err) {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// createFile makes an empty database that only its owner can read; SQLite gives its -wal and -shm files
// the same mode.
func (s *Store) createFile(ctx context.Context, file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err == nil {
		return errors.Join(f.Close(), syncDir(filepath.Dir(file)))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("the database is not a file")
	}
	// Each name would have a -wal file and a lock of its own, and lose what the other holds (sqlite.org/howtocorrupt.html, 2.4).
	if at, ok := info.Sys().(*syscall.Stat_t); ok && at.Nlink > 1 {
		return fmt.Errorf("the database file has %d names (hard links): a ledger under two names is lost; find them with `find DIR -samefile FILE` and leave one", at.Nlink)
	}
	if info.Mode().Perm()&0o077 != 0 {
		s.cfg.Log.WarnContext(ctx, "others than its owner can read the database file")
	}
	return nil
}

func openBun(dsn string, conns int) (*bun.DB, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return bun.NewDB(db, sqlitedialect.New()), nil
}

// checkSQLite asks the library and the connection what they are, rather than trusting the settings.
func checkSQLite(ctx context.Context, c *sql.Conn) error {
	var version string
	if err := c.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return fmt.Errorf("ask for SQLite's version: %w", err)
	}
	if err := checkVersion(version); err != nil {
		return err
	}
	for _, h := range held {
		var got string
		if err := c.QueryRowContext(ctx, "PRAGMA "+h.pragma).Scan(&got); err != nil {
			return fmt.Errorf("ask for pragma %s: %w", h.pragma, err)
		}
		if got != h.want {
			return fmt.Errorf("SQLite's %s is %s and must be %s: %s", h.pragma, got, h.want, h.why)
		}
	}
	return nil
}

func checkVersion(version string) error {
	var got [3]int
	for i, part := range strings.SplitN(version, ".", 3) {
		n, err := strconv.Atoi(part)
		if err != nil {
			return fmt.Errorf("SQLite's version %q is not a version", version)
		}
		got[i] = n
	}
	for i := range got {
		if got[i] != oldest[i] {
			if got[i] > oldest[i] {
				return nil
			}
			return fmt.Errorf("SQLite %s can corrupt a database in WAL mode: want %d.%d.%d or newer", version, oldest[0], oldest[1], oldest[2])
		}
	}
	return nil
}

// Backup writes a consistent copy of the live ledger to a new file that only its owner can read, and
// returns when it is on the disk. A file that is there already is never touched: CodeConflict. On PostgreSQL it
// is CodeInvalid: pg_dump does it.
func (s *Store) Backup(ctx context.Context, file string) error {
	if s.file == "" {
		return &ledger.Error{Code: ledger.CodeInvalid, Op: "back up", Msg: "the ledger is in PostgreSQL: use pg_dump"}
	}
	part := file + ".part-" + uuid.NewString()
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	defer func() { _ = os.Remove(part) }()
	err = errors.Join(s.copyTo(ctx, part), f.Sync(), f.Close())
	if err != nil {
		return s.dialect.problem("back up", "", err)
	}
	// A link, unlike a rename, fails where there is a file already.
	if err := os.Link(part, file); errors.Is(err, fs.ErrExist) {
		return ledger.Conflict("back up", "", "there is a file with this name already")
	} else if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return s.dialect.problem("back up", "", syncDir(filepath.Dir(file)))
}

// copyTo uses a connection of its own: a copy of a large ledger takes a while, and holds up no reader.
func (s *Store) copyTo(ctx context.Context, file string) error {
	db, err := openBun(s.dsn, 1)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", file)
	return errors.Join(err, db.Close())
}

// syncDir makes a new name in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the folder of a file that the operator names
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
