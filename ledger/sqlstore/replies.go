package sqlstore

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// GetReply implements [ledger.Replies]. Every call with a key asks, so the query is prepared.
func (s *Store) GetReply(ctx context.Context, key ledger.ReplyKey) (*ledger.Reply, error) {
	var rows []replyRow
	if err := s.find(ctx, &rows, selectReply, key.TokenID, key.Method, key.Path, key.Key); err != nil {
		return nil, s.dialect.problem("get reply", "", err)
	}
	if len(rows) == 0 {
		return nil, nil //nolint:nilnil // no answer yet is no error
	}
	return rows[0].reply()
}

// KeepReply implements [ledger.Replies].
func (s *Store) KeepReply(ctx context.Context, key ledger.ReplyKey, r ledger.Reply) error {
	row, err := replyToRow(key, r)
	if err != nil {
		return err
	}
	return s.change(ctx, "keep reply", func(ctx context.Context, db bun.IDB) error {
		_, err := db.NewInsert().Model(row).On("CONFLICT DO NOTHING").Exec(ctx)
		return err
	})
}

// repliesKept is how long a first answer can be asked for again: twice what is promised.
const repliesKept = 48 * time.Hour

// prunedAtOnce limits how long one prune holds up the writer.
const prunedAtOnce = 1000

// PruneReplies forgets answers that are older than 48 hours, and returns how many. It may be called at
// any time, once an hour is often enough.
func (s *Store) PruneReplies(ctx context.Context) (int64, error) {
	before := s.cfg.Clock.Now().Add(-repliesKept)
	var all int64
	for {
		var n int64
		err := s.change(ledger.WithUse(ctx, ledger.UseUndo), "prune replies", func(ctx context.Context, db bun.IDB) error {
			old := db.NewSelect().Model((*replyRow)(nil)).Column("token_id", "method", "path", "key").
				Where("at < ?", micros(before)).OrderExpr("at").Limit(prunedAtOnce)
			res, err := db.NewDelete().Model((*replyRow)(nil)).Where("(token_id, method, path, key) IN (?)", old).Exec(ctx)
			if err != nil {
				return err
			}
			n, err = res.RowsAffected()
			return err
		})
		if err != nil {
			return all, err
		}
		if all += n; n < prunedAtOnce {
			return all, nil
		}
	}
}
