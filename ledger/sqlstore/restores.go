package sqlstore

import (
	"context"

	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// withRestores adds the systems that restore the snapshots of unfinished windows.
func (s *Store) withRestores(ctx context.Context, names []string) ([]string, error) {
	var docs [][]byte
	err := s.read.NewSelect().TableExpr("windows").Column("restore").Where("restore IS NOT NULL").
		Where("state NOT IN (?)", bun.List(texts([]ledger.WindowState{ledger.WindowKept, ledger.WindowRolledBack}))).Scan(ctx, &docs)
	if err != nil {
		return nil, err
	}
	for _, doc := range docs {
		d, err := ledger.DecodeRestore(doc)
		if err != nil {
			return nil, err
		}
		if d != nil {
			names = append(names, d.System)
		}
	}
	return names, nil
}
