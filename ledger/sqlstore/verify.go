package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// Verify recomputes the chain of every window from the stored bytes and compares every row of windows, entries, attempts and
// rollbacks with what the journal tells. It returns the first bad record of each window, by its lowest number; none: all is
// well. It changes nothing. A window that was removed whole does not show here: see the signed heads.
func (s *Store) Verify(ctx context.Context) ([]journal.Damage, error) {
	var bad []journal.Damage
	err := s.snapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		ids, err := windowIDs(ctx, tx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			v := &verification{db: tx, id: id}
			if err := v.run(ctx); err != nil {
				return err
			}
			if len(v.bad) > 0 {
				first := v.bad[0]
				for _, d := range v.bad[1:] {
					if d.Before(first) {
						first = d
					}
				}
				bad = append(bad, first)
			}
		}
		return nil
	})
	return bad, s.dialect.problem("verify", "", err)
}

// windowIDs are the windows that any row names.
func windowIDs(ctx context.Context, db bun.IDB) (ids []uuid.UUID, err error) {
	err = db.NewRaw("SELECT id FROM windows UNION SELECT window_id FROM journal UNION SELECT window_id FROM entries UNION SELECT window_id FROM rollbacks ORDER BY 1").
		Scan(ctx, &ids)
	return ids, err
}

// A verification checks one window.
type verification struct {
	db    bun.IDB
	id    uuid.UUID
	bad   []journal.Damage
	built ledger.Rebuilt
	last  ledger.Head
	// begins is the number of the record that says that everything before it was removed; 0: nothing was. What stands before
	// it is not looked at: it is being removed.
	begins int64
}

func (v *verification) fault(number int64, format string, args ...any) {
	v.bad = append(v.bad, journal.Damage{WindowID: v.id.String(), Number: number, Problem: fmt.Sprintf(format, args...)})
}

// odd says that a row is not what the journal tells.
func (v *verification) odd(number int64, format string, args ...any) {
	v.fault(number, format, args...)
	v.bad[len(v.bad)-1].Row = true
}

func (v *verification) run(ctx context.Context) error {
	err := v.db.NewSelect().TableExpr("windows").Column("pruned_number").Where("id = ?", v.id).Scan(ctx, &v.begins)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	v.last.Number = max(v.begins, 1) - 1
	if err := v.chain(ctx); err != nil || len(v.bad) > 0 {
		return err // what the rows should be is not known beyond a broken chain
	}
	if err := v.window(ctx); err != nil {
		return err
	}
	if err := v.entries(ctx); err != nil {
		return err
	}
	if err := v.tally(ctx); err != nil {
		return err
	}
	return v.rollbacks(ctx)
}

// chain follows the journal from its first record, or the one that it begins with, to its last.
func (v *verification) chain(ctx context.Context) error {
	for {
		var page []recordRow
		err := v.db.NewSelect().Model(&page).Where("window_id = ?", v.id).Where("number > ?", v.last.Number).
			OrderExpr("number").Limit(mirrorPage).Scan(ctx)
		if err != nil {
			return err
		}
		for i := range page {
			problem := v.begin(&page[i])
			if problem == "" {
				problem = v.follow(&page[i])
			}
			if problem != "" {
				v.fault(v.last.Number+1, "%s", problem)
				return nil
			}
		}
		if len(page) == 0 {
			return nil
		}
	}
}

// follow checks one row of the journal and takes it in; problem says what is wrong with it.
func (v *verification) follow(r *recordRow) (problem string) {
	var body struct {
		Number     int64     `json:"number"`
		Kind       string    `json:"kind"`
		WindowID   uuid.UUID `json:"window_id"`
		EntryID    string    `json:"entry_id"`
		RollbackID string    `json:"rollback_id"`
	}
	hash := journal.Chain(v.last.Hash, r.Body)
	switch {
	case r.Number != v.last.Number+1:
		return "it is missing"
	case !slices.Equal(hash[:], r.Hash):
		return "its hash does not follow from its bytes and the record before it"
	case json.Unmarshal(r.Body, &body) != nil:
		return "it is not JSON"
	case body.Number != r.Number || body.Kind != r.Kind || body.WindowID != v.id || body.EntryID != r.EntryID || body.RollbackID != r.RollbackID:
		return "the columns of its row are not what it says"
	}
	if at, err := timeOf(r.Body); err != nil || micros(at) != r.At {
		return "the time of its row is not what it says"
	}
	v.last = ledger.Head{Number: r.Number, Hash: hash}
	return v.apply(r)
}

// begin lets the chain begin with a record that says that everything before it was removed; problem: it does not.
func (v *verification) begin(r *recordRow) (problem string) {
	if r.Number != v.begins {
		return ""
	}
	prev, ok := journal.Record{Kind: r.Kind, Body: r.Body}.Follows()
	if !ok {
		return "the journal begins with it, and it does not say that anything was removed"
	}
	v.last.Hash = prev
	return ""
}

// apply takes a record into what the rows should be.
func (v *verification) apply(r *recordRow) (problem string) {
	rec, err := r.record()
	if err == nil {
		err = v.built.Apply(rec)
	}
	if err != nil {
		v.last.Number-- // it is this one that is bad
		return "it cannot be read: " + err.Error()
	}
	return ""
}

