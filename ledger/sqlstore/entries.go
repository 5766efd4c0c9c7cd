package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// snapshot runs reads that must agree with each other.
func (s *Store) snapshot(ctx context.Context, fn func(ctx context.Context, tx bun.Tx) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if s.file == "" {
		opts.Isolation = sql.LevelRepeatableRead // SQLite has nothing weaker than a snapshot
	}
	err := s.read.RunInTx(ctx, opts, fn)
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil { // the caller has gone, and database/sql ended the transaction
		return ctx.Err()
	}
	return err
}

// GetEntry implements [ledger.Reader].
func (s *Store) GetEntry(ctx context.Context, id uuid.UUID) (*ledger.Entry, error) {
	var e *ledger.Entry
	err := s.snapshot(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		e, err = getEntry(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, s.dialect.problem("get entry", id.String(), err)
	}
	if e == nil {
		return nil, ledger.NotFound("entry", id.String())
	}
	return e, nil
}

// getEntry returns an entry with its attempts, or nil.
func getEntry(ctx context.Context, db bun.IDB, id uuid.UUID) (*ledger.Entry, error) {
	var rows []entryRow
	if err := db.NewSelect().Model(&rows).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, err
	}
	es, err := withAttempts(ctx, db, rows)
	if err != nil || len(es) == 0 {
		return nil, err
	}
	return &es[0], nil
}

// entryReads are reads of single entries with their attempts.
type entryReads struct {
	rows     []entryRow
	attempts []attemptRow
}

// steps reads the entries with these ids.
func (r *entryReads) steps(ids []uuid.UUID) []step {
	out := make([]step, 0, 2*len(ids))
	for _, id := range ids {
		out = append(out,
			step{query: selectEntry, args: []any{id}, rowFunc: func(scan scanFunc) error {
				r.rows = append(r.rows, entryRow{})
				return scan(r.rows[len(r.rows)-1].fields()...)
			}},
			step{query: selectAttempts, args: []any{id}, rowFunc: func(scan scanFunc) error {
				r.attempts = append(r.attempts, attemptRow{})
				return scan(r.attempts[len(r.attempts)-1].fields()...)
			}})
	}
	return out
}

// list returns those that are there.
func (r *entryReads) list() ([]ledger.Entry, error) {
	list, err := convert(r.rows, (*entryRow).entry)
	for i := range list {
		for j := range r.attempts {
			if r.attempts[j].EntryID == list[i].ID {
				list[i].Attempts = append(list[i].Attempts, r.attempts[j].attempt())
			}
		}
	}
	return list, err
}

// ListEntries implements [ledger.Reader]. A limit below 1 returns nothing.
func (s *Store) ListEntries(ctx context.Context, q ledger.EntryQuery) ([]ledger.Entry, error) {
	if q.Limit < 1 {
		return nil, nil
	}
	if q.Aliased {
		if some, err := s.anyAliased(ctx, q.WindowID); err != nil || !some {
			return nil, s.dialect.problem("list entries of", q.WindowID.String(), err)
		}
	}
	var es []ledger.Entry
	err := s.snapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		top, err := highestSeq(ctx, tx, q)
		if err != nil {
			return err
		}
		rows, err := pageOf(ctx, tx, q, top)
		if err != nil {
			return err
		}
		es, err = withAttempts(ctx, tx, rows)
		return err
	})
	return es, s.dialect.problem("list entries of", q.WindowID.String(), err)
}

// pageOf reads the rows of a page. States are read one by one, each in the order of its index: where those that are asked for are
// rare, a read of several would go through the whole window.
func pageOf(ctx context.Context, tx bun.Tx, q ledger.EntryQuery, top int) ([]entryRow, error) {
	var rows []entryRow
	if len(q.States) < 2 {
		return rows, filtered(tx.NewSelect().Model(&rows), q, top).Scan(ctx)
	}
	states := slices.Compact(slices.Sorted(slices.Values(q.States)))
	for _, state := range states {
		var found []entryRow
		q.States = []ledger.EntryState{state}
		if err := filtered(tx.NewSelect().Model(&found), q, top).Scan(ctx); err != nil {
			return nil, err
		}
		rows = append(rows, found...)
	}
	slices.SortFunc(rows, func(a, b entryRow) int {
		if q.Desc {
			return cmp.Compare(b.Seq, a.Seq)
		}
		return cmp.Compare(a.Seq, b.Seq)
	})
	return rows[:min(len(rows), q.Limit)], nil
}

// anyAliased reports whether the window has an entry with an alias. Nearly none has, and a rollback asks for each
// of its entries.
func (s *Store) anyAliased(ctx context.Context, windowID uuid.UUID) (bool, error) {
	const query = "SELECT EXISTS (SELECT 1 FROM entries WHERE window_id = ? AND alias IS NOT NULL)"
	var rows []bool
	if err := s.find(ctx, &rows, query, windowID); err != nil {
		return false, err
	}
	return len(rows) > 0 && rows[0], nil
}

// highestSeq returns the highest Seq of the window where q asks for a resource, which is looked for by it.
func highestSeq(ctx context.Context, db bun.IDB, q ledger.EntryQuery) (top int, err error) {
	if q.Resource == (ledger.Key{}) {
		return 0, nil
	}
	err = db.NewSelect().TableExpr("entries").ColumnExpr("COALESCE(MAX(seq), 0)").Where("window_id = ?", q.WindowID).Scan(ctx, &top)
	return top, err
}

