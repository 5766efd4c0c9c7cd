package sqlstore

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// selected keeps the entries that sel picks: what it leaves of a window is what sel.Has says of each.
func selected(q *bun.SelectQuery, sel ledger.Selection) *bun.SelectQuery {
	if len(sel.Also) > 0 {
		return q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			also := sel.Also
			sel.Also = nil
			return selected(q, sel).WhereOr("id IN (?)", bun.List(also))
		})
	}
	if sel.After != 0 {
		q = q.Where("seq > ?", sel.After)
	}
	if sel.UpTo != 0 {
		q = q.Where("seq <= ?", sel.UpTo)
	}
	if len(sel.Only) > 0 {
		if cond, args := anyOf(sel.Only); cond != "" {
			q = q.Where(cond, args...)
		} else {
			q = q.Where("1 = 0")
		}
	}
	if cond, args := anyOf(sel.Exclude); cond != "" {
		q = q.Where("NOT ("+cond+")", args...)
	}
	return q
}

// picked are the values that terms name, by column.
type picked struct {
	ids     []uuid.UUID
	seqs    []int
	systems []string
	kinds   []string
	tags    []string
}

// anyOf writes the condition that one of the terms matches. It is empty if none can match anything.
func anyOf(ts []ledger.Term) (cond string, args []any) {
	var p picked
	for _, t := range ts {
		p.add(t)
	}
	var conds []string
	in := func(column string, n int, values any) {
		if n > 0 {
			conds, args = append(conds, column+" IN (?)"), append(args, bun.List(values))
		}
	}
	in("id", len(p.ids), p.ids)
	in("seq", len(p.seqs), p.seqs)
	in("system", len(p.systems), p.systems)
	in("kind", len(p.kinds), p.kinds)
	in("tag", len(p.tags), p.tags)
	return strings.Join(conds, " OR "), args
}

// add reads one term in the order in which it is matched. Of a term that sets more than one field the first counts.
func (p *picked) add(t ledger.Term) {
	switch {
	case t.ID != uuid.Nil:
		p.ids = append(p.ids, t.ID)
	case t.Seq != 0:
		p.seqs = append(p.seqs, t.Seq)
	case t.System != "":
		p.systems = appendText(p.systems, t.System)
	case t.Kind != "":
		p.kinds = appendText(p.kinds, t.Kind)
	default:
		p.tags = appendText(p.tags, t.Tag)
	}
}

// appendText leaves out what no stored text can equal: nothing, and what a database cannot hold as text.
func appendText(to []string, s string) []string {
	if s == "" || strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		return to
	}
	return append(to, s)
}

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

// countEntries counts in one pass over an index; a selection by system, kind or tag reads the rows too.
func countEntries(ctx context.Context, db bun.IDB, windowID uuid.UUID, sel ledger.Selection) (ledger.Counts, error) {
	var tallies []tally
	if err := tallied(db, windowID, sel).Scan(ctx, &tallies); err != nil {
		return ledger.Counts{}, err
	}
	var c ledger.Counts
	for _, t := range tallies {
		t.addTo(&c)
	}
	return c, nil
}

// tallied asks for a tally of each state.
func tallied(db bun.IDB, windowID uuid.UUID, sel ledger.Selection) *bun.SelectQuery {
	q := db.NewSelect().TableExpr("entries").Column("state").ColumnExpr("COUNT(*) AS total").
		ColumnExpr("SUM(CASE WHEN on_rollback = ? THEN 1 ELSE 0 END) AS retained", string(ledger.OnRollbackRetain))
	for _, o := range []ledger.Outcome{
		ledger.OutcomeAlreadyUndone, ledger.OutcomeCompensated, ledger.OutcomeUnverified, ledger.OutcomeByHand,
	} {
		q = q.ColumnExpr("SUM(CASE WHEN outcome = ? THEN 1 ELSE 0 END) AS ?", string(o), bun.Ident(o))
	}
	return selected(q.Where("window_id = ?", windowID).Where(unpruned("seq + 0 >", "pruned_seq"), windowID), sel).GroupExpr("state")
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
