package sqlstore

import (
	"context"
	"testing"
	"time"

	"sideledger/ledger"
)

// A probe gets an answer from a server whose database has taken the question and says nothing: one that is frozen, or a table that
// somebody has locked.
func TestPingEnds(t *testing.T) {
	t.Parallel()
	s := postgresStore(t)
	tx, err := s.write.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "LOCK TABLE windows IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Ping(ctx); ledger.CodeOf(err) != ledger.CodeUnavailable || ctx.Err() != nil {
		t.Errorf("%v; the caller's patience: %v", err, ctx.Err())
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(ctx); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
