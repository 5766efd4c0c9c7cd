package sqlstore

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// heads returns the heads of all windows in the order of their opening: ids are UUIDv7.
func (s *Store) heads(ctx context.Context) ([]journal.Leaf, error) {
	var rows []struct {
		ID         uuid.UUID `bun:"id"`
		HeadNumber int64     `bun:"head_number"`
		HeadHash   []byte    `bun:"head_hash"`
	}
	err := s.read.NewSelect().TableExpr("windows").Column("id", "head_number", "head_hash").OrderExpr("id").Scan(ctx, &rows)
	out := make([]journal.Leaf, 0, len(rows))
	for _, r := range rows {
		out = append(out, journal.Leaf{WindowID: r.ID.String(), Number: r.HeadNumber, Hash: hex.EncodeToString(r.HeadHash)})
	}
	return out, s.dialect.problem("list heads", "", err)
}

func leafOf(id uuid.UUID, h ledger.Head) journal.Leaf {
	return journal.Leaf{WindowID: id.String(), Number: h.Number, Hash: hex.EncodeToString(h.Hash[:])}
}

// Heads returns the heads of all windows, oldest window first.
func (s *Store) Heads(ctx context.Context) ([]journal.Leaf, error) { return s.heads(ctx) }

type leafRow struct {
	bun.BaseModel `bun:"table:leaves"`

	Place    int64     `bun:"place,pk"`
	WindowID uuid.UUID `bun:"window_id"`
	Number   int64     `bun:"number"`
	Hash     []byte    `bun:"hash"`
}

// Leaves returns the leaves of the signed tree, in order.
func (s *Store) Leaves(ctx context.Context) ([]journal.Leaf, error) {
	var rows []leafRow
	if err := s.read.NewSelect().Model(&rows).OrderExpr("place").Scan(ctx); err != nil {
		return nil, s.dialect.problem("list leaves", "", err)
	}
	out := make([]journal.Leaf, 0, len(rows))
	for i, r := range rows {
		if r.Place != int64(i) {
			return nil, ledger.Conflict("list leaves", "", "leaf %d of the signed tree is missing", i)
		}
		out = append(out, journal.Leaf{WindowID: r.WindowID.String(), Number: r.Number, Hash: hex.EncodeToString(r.Hash)})
	}
	return out, nil
}

// Sent returns how many leaves of the signed tree each mirror is known to have, by its name.
func (s *Store) Sent(ctx context.Context) (map[string]int64, error) {
	raw, err := s.Fact(ctx, factSent)
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	var out map[string]int64
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("read which mirrors have which leaves: %w", err)
	}
	return out, nil
}

// SetSent stores how many leaves of the signed tree each mirror is known to have.
func (s *Store) SetSent(ctx context.Context, sent map[string]int64) error {
	raw, err := json.Marshal(sent)
	if err != nil {
		return err
	}
	return s.SetFact(ctx, factSent, raw)
}

// AddSigned adds the leaves of a signed head, from its First on, and stores its note. If somebody else has
// added leaves meanwhile it is CodeConflict, and nothing is stored.
func (s *Store) AddSigned(ctx context.Context, h journal.SignedHead) error {
	rows := make([]leafRow, 0, len(h.Leaves))
	for i, l := range h.Leaves {
		id, err := uuid.Parse(l.WindowID)
		hash, hashErr := hex.DecodeString(l.Hash)
		if err = errors.Join(err, hashErr); err != nil {
			return err
		}
		rows = append(rows, leafRow{Place: h.First + int64(i), WindowID: id, Number: l.Number, Hash: hash})
	}
	const op = "store a signed head"
	return s.dialect.problem(op, "", s.submit(ctx, &unit{op: op, wary: true, directFunc: func(ctx context.Context, db bun.IDB) error {
		var n int64
		if err := db.NewSelect().TableExpr("leaves").ColumnExpr("COALESCE(MAX(place) + 1, 0)").Scan(ctx, &n); err != nil { // a count walks over all
			return err
		}
		if n != h.First {
			return ledger.Conflict(op, "", "the tree has %d leaves, not %d", n, h.First)
		}
		if len(rows) > 0 {
			if _, err := db.NewInsert().Model(&rows).Exec(ctx); err != nil {
				return err
			}
		}
		return putFact(ctx, db, factNote, []byte(h.Note))
	}}))
}

// ForgetLeaves begins the signed tree anew: after a loss that was accepted, it cannot go on.
func (s *Store) ForgetLeaves(ctx context.Context) error {
	return s.change(ctx, "begin the signed tree anew", func(ctx context.Context, db bun.IDB) error {
		_, err := db.NewDelete().Model((*leafRow)(nil)).Where("TRUE").Exec(ctx)
		if err == nil {
			_, err = db.NewDelete().TableExpr("facts").Where("name IN (?, ?)", factNote, factSent).Exec(ctx)
		}
		return err
	})
}
