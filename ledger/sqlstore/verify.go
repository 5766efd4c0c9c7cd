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
// well. It changes nothing, and keeps no more of a window than its outline. A window that was removed whole does not show here: see the signed heads.
func (s *Store) Verify(ctx context.Context) ([]journal.Damage, error) {
	var bad []journal.Damage
	err := s.snapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		ids, err := windowIDs(ctx, tx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			v := &verification{replay: replay{db: tx, id: id}}
			if err := v.run(ctx); err != nil {
				return err
			}
			if v.bad != nil {
				bad = append(bad, *v.bad)
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
	replay
	bad  *journal.Damage // the one to name; nil: none was found
	last ledger.Head
	// begins is the number of the record that says that everything before it was removed; 0: nothing was. What stands before
	// it is not looked at: it is being removed.
	begins int64
}

func (v *verification) fault(number int64, format string, args ...any) {
	v.found(journal.Damage{WindowID: v.id.String(), Number: number, Problem: fmt.Sprintf(format, args...)})
}

// odd says that a row is not what the journal tells.
func (v *verification) odd(number int64, format string, args ...any) {
	v.found(journal.Damage{WindowID: v.id.String(), Number: number, Problem: fmt.Sprintf(format, args...), Row: true})
}

func (v *verification) found(d journal.Damage) {
	if v.bad == nil || d.Before(*v.bad) {
		v.bad = &d
	}
}

func (v *verification) run(ctx context.Context) error {
	err := v.db.NewSelect().TableExpr("windows").Column("pruned_number").Where("id = ?", v.id).Scan(ctx, &v.begins)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	v.last.Number = max(v.begins, 1) - 1
	if err := v.chain(ctx); err != nil || v.bad != nil {
		return err // what the rows should be is not known beyond a broken chain
	}
	if err := v.window(ctx); err != nil {
		return err
	}
	if err := v.compareEntries(ctx); err != nil {
		return err
	}
	if err := v.tally(ctx); err != nil {
		return err
	}
	return v.rollbacks(ctx)
}

// errBroken ends a chain.
var errBroken = errors.New("the chain is broken")

// chain follows the journal from its first record, or the one that it begins with, to its last.
func (v *verification) chain(ctx context.Context) error {
	err := v.records(ctx, v.last.Number, func(r *recordRow) error {
		problem := v.begin(r)
		if problem == "" {
			problem = v.follow(r)
		}
		if problem != "" {
			v.fault(v.last.Number+1, "%s", problem)
			return errBroken
		}
		return nil
	})
	if errors.Is(err, errBroken) {
		return nil
	}
	return err
}

// follow checks one row of the journal and takes it in; problem says what is wrong with it.
func (v *verification) follow(r *recordRow) (problem string) {
	var body struct {
		Number     int64           `json:"number"`
		Kind       string          `json:"kind"`
		WindowID   uuid.UUID       `json:"window_id"`
		EntryID    string          `json:"entry_id"`
		RollbackID string          `json:"rollback_id"`
		At         json.RawMessage `json:"at"`
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
	if at, err := timeOf(body.At); err != nil || micros(at) != r.At {
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
		err = v.Apply(rec)
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
	want, err := windowToRow(&v.Window)
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

// rollbacks compares the runs, but for their leases, which no record tells.
func (v *verification) rollbacks(ctx context.Context) error {
	var rows []rollbackRow
	if err := v.db.NewSelect().Model(&rows).Where("window_id = ?", v.id).Scan(ctx); err != nil {
		return err
	}
	for i := range v.Rollbacks {
		want, err := rollbackToRow(&v.Rollbacks[i])
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

// Hashes returns the stored hashes of a window's records from one number to another, by number, and the number of the window's first
// record, which is more than 1 if earlier ones were removed; 0: it has none.
func (s *Store) Hashes(ctx context.Context, windowID uuid.UUID, from, to int64) (first int64, hashes map[int64][32]byte, err error) {
	var rows []recordRow
	err = s.read.NewSelect().Model(&rows).Column("number", "hash").Where("window_id = ?", windowID).
		Where("number BETWEEN ? AND ?", from, to).Scan(ctx)
	if err == nil { // afterwards: what is removed meanwhile is not taken for missing
		err = s.read.NewSelect().TableExpr("journal").ColumnExpr("COALESCE(MIN(number), 0)").Where("window_id = ?", windowID).Scan(ctx, &first)
	}
	hashes = make(map[int64][32]byte, len(rows))
	for i := range rows {
		var one [32]byte
		if err == nil {
			err = hash(&one, rows[i].Hash)
		}
		hashes[rows[i].Number] = one
	}
	return first, hashes, s.dialect.problem("read hashes of", windowID.String(), err)
}

// timeOf reads when a record was made; nothing: never.
func timeOf(raw json.RawMessage) (at time.Time, err error) {
	if len(raw) > 0 {
		err = json.Unmarshal(raw, &at)
	}
	return at, err
}
