package sqlstore

import (
	"context"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// FindWindow implements [ledger.Reader].
func (s *Store) FindWindow(ctx context.Context, id uuid.UUID) (*ledger.Window, error) {
	var rows []windowRow
	if err := s.find(ctx, &rows, selectWindow, id); err != nil {
		return nil, s.dialect.problem("find window", id.String(), err)
	}
	if len(rows) == 0 {
		return nil, ledger.NotFound("window", id.String())
	}
	return rows[0].window()
}

// ListWindows implements [ledger.Reader]. A limit below 1 returns nothing.
func (s *Store) ListWindows(ctx context.Context, q ledger.WindowQuery) ([]ledger.Window, error) {
	if q.Limit < 1 {
		return nil, nil
	}
	var rows []windowRow
	sq := s.read.NewSelect().Model(&rows).OrderExpr("id DESC").Limit(int64(q.Limit))
	if q.State != "" {
		sq = sq.Where("state = ?", string(q.State))
	}
	if q.Before != uuid.Nil {
		sq = sq.Where("id < ?", q.Before)
	}
	if err := sq.Scan(ctx); err != nil {
		return nil, s.dialect.problem("list windows", "", err)
	}
	return convert(rows, (*windowRow).window)
}

// GetRollback implements [ledger.Reader].
func (s *Store) GetRollback(ctx context.Context, id uuid.UUID) (*ledger.Rollback, error) {
	var rows []rollbackRow
	if err := s.find(ctx, &rows, selectRollback, id); err != nil {
		return nil, s.dialect.problem("get rollback", id.String(), err)
	}
	if len(rows) == 0 {
		return nil, ledger.NotFound("rollback", id.String())
	}
	return rows[0].rollback()
}

// Unfinished implements [ledger.Scanner].
func (s *Store) Unfinished(ctx context.Context) ([]ledger.Rollback, error) {
	var rows []rollbackRow
	err := s.read.NewSelect().Model(&rows).Where("state NOT IN ('finished', 'cancelled')").OrderExpr("created_at, id").Scan(ctx)
	if err != nil {
		return nil, s.dialect.problem("list unfinished rollbacks", "", err)
	}
	return convert(rows, (*rollbackRow).rollback)
}

// ListRecords implements [ledger.Scanner]. A limit below 1 returns nothing.
func (s *Store) ListRecords(ctx context.Context, q ledger.RecordQuery) ([]journal.Record, error) {
	if q.Limit < 1 {
		return nil, nil
	}
	var rows []recordRow
	sq := s.read.NewSelect().Model(&rows).Where("window_id = ?", q.WindowID).Where("number > ?", q.After).Where(unpruned("number >=", "pruned_number"), q.WindowID).
		OrderExpr("number").Limit(int64(q.Limit))
	if q.RollbackID != uuid.Nil {
		sq = sq.Where("rollback_id = ?", q.RollbackID.String()).Where("rollback_id <> ''")
	}
	if err := sq.Scan(ctx); err != nil {
		return nil, s.dialect.problem("list records of", q.WindowID.String(), err)
	}
	return convert(rows, func(r *recordRow) (*journal.Record, error) {
		rec, err := r.record()
		return &rec, err
	})
}