// window compares the fence row.
func (v *verification) window(ctx context.Context) error {
	var rows []windowRow
	if err := v.db.NewSelect().Model(&rows).Where("id = ?", v.id).Scan(ctx); err != nil {
		return err
	}
	if len(rows) == 0 {
		v.fault(1, "the window's row is not there, and records or entries of it are")
		return nil
	}
	want, err := windowToRow(&v.built.Window)
	if err != nil {
		return err
	}
	switch got := &rows[0]; {
	case got.HeadNumber > v.last.Number:
		v.fault(v.last.Number+1, "it is missing, and the window's head is record %d: the tail is cut off", got.HeadNumber)
	case got.HeadNumber < v.last.Number:
		v.fault(got.HeadNumber+1, "it stands behind the window's head, which is record %d", got.HeadNumber)
	case v.last.Number == 0 && got.HeadNumber == 0: // a window without a record: only tests make one
	default:
		if column := differs(windowTable.columns, want.args(), got.args(), nil); column != "" {
			v.odd(max(v.last.Number, 1), "windows.%s is not what the journal tells", column)
		}
	}
	return nil
}

// entries compares the entries and their attempts, but for data keys, which no record tells: a rotation wraps them anew. What it names is the record that last touched the entry.
func (v *verification) entries(ctx context.Context) error {
	var rows []entryRow
	q := v.db.NewSelect().Model(&rows).Where("window_id = ?", v.id)
	if p := v.built.Window.Pruned; p != nil {
		q = q.Where("seq > ?", p.LastSeq)
	}
	if err := q.Scan(ctx); err != nil {
		return err
	}
	here := map[uuid.UUID]*entryRow{}
	for i := range rows {
		if n := rows[i].JournalNumber; n > v.last.Number {
			v.fault(v.last.Number+1, "it is missing, and record %d has touched entry %d: the tail is cut off", n, rows[i].Seq)
		}
		here[rows[i].ID] = &rows[i]
	}
	for i := range v.built.Entries {
		e := &v.built.Entries[i]
		want, err := entryToRow(e)
		if err != nil {
			return err
		}
		got := here[e.ID]
		delete(here, e.ID)
		if got == nil {
			v.odd(e.Journal.Number, "the row of entry %d is not there", e.Seq)
			continue
		}
		if column := differs(entryTable.columns, want.args(), got.args(), []string{"data_key"}); column != "" {
			v.odd(e.Journal.Number, "entries.%s of entry %d is not what the journal tells", column, e.Seq)
		}
		if err := v.attempts(ctx, e); err != nil {
			return err
		}
	}
	for _, r := range here {
		v.odd(v.last.Number+1, "entry %d stands there and no record tells of it", r.Seq)
	}
	return nil
}

func (v *verification) attempts(ctx context.Context, e *ledger.Entry) error {
	var rows []attemptRow
	if err := v.db.NewSelect().Model(&rows).Where("entry_id = ?", e.ID).OrderExpr("n").Scan(ctx); err != nil {
		return err
	}
	if len(rows) != len(e.Attempts) {
		v.odd(e.Journal.Number, "entry %d has %d attempts and the journal tells of %d", e.Seq, len(rows), len(e.Attempts))
		return nil
	}
	for i := range rows {
		if column := differs(attemptTable.columns, attemptArgs(e.ID, e.Attempts[i]), attemptArgs(e.ID, rows[i].attempt()), nil); column != "" {
			v.odd(e.Journal.Number, "attempts.%s of entry %d is not what the journal tells", column, e.Seq)
		}
	}
	return nil
}

// rollbacks compares the runs, but for their leases, which no record tells.
func (v *verification) rollbacks(ctx context.Context) error {
	var rows []rollbackRow
	if err := v.db.NewSelect().Model(&rows).Where("window_id = ?", v.id).Scan(ctx); err != nil {
		return err
	}
	for i := range v.built.Rollbacks {
		want, err := rollbackToRow(&v.built.Rollbacks[i])
		if err != nil {
			return err
		}
		at := slices.IndexFunc(rows, func(r rollbackRow) bool { return r.ID == want.ID })
		if at < 0 {
			v.odd(v.last.Number, "the row of rollback %s is not there", want.ID)
			continue
		}
		if column := differs(rollbackTable.columns, want.args(), rows[at].args(), []string{"lease_until"}); column != "" {
			v.odd(v.last.Number, "rollbacks.%s is not what the journal tells", column)
		}
		rows = slices.Delete(rows, at, at+1)
	}
	if len(rows) > 0 {
		v.odd(v.last.Number+1, "rollback %s stands there and no record tells of it", rows[0].ID)
	}
	return nil
}

// differs names the first column in which two rows differ; empty: none. No bytes and an empty document are the same.
func differs(columns []string, want, got []any, except []string) string {
	for i, c := range columns {
		if slices.Contains(except, c) {
			continue
		}
		a, b := plain(want[i]), plain(got[i])
		if !reflect.DeepEqual(a, b) {
			return c
		}
	}
	return ""
}

func plain(v any) any {
	switch x := v.(type) {
	case []byte:
		return string(x)
	case json.RawMessage:
		return string(x)
	case *int64:
		if x == nil {
			return nil
		}
		return *x
	}
	return v
}

// Hashes returns the stored hashes of a window's records from number first on, which is 1 unless earlier ones were removed; a
// gap ends them.
func (s *Store) Hashes(ctx context.Context, windowID string) (first int64, hashes [][32]byte, err error) {
	id, err := uuid.Parse(windowID)
	if err != nil {
		return 0, nil, err
	}
	next := int64(0)
	for {
		list, err := s.ListRecords(ctx, ledger.RecordQuery{WindowID: id, After: next, Limit: mirrorPage})
		if err != nil || len(list) == 0 {
			return first, hashes, err
		}
		if len(hashes) == 0 {
			first, next = list[0].Number, list[0].Number-1
		}
		for _, r := range list {
			if r.Number != next+1 {
				return first, hashes, nil
			}
			hashes, next = append(hashes, r.Hash), r.Number
		}
	}
}

// timeOf reads when a record was made.
func timeOf(body []byte) (time.Time, error) {
	var r struct {
		At time.Time `json:"at"`
	}
	err := json.Unmarshal(body, &r)
	return r.At, err
}
