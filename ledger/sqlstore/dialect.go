package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A dialect is what differs between the two databases, beside the migrations.
type dialect struct {
	begin     string
	insert    string                    // of one or more rows
	forUpdate string                    // appended to the read of a fence row
	lock      string                    // takes the locks with these numbers to the end of the transaction; empty: there is one writer
	pipelines bool                      // several statements can be sent in one go
	bindFunc  func(query string) string // its texts are kept: see bind
	bound     sync.Map                  // texts that were bound already
	texts     sync.Map                  // of inserts, by rows
	faultFunc func(error) fault
}

// A fault is what a driver's error means to the ledger.
type fault int

const (
	faultOther  fault = iota // a mistake of ours, or something nobody foresaw
	faultUnique              // a unique constraint
	faultRule                // another constraint: a mistake of ours, and surely not done
	faultFull                // no space left
	faultRace                // the database ended the transaction in favour of another one
	faultAway                // busy, input or output error, connection lost
)

// sqliteDialect keeps ? as it is. Every transaction is immediate: it holds the write lock from its start. An
// insert that fails ends the whole transaction, which is what becomes of it anyway; so SQLite need not
// write every page it touches into a statement journal first.
func sqliteDialect() *dialect {
	return &dialect{
		begin: "BEGIN IMMEDIATE", insert: "INSERT OR ROLLBACK INTO", bindFunc: func(q string) string { return q }, faultFunc: sqliteFault,
	}
}

// postgresDialect numbers the parameters.
func postgresDialect() *dialect {
	return &dialect{
		begin: "BEGIN ISOLATION LEVEL READ COMMITTED", insert: "INSERT INTO", forUpdate: " FOR UPDATE", bindFunc: numbered,
		faultFunc: postgresFault, pipelines: true, lock: "SELECT pg_advisory_xact_lock(1936942447, slot) FROM unnest(CAST(? AS int[])) AS slot",
	}
}

// bind writes the parameters of a query as the database wants them. Its text must be a constant, or one of few: all are kept.
func (d *dialect) bind(query string) string {
	if text, ok := d.bound.Load(query); ok {
		return text.(string) //nolint:forcetypeassert // nothing else is put in
	}
	text := d.bindFunc(query)
	d.bound.Store(query, text)
	return text
}

// numbered turns each ? into $1, $2 … No statement of ours has a ? in a literal.
func numbered(q string) string {
	var b strings.Builder
	n := 0
	for {
		before, after, found := strings.Cut(q, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		q = after
	}
}

func sqliteFault(err error) fault {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return commonFault(err)
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return faultUnique
	}
	switch e.Code() & 0xff { // the primary code
	case sqlite3.SQLITE_CONSTRAINT:
		return faultRule
	case sqlite3.SQLITE_FULL:
		return faultFull
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PROTOCOL:
		return faultAway
	}
	return faultOther
}

// isRoomless reports whether SQLite found no room: for its files, or for the index of its WAL. After the latter a
// commit's outcome is not known.
func isRoomless(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE)
}

// isBusy reports whether another process held SQLite's write lock for all of busy_timeout.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// postgresFault reads SQLSTATE (appendix A of PostgreSQL's manual).
func postgresFault(err error) fault {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		if pgconn.Timeout(err) || pgconn.SafeToRetry(err) || errors.As(err, new(*pgconn.ConnectError)) {
			return faultAway
		}
		return commonFault(err)
	}
	switch e.Code {
	case "23505":
		return faultUnique
	case "53100":
		return faultFull
	case "40001", "40P01":
		return faultRace
	case readOnly:
		return faultAway
	}
	switch e.Code[:2] {
	case "23":
		return faultRule
	case "08", "53", "55", "57", "58": // connection, resources, locks, operator, system
		return faultAway
	}
	return faultOther
}

// isLockWait reports whether PostgreSQL gave up waiting for a lock (lock_not_available).
func isLockWait(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "55P03"
}

// commonFault reads what database/sql and the network say.
func commonFault(err error) fault {
	for _, away := range []error{context.Canceled, context.DeadlineExceeded, sql.ErrConnDone, driver.ErrBadConn} {
		if errors.Is(err, away) {
			return faultAway
		}
	}
	if isNetwork(err) {
		return faultAway
	}
	return faultOther
}
