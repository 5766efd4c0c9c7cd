package sqlstore

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// rootName is the row of ledger_keys that holds the ledger's root secret.
const rootName = "root"

type ledgerKeyRow struct {
	bun.BaseModel `bun:"table:ledger_keys"`

	Name    string `bun:"name,pk"`
	Wrapped []byte `bun:"wrapped"`
}

// RootKey returns the ledger's root secret, wrapped; nil: there is none yet.
func (s *Store) RootKey(ctx context.Context) ([]byte, error) {
	var list []ledgerKeyRow
	if err := s.read.NewSelect().Model(&list).Where("name = ?", rootName).Scan(ctx); err != nil {
		return nil, s.dialect.problem("read the root key", "", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list[0].Wrapped, nil
}

// InsertRootKey keeps the root secret of a ledger that has none. CodeConflict: it has one by now.
func (s *Store) InsertRootKey(ctx context.Context, wrapped []byte) error {
	return s.change(ctx, "insert the root key", func(ctx context.Context, db bun.IDB) error {
		if _, err := db.NewInsert().Model(&ledgerKeyRow{Name: rootName, Wrapped: wrapped}).Exec(ctx); err != nil {
			return err
		}
		return keysChanged(ctx, db)
	})
}

// ReplaceRootKey puts another wrapping in the place of old. CodeConflict: it is not old any more.
func (s *Store) ReplaceRootKey(ctx context.Context, old, wrapped []byte) error {
	return s.change(ctx, "replace the root key", func(ctx context.Context, db bun.IDB) error {
		res, err := db.NewUpdate().Model((*ledgerKeyRow)(nil)).Set("wrapped = ?", wrapped).
			Where("name = ?", rootName).Where("wrapped = ?", old).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return ledger.Conflict("replace the root key", "", "somebody else has replaced it")
		}
		return keysChanged(ctx, db)
	})
}

// A DataKey is the wrapped data key of one entry with secret fields.
type DataKey struct {
	Entry   uuid.UUID
	Window  uuid.UUID
	Wrapped []byte
}

// DataKeys returns data keys in the order of their entries' ids, those beyond after. A zero window is every one.
func (s *Store) DataKeys(ctx context.Context, window, after uuid.UUID, limit int) ([]DataKey, error) {
	var list []entryRow
	q := s.read.NewSelect().Model(&list).Column("id", "window_id", "data_key").
		Where("data_key IS NOT NULL").Where("id > ?", after).OrderExpr("id").Limit(int64(limit))
	if window != uuid.Nil {
		q = q.Where("window_id = ?", window)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, s.dialect.problem("list data keys", "", err)
	}
	out := make([]DataKey, len(list))
	for i, r := range list {
		out[i] = DataKey{Entry: r.ID, Window: r.WindowID, Wrapped: r.DataKey}
	}
	return out, nil
}

// A Rewrapping puts another wrapping in the place of an entry's old one.
type Rewrapping struct {
	Entry    uuid.UUID
	Old, New []byte
}

// ReplaceDataKeys makes rewrappings, all or none. Nothing else of the entries changes: neither ciphertext nor journal.
// CodeConflict: one is not what it was.
func (s *Store) ReplaceDataKeys(ctx context.Context, list []Rewrapping) error {
	if len(list) == 0 {
		return nil
	}
	return s.change(ctx, "replace data keys", func(ctx context.Context, db bun.IDB) error {
		for _, r := range list {
			res, err := db.NewUpdate().Model((*entryRow)(nil)).Set("data_key = ?", r.New).
				Where("id = ?", r.Entry).Where("data_key = ?", r.Old).Exec(ctx)
			if err != nil {
				return fmt.Errorf("of entry %s: %w", r.Entry, err)
			}
			if n, err := res.RowsAffected(); err != nil || n != 1 {
				return ledger.Conflict("replace data keys", r.Entry.String(), "somebody else has replaced it")
			}
		}
		return keysChanged(ctx, db)
	})
}
