package sqlstore

import (
	"context"
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
	const query = "SELECT id, role, window_id, hash, created_at, expires_at, revoked_at FROM tokens WHERE hash = ?"
	var rows []tokenRow
	if err := s.find(ctx, &rows, query, hash[:]); err != nil {
		return nil, s.dialect.problem("find token", "", err)
	}
	if len(rows) == 0 {
		return nil, nil //nolint:nilnil // no such token is no error
	}
	t, err := rows[0].token()
	return &t, err
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