// byResource keeps the entries of one resource in a window whose highest Seq is top. The window is written
// so that no index serves it, lest a planner without statistics walks all of the window.
func byResource(q *bun.SelectQuery, windowID uuid.UUID, key ledger.Key, top int) *bun.SelectQuery {
	return q.Where("resource_ref IN (?)", bun.List(resourceRefs(windowID, key, top))).
		Where("resource_key = ?", key[:]).Where("CAST(window_id AS TEXT) = ?", windowID.String())
}

// filtered writes the conditions of q, its order and its limit. The page begins behind q.From.
func filtered(sq *bun.SelectQuery, q ledger.EntryQuery, top int) *bun.SelectQuery {
	if q.Resource != (ledger.Key{}) {
		sq = byResource(sq, q.WindowID, q.Resource, top)
	} else {
		sq = sq.Where("window_id = ?", q.WindowID).Where(unpruned("seq + 0 >", "pruned_seq"), q.WindowID)
	}
	sq = selected(sq, q.Select)
	if len(q.States) > 0 {
		sq = sq.Where("state IN (?)", bun.List(texts(q.States)))
	}
	if q.OpenOnly {
		sq = sq.Where("open")
	}
	if q.RecordedBy != "" {
		sq = sq.Where("recorded_by = ?", q.RecordedBy)
	}
	if q.Aliased {
		sq = sq.Where("alias IS NOT NULL")
	}
	if q.Doubted {
		sq = sq.Where("doubted")
	}
	switch {
	case q.Desc && q.From != 0:
		sq = sq.Where("seq < ?", q.From)
	case q.From != 0:
		sq = sq.Where("seq > ?", q.From)
	}
	order := "seq"
	if q.Desc {
		order = "seq DESC"
	}
	return sq.OrderExpr(order).Limit(int64(q.Limit))
}

func texts[S ~string](in []S) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	return out
}

// attemptsAtOnce limits how many entries one read of attempts names.
const attemptsAtOnce = 500

// withAttempts turns rows into entries and reads their attempts.
func withAttempts(ctx context.Context, db bun.IDB, rows []entryRow) ([]ledger.Entry, error) {
	es, err := convert(rows, (*entryRow).entry)
	if err != nil {
		return nil, err
	}
	at := make(map[uuid.UUID]*ledger.Entry, len(es))
	ids := make([]uuid.UUID, len(es))
	for i := range es {
		at[es[i].ID], ids[i] = &es[i], es[i].ID
	}
	for part := range slices.Chunk(ids, attemptsAtOnce) {
		var found []attemptRow
		err := db.NewSelect().Model(&found).Where("entry_id IN (?)", bun.List(part)).OrderExpr("entry_id, n").Scan(ctx)
		if err != nil {
			return nil, fmt.Errorf("read attempts: %w", err)
		}
		for i := range found {
			e := at[found[i].EntryID]
			e.Attempts = append(e.Attempts, found[i].attempt())
		}
	}
	return es, nil
}

// convert turns rows into what they hold; no rows are nil.
func convert[R, T any](rows []R, fn func(*R) (*T, error)) ([]T, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	out := make([]T, len(rows))
	for i := range rows {
		v, err := fn(&rows[i])
		if err != nil {
			return nil, err
		}
		out[i] = *v
	}
	return out, nil
}

// SharedResources implements [ledger.Scanner].
func (s *Store) SharedResources(ctx context.Context, windowID uuid.UUID) (map[ledger.Key]int, error) {
	var rows []struct {
		Key []byte `bun:"resource_key"`
		N   int    `bun:"n"`
	}
	err := s.read.NewSelect().TableExpr("entries").Column("resource_key").ColumnExpr("COUNT(*) AS n").
		Where("window_id = ?", windowID).Where("resource_key IS NOT NULL").Where("open").
		GroupExpr("resource_key").Having("COUNT(*) > 1").Scan(ctx, &rows)
	if err != nil {
		return nil, s.dialect.problem("list shared resources of", windowID.String(), err)
	}
	shared := make(map[ledger.Key]int, len(rows))
	for _, r := range rows {
		var k [32]byte
		if err := hash(&k, r.Key); err != nil {
			return nil, err
		}
		shared[k] = r.N
	}
	return shared, nil
}

// SystemsInUse implements [ledger.Scanner]. A window is unfinished until it is kept or rolled back. The names are sorted.
func (s *Store) SystemsInUse(ctx context.Context) ([]string, error) {
	var names []string
	err := s.read.NewSelect().Distinct().TableExpr("entries AS e").Column("e.system").
		Join("JOIN windows AS w ON w.id = e.window_id").
		Where("w.state NOT IN (?)", bun.List(texts([]ledger.WindowState{ledger.WindowKept, ledger.WindowRolledBack}))).
		Where("e.open").Scan(ctx, &names)
	if err == nil {
		names, err = s.withRestores(ctx, names)
	}
	slices.Sort(names)
	return slices.Compact(names), s.dialect.problem("list systems in use", "", err)
}
