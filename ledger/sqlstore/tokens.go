package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// InsertToken implements [ledger.Tokens]. An id or a hash that is there already is CodeConflict.
func (s *Store) InsertToken(ctx context.Context, t ledger.Token) error {
	row := &tokenRow{
		ID: t.ID, Role: string(t.Role), WindowID: t.WindowID, Hash: t.Hash[:], CreatedAt: micros(t.CreatedAt),
		ExpiresAt: micros(t.ExpiresAt), RevokedAt: micros(t.RevokedAt),
	}
	return s.change(ctx, "insert token", func(ctx context.Context, db bun.IDB) error {
		_, err := db.NewInsert().Model(row).Exec(ctx)
		return err
	})
}

// FindToken implements [ledger.Tokens]. Nothing is cached: a token made or revoked by another process counts
// at once. Every request asks, so the query is prepared.
func (s *Store) FindToken(ctx context.Context, hash [32]byte) (*ledger.Token, error) {
	row, err := s.row(ctx, &s.tokenStmt,
		"SELECT id, role, window_id, hash, created_at, expires_at, revoked_at FROM tokens WHERE hash = ?", hash[:])
	if err != nil {
		return nil, s.dialect.problem("find token", "", err)
	}
	var r tokenRow
	err = row.Scan(&r.ID, &r.Role, &r.WindowID, &r.Hash, &r.CreatedAt, &r.ExpiresAt, &r.RevokedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // no such token is no error
	}
	if err != nil {
		return nil, s.dialect.problem("find token", "", err)
	}
	t, err := r.token()
	return &t, err
}

// row asks for one row by the statement kept at a field of s. On PostgreSQL the driver keeps prepared statements itself,
// unless a pooler stands between.
func (s *Store) row(ctx context.Context, at **sql.Stmt, query string, args ...any) (*sql.Row, error) {
	if s.file == "" {
		return s.read.DB.QueryRowContext(ctx, s.dialect.bindFunc(query), args...), nil
	}
	st, err := s.prepared(ctx, at, query) //nolint:sqlclosecheck // it lives as long as the pool
	if err != nil {
		return nil, err
	}
	return st.QueryRowContext(ctx, args...), nil
}

// prepared returns the statement kept at a field of s; it is prepared when it is first asked for, as the
// table may not have been there before.
func (s *Store) prepared(ctx context.Context, at **sql.Stmt, query string) (*sql.Stmt, error) {
	s.stmtMu.Lock()
	defer s.stmtMu.Unlock()
	if *at != nil {
		return *at, nil
	}
	st, err := s.read.DB.PrepareContext(ctx, s.dialect.bindFunc(query)) //nolint:sqlclosecheck // it lives as long as the pool
	if err == nil {
		*at = st
	}
	return st, err
}

// ListTokens implements [ledger.Tokens].
func (s *Store) ListTokens(ctx context.Context) ([]ledger.Token, error) {
	ts, err := s.tokens(ctx, s.read.NewSelect().OrderExpr("created_at, id"))
	return ts, s.dialect.problem("list tokens", "", err)
}

func (s *Store) tokens(ctx context.Context, q *bun.SelectQuery) ([]ledger.Token, error) {
	var rows []tokenRow
	if err := q.Model(&rows).Scan(ctx); err != nil {
		return nil, err
	}
	return convert(rows, func(r *tokenRow) (*ledger.Token, error) {
		t, err := r.token()
		return &t, err
	})
}

// RevokeToken implements [ledger.Tokens]. A token that was revoked before keeps its first time.
func (s *Store) RevokeToken(ctx context.Context, id string, at time.Time) error {
	return s.change(ledger.WithUse(ctx, ledger.UseUndo), "revoke token", func(ctx context.Context, db bun.IDB) error {
		res, err := db.NewUpdate().Model((*tokenRow)(nil)).
			Set("revoked_at = CASE WHEN revoked_at = 0 THEN ? ELSE revoked_at END", micros(at)).Where("id = ?", id).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return ledger.NotFound("token", id)
	})
}
