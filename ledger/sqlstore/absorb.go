package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// Absorb appends records that the ledger has lost, or never had, to the journals of their windows, and makes the rows of these windows
// anew from the whole of them. readFunc calls takeFunc with them: those of a window in order, from behind its head; a window that is not
// there is made. Their hashes are checked. All or nothing is kept, of all windows. Codes: conflict (they do not follow).
//
// What no record tells is not there afterwards: leases, first answers of Idempotency-Keys, tokens. The wrapped data keys of
// entries stay what they are here; those of entries that have none come from keys.
func (s *Store) Absorb(ctx context.Context, keys map[uuid.UUID][]byte, readFunc func(takeFunc func(windowID uuid.UUID, r journal.Record) error) error) error {
	c, done, err := s.ownConn(ctx)
	if err != nil {
		return s.dialect.problem("absorb records", "", err)
	}
	err = s.absorb(ctx, c, keys, readFunc)
	return s.dialect.problem("absorb records", "", errors.Join(err, done()))
}

// ownConn returns a connection that may write, beside the one of the writer.
func (s *Store) ownConn(ctx context.Context) (c *conn, done func() error, err error) {
	if s.file == "" {
		c, err = s.conn(ctx)
		if err != nil {
			return nil, nil, err
		}
		return c, c.close, nil
	}
	db, err := openBun(s.dsn, 1)
	if err != nil {
		return nil, nil, err
	}
	one := &Store{cfg: s.cfg, dialect: s.dialect, write: db, file: s.file}
	if c, err = one.conn(ctx); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return c, func() error { return errors.Join(c.close(), db.Close()) }, nil
}

func (s *Store) absorb(ctx context.Context, c *conn, keys map[uuid.UUID][]byte, readFunc func(func(uuid.UUID, journal.Record) error) error) error {
	if _, err := c.exec(ctx, s.dialect.begin); err != nil {
		return err
	}
	a := &absorption{batch: newBatch(ctx, c, true), heads: map[uuid.UUID]*ledger.Head{}}
	err := readFunc(a.take)
	if err == nil {
		err = a.finish(keys)
	}
	if err != nil {
		s.rollback(ctx, c)
		return err
	}
	return s.commitFunc(context.WithoutCancel(ctx), c)
}

// An absorption takes records in, in one transaction. It keeps few of them back.
type absorption struct {
	*batch
	heads map[uuid.UUID]*ledger.Head // of the windows that were met
	order []uuid.UUID                // as they were met
	rows  []*recordRow               // not written yet
	size  int                        // of rows, in bytes
}

// absorbSize is how many bytes of records are written at once.
const absorbSize = 4 << 20

func (a *absorption) take(windowID uuid.UUID, r journal.Record) error {
	head := a.heads[windowID]
	if head == nil {
		h, err := a.meet(windowID)
		if err != nil {
			return err
		}
		head = &h
		a.heads[windowID], a.order = head, append(a.order, windowID)
	}
	if prev, ok := r.Follows(); ok && r.Number > head.Number+1 {
		*head = ledger.Head{Number: r.Number - 1, Hash: prev} // what is between was removed in the open
	}
	if r.Number != head.Number+1 || journal.Chain(head.Hash, r.Body) != r.Hash {
		return ledger.Conflict("absorb records", windowID.String(), "record %d does not follow record %d, which is here: two histories", r.Number, head.Number)
	}
	*head = ledger.Head{Number: r.Number, Hash: r.Hash}
	a.rows = append(a.rows, &recordRow{
		WindowID: windowID, Number: r.Number, Kind: r.Kind, EntryID: r.EntryID, RollbackID: r.RollbackID, At: micros(r.At),
		Body: r.Body, Hash: r.Hash[:],
	})
	if a.size += len(r.Body); len(a.rows) < mirrorPage && a.size < absorbSize {
		return nil
	}
	return a.put()
}

// meet returns a window's head as it is here; a window that is not there is made.
func (a *absorption) meet(windowID uuid.UUID) (ledger.Head, error) {
	if err := a.load(windowID); err != nil {
		return ledger.Head{}, err
	}
	if a.met != nil {
		return a.met.win.Head, nil
	}
	row, err := windowToRow(&ledger.Window{ID: windowID})
	if err != nil {
		return ledger.Head{}, err
	}
	return ledger.Head{}, a.c.insert(a.ctx, windowTable, 1, func(int) []any { return row.args() })
}

func (a *absorption) put() error {
	err := a.c.insert(a.ctx, recordTable, len(a.rows), func(i int) []any { return a.rows[i].args() })
	a.rows, a.size = a.rows[:0], 0
	return err
}

