package sqlstore

import (
	"context"

	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// Named implements [ledger.Scanner]. It walks the entries once, in the database; no index is kept for it, as nobody
// waits for it while recording.
func (s *Store) Named(ctx context.Context, system string) (keys []ledger.Key, renamed []ledger.Entry, err error) {
	err = s.snapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		var raw [][]byte
		err := named(tx.NewSelect().TableExpr("entries").Distinct().Column("resource_key"), system).
			Where("resource_key IS NOT NULL").Scan(ctx, &raw)
		if err != nil {
			return err
		}
		for _, b := range raw {
			var key [32]byte
			if err := hash(&key, b); err != nil {
				return err
			}
			keys = append(keys, key)
		}
		var rows []entryRow
		if err := named(tx.NewSelect().Model(&rows), system).Where("alias IS NOT NULL").Scan(ctx); err != nil {
			return err
		}
		renamed, err = convert(rows, (*entryRow).entry)
		return err
	})
	return keys, renamed, s.dialect.problem("list what is named of", system, err)
}

// named keeps the entries of a system that say that there is something.
func named(q *bun.SelectQuery, system string) *bun.SelectQuery {
	return q.Where("system = ?", system).Where("state <> ?", string(ledger.EntryVoid))
}
