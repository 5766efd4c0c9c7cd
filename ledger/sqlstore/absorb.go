package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// Absorb appends records that the ledger has lost, or never had, to a window's journal, and makes the window's rows
// anew from the whole of it. The records follow the window's head; a window that is not there is made. Their hashes
// are checked. All or nothing is kept. Codes: conflict (they do not follow).
//
// What no record tells is not there afterwards: leases, first answers of Idempotency-Keys, tokens. The wrapped data keys of
// entries stay what they are here; those of entries that have none come from keys.
func (s *Store) Absorb(ctx context.Context, windowID uuid.UUID, records []journal.Record, keys map[uuid.UUID][]byte) error {
	c, done, err := s.ownConn(ctx)
	if err != nil {
		return s.dialect.problem("absorb records of", windowID.String(), err)
	}
	err = s.absorb(ctx, c, windowID, records, keys)
	return s.dialect.problem("absorb records of", windowID.String(), errors.Join(err, done()))
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

func (s *Store) absorb(ctx context.Context, c *conn, windowID uuid.UUID, records []journal.Record, keys map[uuid.UUID][]byte) error {
	if _, err := c.exec(ctx, s.dialect.begin); err != nil {
		return err
	}
	b := newBatch(ctx, c, true)
	if err := b.absorb(windowID, records, keys); err != nil {
		s.rollback(ctx, c)
		return err
	}
	return s.commitFunc(context.WithoutCancel(ctx), c)
}

func (b *batch) absorb(windowID uuid.UUID, records []journal.Record, keys map[uuid.UUID][]byte) error {
	if err := b.load(windowID); err != nil {
		return err
	}
	old := &ledger.Window{ID: windowID}
	if b.met != nil {
		old = &b.met.win
	} else {
		row, err := windowToRow(&ledger.Window{ID: windowID})
		if err != nil {
			return err
		}
		if err := b.c.insert(b.ctx, windowTable, 1, func(int) []any { return row.args() }); err != nil {
			return err
		}
	}
	rows, err := chainRows(windowID, old.Head, records)
	if err != nil {
		return err
	}
	if err := b.c.insert(b.ctx, recordTable, len(rows), func(i int) []any { return rows[i].args() }); err != nil {
		return err
	}
	built, err := b.rebuild(windowID)
	if err != nil {
		return err
	}
	return b.replace(windowID, built, keys)
}

// chainRows are the rows of records that follow a head.
func chainRows(windowID uuid.UUID, head ledger.Head, records []journal.Record) ([]*recordRow, error) {
	rows := make([]*recordRow, 0, len(records))
	for _, r := range records {
		if prev, ok := r.Follows(); ok && r.Number > head.Number+1 {
			head = ledger.Head{Number: r.Number - 1, Hash: prev} // what is between was removed in the open
		}
		if r.Number != head.Number+1 || journal.Chain(head.Hash, r.Body) != r.Hash {
			return nil, ledger.Conflict("absorb records", windowID.String(), "record %d does not follow record %d, which is here: two histories", r.Number, head.Number)
		}
		head = ledger.Head{Number: r.Number, Hash: r.Hash}
		hash := r.Hash
		rows = append(rows, &recordRow{
			WindowID: windowID, Number: r.Number, Kind: r.Kind, EntryID: r.EntryID, RollbackID: r.RollbackID, At: micros(r.At),
			Body: r.Body, Hash: hash[:],
		})
	}
	return rows, nil
}

// rebuild reads the window's whole journal as it is in the transaction, from the newest record that says that everything
// before it was removed, if there is one.
func (b *batch) rebuild(windowID uuid.UUID) (*ledger.Rebuilt, error) {
	built := new(ledger.Rebuilt)
	var begins int64
	err := b.c.db.NewSelect().TableExpr("journal").ColumnExpr("COALESCE(MAX(number), 1)").
		Where("window_id = ?", windowID).Where("kind = ?", journal.KindPruned).Scan(b.ctx, &begins)
	if err != nil {
		return nil, err
	}
	for after := begins - 1; ; {
		var page []recordRow
		err := b.c.db.NewSelect().Model(&page).Where("window_id = ?", windowID).Where("number > ?", after).
			OrderExpr("number").Limit(mirrorPage).Scan(b.ctx)
		if err != nil || len(page) == 0 {
			return built, err
		}
		for i := range page {
			rec, err := page[i].record()
			if err == nil {
				err = built.Apply(rec)
			}
			if err != nil {
				return nil, err
			}
			after = rec.Number
		}
	}
}

// replace puts the window's rows in the place of what stands there.
func (b *batch) replace(windowID uuid.UUID, built *ledger.Rebuilt, keys map[uuid.UUID][]byte) error {
	if err := b.keepDataKeys(windowID, built, keys); err != nil {
		return err
	}
	for _, text := range []string{
		"DELETE FROM attempts WHERE entry_id IN (SELECT id FROM entries WHERE window_id = ?)",
		"DELETE FROM entries WHERE window_id = ?", "DELETE FROM rollbacks WHERE window_id = ?",
	} {
		if _, err := b.c.exec(b.ctx, text, windowID); err != nil {
			return err
		}
	}
	if err := b.insertEntries(built); err != nil {
		return err
	}
	for i := range built.Rollbacks {
		row, err := rollbackToRow(&built.Rollbacks[i])
		if err == nil {
			err = b.c.insert(b.ctx, rollbackTable, 1, func(int) []any { return row.args() })
		}
		if err != nil {
			return fmt.Errorf("insert rollbacks: %w", err)
		}
	}
	row, err := windowToRow(&built.Window)
	if err != nil {
		return err
	}
	if built.Window.ID != windowID {
		return ledger.Conflict("absorb records", windowID.String(), "the records are of another window")
	}
	n, err := b.c.touch(b.ctx, "UPDATE windows SET "+set(windowTable.columns[1:])+" WHERE id = ?", append(row.args()[1:], windowID)...)
	if err == nil && n != 1 {
		err = fmt.Errorf("write window %s: it is not there", windowID)
	}
	return err
}

// keepDataKeys hands the wrapped keys of secret fields on: no journal holds them, so they would go with the rows. more are
// those of entries that have none here.
func (b *batch) keepDataKeys(windowID uuid.UUID, built *ledger.Rebuilt, more map[uuid.UUID][]byte) error {
	var rows []entryRow
	err := b.c.db.NewSelect().Model(&rows).Column("id", "data_key").
		Where("window_id = ?", windowID).Where("data_key IS NOT NULL").Scan(b.ctx)
	if err != nil {
		return fmt.Errorf("read data keys: %w", err)
	}
	keys := make(map[uuid.UUID][]byte, len(rows))
	for i := range rows {
		keys[rows[i].ID] = rows[i].DataKey
	}
	for i := range built.Entries {
		e := &built.Entries[i]
		if e.DataKey = keys[e.ID]; e.DataKey == nil {
			e.DataKey = more[e.ID]
		}
	}
	return nil
}

// insertEntries adds the entries and their attempts.
func (b *batch) insertEntries(built *ledger.Rebuilt) error {
	entries := make([]*entryRow, 0, len(built.Entries))
	for i := range built.Entries {
		row, err := entryToRow(&built.Entries[i])
		if err != nil {
			return err
		}
		entries = append(entries, row)
	}
	if err := b.c.insert(b.ctx, entryTable, len(entries), func(i int) []any { return entries[i].args() }); err != nil {
		return fmt.Errorf("insert entries: %w", err)
	}
	for i := range built.Entries {
		e := &built.Entries[i]
		err := b.c.insert(b.ctx, attemptTable, len(e.Attempts), func(n int) []any { return attemptArgs(e.ID, e.Attempts[n]) })
		if err != nil {
			return fmt.Errorf("insert attempts: %w", err)
		}
	}
	return nil
}

// Empty reports whether the database holds no window and no token.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	var n int
	err := s.read.NewRaw("SELECT (SELECT COUNT(*) FROM windows) + (SELECT COUNT(*) FROM tokens) + (SELECT COUNT(*) FROM leaves)").Scan(ctx, &n)
	return n == 0, s.dialect.problem("look what is there", "", err)
}
