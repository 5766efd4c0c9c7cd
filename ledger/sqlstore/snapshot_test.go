package sqlstore

import (
	"context"
	"errors"
	"testing"

	"github.com/uptrace/bun"
)

// A reader that goes away in the middle is told that it did, not that the ledger failed.
func TestReaderGone(t *testing.T) {
	for name, opener := range both {
		t.Run(name, func(t *testing.T) {
			s := opener(t)
			ctx, cancel := context.WithCancel(t.Context())
			err := s.snapshot(ctx, func(_ context.Context, tx bun.Tx) error {
				cancel()
				var one int
				for tx.QueryRowContext(context.WithoutCancel(ctx), "SELECT 1").Scan(&one) == nil {
					continue // until the transaction has been ended behind us
				}
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
	}
}
