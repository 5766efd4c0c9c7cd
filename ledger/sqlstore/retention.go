package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// The columns are named: a newer version may have added some.
var selectExpired = "SELECT w." + strings.Join(windowTable.columns, ", w.") + ` FROM windows AS w JOIN journal AS j ON j.window_id = w.id AND j.number = w.head_number
	WHERE w.state IN ('rolled_back', 'kept') AND w.head_number > w.pruned_number AND j.at < ? AND w.id > ?
	AND NOT EXISTS (SELECT 1 FROM entries AS e WHERE e.window_id = w.id AND e.open)
	AND NOT EXISTS (SELECT 1 FROM rollbacks AS r WHERE r.window_id = w.id AND r.state NOT IN ('finished', 'cancelled'))
	ORDER BY w.id LIMIT ?`

// unpruned is the condition, with the window's id as its argument, that a row is none of those that are being removed. A place
// that is an expression keeps the planner from taking the condition for the one to search by.
func unpruned(place, upTo string) string {
	return place + " COALESCE((SELECT " + upTo + " FROM windows WHERE id = ?), 0)"
}

// Expired implements [ledger.Retention].
func (s *Store) Expired(ctx context.Context, before time.Time, after uuid.UUID, limit int) ([]ledger.Window, error) {
	var rows []windowRow
	if err := s.read.NewRaw(selectExpired, micros(before), after, limit).Scan(ctx, &rows); err != nil {
		return nil, s.dialect.problem("list expired windows", "", err)
	}
	return convert(rows, (*windowRow).window)
}

// RemovePruned implements [ledger.Retention]. It works on one window at a time, under its fence row: on PostgreSQL another
// replica may do the same.
func (s *Store) RemovePruned(ctx context.Context, limit int) (n int, err error) {
	err = s.change(ctx, "remove what was pruned", func(ctx context.Context, db bun.IDB) error {
		var row windowRow
		q := db.NewSelect().Model(&row).Where("pruned_number > 0").
			Where("EXISTS (SELECT 1 FROM journal AS j WHERE j.window_id = ?TableAlias.id AND j.number < ?TableAlias.pruned_number)").
			OrderExpr("id").Limit(1)
		if s.file == "" {
			q = q.For("UPDATE")
		}
		if err := q.Scan(ctx); errors.Is(err, sql.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		if n, err = removeEntries(ctx, db, &row, limit); err != nil || n > 0 {
			return err
		}
		n, err = removeRecords(ctx, db, &row, limit)
		return err
	})
	return n, err
}

// removeEntries removes the oldest entries, with their attempts.
func removeEntries(ctx context.Context, db bun.IDB, w *windowRow, limit int) (int, error) {
	var ids []uuid.UUID
	err := db.NewSelect().TableExpr("entries").Column("id").Where("window_id = ?", w.ID).Where("seq <= ?", w.PrunedSeq).
		OrderExpr("seq").Limit(int64(limit)).Scan(ctx, &ids)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	if _, err := db.NewDelete().TableExpr("attempts").Where("entry_id IN (?)", bun.List(ids)).Exec(ctx); err != nil {
		return 0, err
	}
	_, err = db.NewDelete().TableExpr("entries").Where("id IN (?)", bun.List(ids)).Exec(ctx)
	return len(ids), err
}

// removeRecords removes the oldest records of the journal: the last thing that goes, since it says that something is left.
func removeRecords(ctx context.Context, db bun.IDB, w *windowRow, limit int) (int, error) {
	var first int64
	err := db.NewSelect().TableExpr("journal").ColumnExpr("MIN(number)").Where("window_id = ?", w.ID).Scan(ctx, &first)
	if err != nil {
		return 0, err
	}
	res, err := db.NewDelete().TableExpr("journal").Where("window_id = ?", w.ID).
		Where("number < ?", min(w.PrunedNumber, first+int64(limit))).Exec(ctx)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}