// finish makes the rows of every window that was met anew.
func (a *absorption) finish(keys map[uuid.UUID][]byte) error {
	if err := a.put(); err != nil {
		return err
	}
	for _, id := range a.order {
		told, err := a.tell(id)
		if err == nil {
			err = a.replace(told, keys)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tell reads the window's whole journal as it is in the transaction, from the newest record that says that everything
// before it was removed, if there is one.
func (b *batch) tell(windowID uuid.UUID) (*replay, error) {
	told := &replay{db: b.c.db, id: windowID}
	var begins int64
	err := b.c.db.NewSelect().TableExpr("journal").ColumnExpr("COALESCE(MAX(number), 1)").
		Where("window_id = ?", windowID).Where("kind = ?", journal.KindPruned).Scan(b.ctx, &begins)
	if err != nil {
		return nil, err
	}
	err = told.records(b.ctx, begins-1, func(r *recordRow) error {
		rec, err := r.record()
		if err == nil {
			err = told.Apply(rec)
		}
		return err
	})
	if err == nil && told.Window.ID != windowID {
		err = ledger.Conflict("absorb records", windowID.String(), "the records are of another window")
	}
	return told, err
}

// replace puts the window's rows in the place of what stands there.
func (b *batch) replace(told *replay, keys map[uuid.UUID][]byte) error {
	here, err := b.dataKeys(told.id)
	if err != nil {
		return err
	}
	for _, text := range []string{
		"DELETE FROM attempts WHERE entry_id IN (SELECT id FROM entries WHERE window_id = ?)",
		"DELETE FROM entries WHERE window_id = ?", "DELETE FROM rollbacks WHERE window_id = ?",
	} {
		if _, err := b.c.exec(b.ctx, text, told.id); err != nil {
			return err
		}
	}
	err = told.entries(b.ctx, func(page []ledger.Entry) error {
		for i := range page {
			e := &page[i]
			if e.DataKey = here[e.ID]; e.DataKey == nil {
				e.DataKey = keys[e.ID]
			}
		}
		return b.insertEntries(page)
	})
	if err != nil {
		return err
	}
	if err := b.insertRollbacks(told.Rollbacks); err != nil {
		return err
	}
	row, err := windowToRow(&told.Window)
	if err != nil {
		return err
	}
	n, err := b.c.touch(b.ctx, "UPDATE windows SET "+set(windowTable.columns[1:])+" WHERE id = ?", append(row.args()[1:], told.id)...)
	if err == nil && n != 1 {
		err = fmt.Errorf("write window %s: it is not there", told.id)
	}
	return err
}

// dataKeys returns the wrapped keys of secret fields, by entry: no journal holds them, so they would go with the rows.
func (b *batch) dataKeys(windowID uuid.UUID) (map[uuid.UUID][]byte, error) {
	var rows []struct {
		ID      uuid.UUID `bun:"id"`
		DataKey []byte    `bun:"data_key"`
	}
	err := b.c.db.NewSelect().TableExpr("entries").Column("id", "data_key").
		Where("window_id = ?", windowID).Where("data_key IS NOT NULL").Scan(b.ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read data keys: %w", err)
	}
	keys := make(map[uuid.UUID][]byte, len(rows))
	for i := range rows {
		keys[rows[i].ID] = rows[i].DataKey
	}
	return keys, nil
}

func (b *batch) insertRollbacks(list []ledger.Rollback) error {
	for i := range list {
		row, err := rollbackToRow(&list[i])
		if err == nil {
			err = b.c.insert(b.ctx, rollbackTable, 1, func(int) []any { return row.args() })
		}
		if err != nil {
			return fmt.Errorf("insert rollbacks: %w", err)
		}
	}
	return nil
}

// insertEntries adds entries and their attempts.
func (b *batch) insertEntries(list []ledger.Entry) error {
	entries := make([]*entryRow, 0, len(list))
	for i := range list {
		row, err := entryToRow(&list[i])
		if err != nil {
			return err
		}
		entries = append(entries, row)
	}
	if err := b.c.insert(b.ctx, entryTable, len(entries), func(i int) []any { return entries[i].args() }); err != nil {
		return fmt.Errorf("insert entries: %w", err)
	}
	var attempts [][]any
	for i := range list {
		for _, a := range list[i].Attempts {
			attempts = append(attempts, attemptArgs(list[i].ID, a))
		}
	}
	if err := b.c.insert(b.ctx, attemptTable, len(attempts), func(i int) []any { return attempts[i] }); err != nil {
		return fmt.Errorf("insert attempts: %w", err)
	}
	return nil
}

// Empty reports whether the database holds no window and no token.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	var n int
	err := s.read.NewRaw("SELECT (SELECT COUNT(*) FROM windows) + (SELECT COUNT(*) FROM tokens) + (SELECT COUNT(*) FROM leaves)").Scan(ctx, &n)
	return n == 0, s.dialect.problem("look what is there", "", err)
}
