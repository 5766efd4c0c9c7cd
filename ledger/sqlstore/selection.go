package sqlstore

import (
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
