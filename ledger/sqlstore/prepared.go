package sqlstore

import (
	"context"
	"database/sql"
)

// find reads the rows of a query that is asked often into dest, a slice of them. On SQLite the query is prepared once for
// each connection of the pool, since a third of the time goes into that. Its text must be a constant: all are kept.
func (s *Store) find(ctx context.Context, dest any, query string, args ...any) error {
	found, err := s.query(ctx, query, args) //nolint:rowserrcheck // ScanRows does
	if err != nil {
		return err
	}
	return s.read.ScanRows(ctx, found, dest)
}

// query leaves it to the driver of PostgreSQL, and so to the operator, whether statements are prepared: behind a pooler
// that deals out connections by transaction they must not be.
func (s *Store) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	if s.file == "" {
		return s.read.DB.QueryContext(ctx, s.dialect.bind(query), args...)
	}
	st, err := s.prepared(ctx, query) //nolint:sqlclosecheck // it lives as long as the pool
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// prepared prepares a statement when it is first asked for, as the table may not have been there before.
func (s *Store) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	s.stmtMu.Lock()
	defer s.stmtMu.Unlock()
	if st := s.stmts[query]; st != nil {
		return st, nil
	}
	st, err := s.read.DB.PrepareContext(ctx, s.dialect.bind(query)) //nolint:sqlclosecheck // it lives as long as the pool
	if err == nil {
		s.stmts[query] = st
	}
	return st, err
}
