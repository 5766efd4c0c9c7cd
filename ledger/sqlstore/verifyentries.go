package sqlstore

import (
	"context"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// compareEntries compares the entries and their attempts, but for data keys, which no record tells: a rotation wraps them anew. What it
// names is the record that last touched the entry.
func (v *verification) compareEntries(ctx context.Context) error {
	err := v.entries(ctx, func(page []ledger.Entry) error {
		here, err := v.rowsOf(ctx, page)
		if err != nil {
			return err
		}
		attempts, err := v.attemptsOf(ctx, page)
		if err != nil {
			return err
		}
		for i := range page {
			e := &page[i]
			if err := v.compareEntry(e, here[e.ID], attempts[e.ID]); err != nil {
				return err
			}
			delete(here, e.ID)
		}
		for _, r := range here {
			v.stray(r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return v.beyond(ctx)
}

// rowsOf returns the rows that stand in the places of entries, and the rows of these entries wherever they stand.
func (v *verification) rowsOf(ctx context.Context, page []ledger.Entry) (map[uuid.UUID]*entryRow, error) {
	var rows []entryRow
	err := v.db.NewSelect().Model(&rows).Where("window_id = ?", v.id).
		Where("seq BETWEEN ? AND ?", page[0].Seq, page[len(page)-1].Seq).Scan(ctx)
	if err != nil {
		return nil, err
	}
	here := make(map[uuid.UUID]*entryRow, len(rows))
	for i := range rows {
		here[rows[i].ID] = &rows[i]
	}
	var missing []uuid.UUID
	for i := range page {
		if here[page[i].ID] == nil {
			missing = append(missing, page[i].ID)
		}
	}
	if len(missing) == 0 {
		return here, nil
	}
	var more []entryRow
	err = v.db.NewSelect().Model(&more).Where("window_id = ?", v.id).Where("id IN (?)", bun.List(missing)).Scan(ctx)
	for i := range more {
		here[more[i].ID] = &more[i]
	}
	return here, err
}

func (v *verification) attemptsOf(ctx context.Context, page []ledger.Entry) (map[uuid.UUID][]attemptRow, error) {
	ids := make([]uuid.UUID, 0, len(page))
	for i := range page {
		ids = append(ids, page[i].ID)
	}
	var rows []attemptRow
	err := v.db.NewSelect().Model(&rows).Where("entry_id IN (?)", bun.List(ids)).OrderExpr("entry_id, n").Scan(ctx)
	at := map[uuid.UUID][]attemptRow{}
	for _, r := range rows {
		at[r.EntryID] = append(at[r.EntryID], r)
	}
	return at, err
}

// compareEntry compares one entry with its row, nil: it has none, and its attempts.
func (v *verification) compareEntry(e *ledger.Entry, got *entryRow, attempts []attemptRow) error {
	want, err := entryToRow(e)
	if err != nil {
		return err
	}
	if got == nil {
		v.odd(e.Journal.Number, "the row of entry %d is not there", e.Seq)
		return nil
	}
	v.untouched(got)
	if column := differs(entryTable.columns, want.args(), got.args(), []string{"data_key"}); column != "" {
		v.odd(e.Journal.Number, "entries.%s of entry %d is not what the journal tells", column, e.Seq)
	}
	if len(attempts) != len(e.Attempts) {
		v.odd(e.Journal.Number, "entry %d has %d attempts and the journal tells of %d", e.Seq, len(attempts), len(e.Attempts))
		return nil
	}
	for i := range attempts {
		if column := differs(attemptTable.columns, attemptArgs(e.ID, e.Attempts[i]), attemptArgs(e.ID, attempts[i].attempt()), nil); column != "" {
			v.odd(e.Journal.Number, "attempts.%s of entry %d is not what the journal tells", column, e.Seq)
		}
	}
	return nil
}

// untouched looks whether a record that is not there has touched an entry.
func (v *verification) untouched(r *entryRow) {
	if n := r.JournalNumber; n > v.last.Number {
		v.fault(v.last.Number+1, "it is missing, and record %d has touched entry %d: the tail is cut off", n, r.Seq)
	}
}

// stray is a row that no record tells of.
func (v *verification) stray(r *entryRow) {
	v.untouched(r)
	v.odd(v.last.Number+1, "entry %d stands there and no record tells of it", r.Seq)
}

// beyond looks for a row before the first entry or behind the last: one is enough, and if one was touched by a record that is not
// there, that one. Rows that are being removed are passed over.
func (v *verification) beyond(ctx context.Context) error {
	q := v.db.NewSelect().Model((*entryRow)(nil)).Where("window_id = ?", v.id).
		Where("seq NOT BETWEEN ? AND ?", v.First(), v.Window.LastSeq)
	if p := v.Window.Pruned; p != nil {
		q = q.Where("seq > ?", p.LastSeq)
	}
	var rows []entryRow
	err := q.OrderExpr("journal_number DESC").Limit(1).Scan(ctx, &rows)
	for i := range rows {
		v.stray(&rows[i])
	}
	return err
}
