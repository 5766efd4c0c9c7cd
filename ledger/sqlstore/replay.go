package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// A replay tells a window from its journal. It keeps the outline of it and has a page of records, or of entries, at a time: a window
// may have more than memory holds.
type replay struct {
	db bun.IDB
	id uuid.UUID
	ledger.Outline
}

const (
	replayEntries = 500  // that are made at a time
	replayRecords = 2000 // that they are made of, and that one query asks for
)

// records calls fn with every record of the journal behind a number, in order.
func (r *replay) records(ctx context.Context, after int64, fn func(*recordRow) error) error {
	for {
		var page []recordRow
		err := r.db.NewSelect().Model(&page).Where("window_id = ?", r.id).Where("number > ?", after).
			OrderExpr("number").Limit(mirrorPage).Scan(ctx)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if err := fn(&page[i]); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Number
	}
}

// entries calls fn with the entries that the outline tells of, oldest first, some at a time.
func (r *replay) entries(ctx context.Context, fn func([]ledger.Entry) error) error {
	for from := r.First(); from <= r.Window.LastSeq; {
		var numbers []int64
		to := from
		for ; to <= r.Window.LastSeq && to-from < replayEntries && len(numbers) < replayRecords; to++ {
			numbers = append(numbers, r.Records(to)...)
		}
		page, err := r.page(ctx, from, to, numbers)
		if err == nil {
			err = fn(page)
		}
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

// page makes the entries from one up to another, which is not among them, of the records with these numbers.
func (r *replay) page(ctx context.Context, from, to int, numbers []int64) ([]ledger.Entry, error) {
	at := make(map[int64]journal.Record, len(numbers))
	for some := range slices.Chunk(numbers, replayRecords) {
		var rows []recordRow
		err := r.db.NewSelect().Model(&rows).Where("window_id = ?", r.id).Where("number IN (?)", bun.List(some)).Scan(ctx)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if at[rows[i].Number], err = rows[i].record(); err != nil {
				return nil, err
			}
		}
	}
	out := make([]ledger.Entry, 0, to-from)
	for seq := from; seq < to; seq++ {
		e, err := r.Entry(seq, func(number int64) (journal.Record, error) {
			rec, ok := at[number]
			if !ok {
				return rec, fmt.Errorf("record %d of window %s is not there any more", number, r.id)
			}
			return rec, nil
		})
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
