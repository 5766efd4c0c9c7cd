package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"
)

// A conn is one pinned connection. Its own statements are prepared once and get their values natively:
// bun writes values into the text, which costs too much where every record passes. Ordinary queries go
// through db. A conn is used by one goroutine.
type conn struct {
	raw     *sql.Conn
	db      bun.Conn
	dialect *dialect
	stmts   map[string]*sql.Stmt // by text before binding; nil: the driver keeps prepared statements itself
}

// conn pins a connection of the write pool.
func (s *Store) conn(ctx context.Context) (*conn, error) {
	db, err := s.write.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{raw: db.Conn, db: db, dialect: s.dialect}
	if s.file != "" {
		c.stmts = map[string]*sql.Stmt{}
	}
	return c, nil
}

// close gives the connection back.
func (c *conn) close() error {
	var errs []error
	for _, st := range c.stmts {
		errs = append(errs, st.Close())
	}
	c.stmts = nil
	return errors.Join(append(errs, c.raw.Close())...)
}

// discard ends the connection itself, whatever state it is in; the pool makes a new one. SQLite keeps a
// closed connection, and the write lock of its transaction, for as long as a statement of it is left.
func (c *conn) discard() {
	ctx, cancel := context.WithTimeout(context.Background(), commitWithin)
	defer cancel()
	_, _ = c.raw.ExecContext(ctx, "ROLLBACK")
	for _, st := range c.stmts {
		_ = st.Close()
	}
	c.stmts = nil
	_ = c.raw.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.raw.Close()
}

func (c *conn) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	st, err := c.prepared(ctx, query) //nolint:sqlclosecheck // kept until the connection is given back
	if err != nil {
		return nil, err
	}
	if st != nil {
		return st.ExecContext(ctx, args...)
	}
	return c.raw.ExecContext(ctx, c.dialect.bind(query), args...)
}

// touch runs an update and returns how many rows it touched.
func (c *conn) touch(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := c.exec(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// scan reads the one row of a query into dest; found is false if there is none.
func (c *conn) scan(ctx context.Context, dest []any, query string, args ...any) (found bool, err error) {
	st, err := c.prepared(ctx, query) //nolint:sqlclosecheck // kept until the connection is given back
	if err != nil {
		return false, err
	}
	var row *sql.Row
	if st != nil {
		row = st.QueryRowContext(ctx, args...)
	} else {
		row = c.raw.QueryRowContext(ctx, c.dialect.bind(query), args...)
	}
	if err := row.Scan(dest...); errors.Is(err, sql.ErrNoRows) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, nil
}

func (c *conn) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	st, err := c.prepared(ctx, query) //nolint:sqlclosecheck // kept until the connection is given back
	switch {
	case err != nil:
		return nil, err
	case st != nil:
		return st.QueryContext(ctx, args...)
	}
	return c.raw.QueryContext(ctx, c.dialect.bind(query), args...)
}

// prepared returns nil where the driver keeps prepared statements by their text.
func (c *conn) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if c.stmts == nil {
		return nil, nil
	}
	if st := c.stmts[query]; st != nil {
		return st, nil
	}
	st, err := c.raw.PrepareContext(ctx, c.dialect.bind(query))
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	c.stmts[query] = st
	return st, nil
}

// chunks are the sizes of multi-row inserts: few, so that each is prepared once, and small, since larger
// ones gain nothing.
var chunks = []int{16, 4, 1}

// insert adds n rows. valuesFunc returns those of row i, in the order of columns.
func (c *conn) insert(ctx context.Context, t *table, n int, valuesFunc func(i int) []any) error {
	return c.run(ctx, c.inserts(t, n, valuesFunc)...)
}

// inserts returns the steps that add n rows.
func (c *conn) inserts(t *table, n int, valuesFunc func(i int) []any) []step {
	var steps []step
	for i := 0; i < n; {
		size := chunks[0]
		for _, k := range chunks {
			if k <= n-i {
				size = k
				break
			}
		}
		args := make([]any, 0, size*len(t.columns))
		for j := range size {
			args = append(args, valuesFunc(i+j)...)
		}
		steps = append(steps, step{query: c.dialect.insertText(t, size), args: args})
		i += size
	}
	return steps
}

// rows names an insert of n rows.
type rows struct {
	table string
	n     int
}

// insertText writes an insert of so many rows, once.
func (d *dialect) insertText(t *table, n int) string {
	key := rows{t.name, n}
	if text, ok := d.texts.Load(key); ok {
		return text.(string) //nolint:forcetypeassert // nothing else is put in
	}
	tuple := "(?" + strings.Repeat(",?", len(t.columns)-1) + ")"
	text := d.insert + " " + t.name + " (" + strings.Join(t.columns, ",") + ") VALUES " + tuple + strings.Repeat(","+tuple, n-1)
	d.texts.Store(key, text)
	return text
}

// A table is one that is written by hand. Its columns are those of its row, in order.
type table struct {
	name    string
	columns []string
}

// tables are the tables that are written by hand; a test compares them with the rows.
var (
	windowTable = &table{"windows", []string{
		"id", "state", "resume", "rollback_id", "last_seq", "head_number", "head_hash", "created_at", "sealed_at",
		"name", "ticket", "owner", "opens_at", "ends_at", "buffer_ns", "snapshot", "labels", "restore", "pruned",
		"pruned_number", "pruned_seq",
	}}
	entryTable = &table{"entries", []string{
		"id", "window_id", "seq", "recorded_by", "recorded_at", "posted", "data_key",
		"system", "kind", "tag", "state", "on_rollback", "open", "outcome", "reason", "detail", "perform_by", "late", "doubted",
		"warnings", "resource_key", "resource_ref", "rollback_id", "now_digest", "now_image", "decision", "not_before", "applied_at", "undone_at",
		"journal_number", "journal_hash", "body", "alias",
	}}
	attemptTable = &table{"attempts", []string{
		"entry_id", "n", "rollback_id", "epoch", "seen", "request", "started_at", "ended_at", "result", "status", "burnt", "detail",
	}}
	rollbackTable = &table{"rollbacks", []string{
		"id", "window_id", "state", "waiting", "selection", "on_stuck", "requested_by", "reason", "again", "cancelling", "complete", "created_at",
		"started_at", "finished_at", "epoch", "holder", "lease_until", "words", "restore_snapshot", "trace", "parallel",
	}}
	recordTable = &table{"journal", []string{"window_id", "number", "kind", "entry_id", "rollback_id", "at", "body", "hash"}}
	replyTable  = &table{"replies", []string{"token_id", "method", "path", "key", "request_hash", "status", "header", "body", "at"}}
)

// set writes "a = ?, b = ?" for columns.
func set(columns []string) string { return strings.Join(columns, " = ?, ") + " = ?" }

// commit ends the open transaction of c.
func commit(ctx context.Context, c *conn) error {
	_, err := c.exec(ctx, "COMMIT")
	return err
}
