package sqlstore

import (
	"context"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// tally is what entries in one state add up to.
type tally struct {
	State         string `bun:"state"`
	Total         int    `bun:"total"`
	Retained      int    `bun:"retained"`
	AlreadyUndone int    `bun:"already_undone"`
	Compensated   int    `bun:"compensated"`
	Unverified    int    `bun:"unverified"`
	ByHand        int    `bun:"by_hand"`
}

// countsAs are the outcomes that are counted apart.
var countsAs = []ledger.Outcome{
	ledger.OutcomeAlreadyUndone, ledger.OutcomeCompensated, ledger.OutcomeUnverified, ledger.OutcomeByHand,
}

// perState adds up n of every row of a query, for each state.
func perState(q *bun.SelectQuery, n string) *bun.SelectQuery {
	weight := bun.Safe(n)
	q = q.Column("state").ColumnExpr("CAST(SUM(?) AS BIGINT) AS total", weight).
		ColumnExpr("CAST(SUM(CASE WHEN on_rollback = ? THEN ? ELSE 0 END) AS BIGINT) AS retained", string(ledger.OnRollbackRetain), weight)
	for _, o := range countsAs {
		q = q.ColumnExpr("CAST(SUM(CASE WHEN outcome = ? THEN ? ELSE 0 END) AS BIGINT) AS ?", string(o), weight, bun.Ident(o))
	}
	return q.GroupExpr("state")
}

// tallied counts the entries themselves, in one pass over an index; a selection by system, kind or tag reads the rows too.
func tallied(db bun.IDB, windowID uuid.UUID, sel ledger.Selection) *bun.SelectQuery {
	q := db.NewSelect().TableExpr("entries").Where("window_id = ?", windowID).Where(unpruned("seq + 0 >", "pruned_seq"), windowID)
	return perState(selected(q, sel), "1")
}

// counted reads what the database has counted with every change (see the migration). A row without a state says that it has done
// so from the window's first entry. There is nothing of a window that was pruned.
func counted(db bun.IDB, windowID uuid.UUID) *bun.SelectQuery {
	q := db.NewSelect().TableExpr("tallies").Where("window_id = ?", windowID).
		Where("EXISTS (SELECT 1 FROM windows AS w WHERE w.id = ? AND w.pruned_seq = 0)", windowID)
	return perState(q, "total")
}

// sum adds tallies up. whole: one of them says that the others are all.
func sum(ctx context.Context, q *bun.SelectQuery) (c ledger.Counts, whole bool, err error) {
	var tallies []tally
	if err := q.Scan(ctx, &tallies); err != nil {
		return c, false, err
	}
	for _, t := range tallies {
		t.addTo(&c)
		whole = whole || t.State == ""
	}
	return c, whole, nil
}

// countEntries counts the entries themselves.
func countEntries(ctx context.Context, db bun.IDB, windowID uuid.UUID, sel ledger.Selection) (ledger.Counts, error) {
	c, _, err := sum(ctx, tallied(db, windowID, sel))
	return c, err
}

// CountEntries implements [ledger.Reader]. All entries of a window are told by its tally; a selection is counted.
func (s *Store) CountEntries(ctx context.Context, windowID uuid.UUID, sel ledger.Selection) (ledger.Counts, error) {
	if sel.All() && sel.UpTo == 0 {
		c, whole, err := sum(ctx, counted(s.read, windowID))
		if whole || err != nil {
			return c, s.dialect.problem("count entries of", windowID.String(), err)
		}
	}
	c, err := countEntries(ctx, s.read, windowID, sel)
	return c, s.dialect.problem("count entries of", windowID.String(), err)
}

// tally compares what the database has counted with the entries.
func (v *verification) tally(ctx context.Context) error {
	got, whole, err := sum(ctx, counted(v.db, v.id))
	if !whole || err != nil {
		return err
	}
	want, err := countEntries(ctx, v.db, v.id, ledger.Selection{})
	if got != want {
		v.odd(max(v.last.Number, 1), "the tally of its entries is %+v, and they are %+v", got, want)
	}
	return err
}

// addTo sorts one state's entries into c. A retained entry counts as retained for as long as it has no other end.
func (t tally) addTo(c *ledger.Counts) {
	switch ledger.EntryState(t.State) {
	case ledger.EntryUndone:
		c.Undone += t.Total - t.AlreadyUndone - t.Compensated - t.Unverified - t.ByHand
		c.AlreadyUndone += t.AlreadyUndone
		c.Compensated += t.Compensated
		c.Unverified += t.Unverified
		c.ByHand += t.ByHand
	case ledger.EntryVoid:
		c.Void += t.Total
	case ledger.EntryWaived:
		c.Waived += t.Total
	case ledger.EntryStuck:
		c.Stuck += t.Total - t.Retained
		c.Retained += t.Retained
	case ledger.EntryIntended, ledger.EntryApplied, ledger.EntryUndoing:
		c.Remaining += t.Total - t.Retained
		c.Retained += t.Retained
	}
}
