package sqlstore

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// A mark is where a unit began: what lies beyond it is the unit's own.
type mark struct {
	entries, records, replies int
}

// tx implements [ledger.Tx].
type tx struct {
	b     *batch
	f     *fence
	win   ledger.Window // the unit's own copy
	head  ledger.Head
	mark  mark
	saved bool // a savepoint stands
	over  bool // the function has returned
	top   int  // highest Seq that it added
}

var errOver = errors.New("a transaction was used after its function had returned")

// usable refuses what would write behind a returned function's back, or after a statement that failed or was refused.
func (t *tx) usable() error {
	if t.over {
		return errOver
	}
	return cmp.Or(t.b.err, t.b.refusal)
}

// save puts a savepoint before the unit's first statement that changes something, so that the unit can be
// taken back alone. What earlier units kept back is written before it, since it must not go with it.
func (t *tx) save() error {
	if t.saved || t.b.alone {
		return nil
	}
	if err := t.b.writeWindows(); err != nil {
		return err
	}
	if err := t.b.writeEntries(t.mark.entries); err != nil {
		return err
	}
	t.b.later(step{query: "SAVEPOINT unit"})
	if err := t.b.flush(); err != nil {
		return err
	}
	t.saved, t.b.held = true, nil
	return nil
}

// show sends what was kept back, so that a statement sees it.
func (t *tx) show() error {
	if err := t.usable(); err != nil {
		return err
	}
	if len(t.b.entries) > t.mark.entries { // the unit's own ones must be taken back with it
		if err := t.save(); err != nil {
			return err
		}
	}
	if err := t.b.writeEntries(len(t.b.entries)); err != nil {
		return err
	}
	return t.b.flush()
}

// change prepares for a statement that changes the window's rows other than by adding an entry. It is queued behind.
func (t *tx) change() error {
	if err := t.usable(); err != nil {
		return err
	}
	if err := t.save(); err != nil {
		return err
	}
	return t.b.writeWindows()
}

// Window implements [ledger.FenceTx].
func (t *tx) Window() *ledger.Window { return &t.win }

// Append implements [ledger.FenceTx].
func (t *tx) Append(r journal.Record) (ledger.Head, error) {
	if err := t.usable(); err != nil {
		return ledger.Head{}, err
	}
	if t.b.refused != nil {
		return ledger.Head{}, unavailable("append to", t.win.ID.String(), msgRefused, t.b.refused)
	}
	if r.Number != t.head.Number+1 {
		return ledger.Head{}, fmt.Errorf("append to %s: record %d cannot follow %d", t.win.ID, r.Number, t.head.Number)
	}
	if !bytes.Contains(r.Body, fmt.Appendf(nil, `"number":%d`, r.Number)) {
		return ledger.Head{}, fmt.Errorf("append to %s: the number %d does not stand in the record", t.win.ID, r.Number)
	}
	sum := journal.Chain(t.head.Hash, r.Body)
	t.b.records = append(t.b.records, &recordRow{
		WindowID: t.win.ID, Number: r.Number, Kind: r.Kind, EntryID: r.EntryID, RollbackID: r.RollbackID,
		At: micros(r.At), Body: bytes.Clone(r.Body), Hash: sum[:],
	})
	t.head = ledger.Head{Number: r.Number, Hash: sum}
	t.win.Head = t.head
	return t.head, nil
}

// SavePruning implements [ledger.FenceTx].
func (t *tx) SavePruning() error {
	if err := t.change(); err != nil {
		return err
	}
	var r windowRow
	r.prune(t.win.Pruned)
	t.b.later(
		step{query: "UPDATE windows SET pruned = ?, pruned_number = ?, pruned_seq = ? WHERE id = ?", args: []any{r.Pruned, r.PrunedNumber, r.PrunedSeq, t.win.ID}},
		step{query: "DELETE FROM rollbacks WHERE window_id = ? AND id <> ?", args: []any{t.win.ID, t.win.RollbackID}},
	)
	return nil
}

// Touched implements [ledger.FenceTx]. Records that are kept back stand behind those of the table.
func (t *tx) Touched(after int64, limit int) (ids []uuid.UUID, more bool, err error) {
	if err := t.usable(); err != nil {
		return nil, false, err
	}
	if err := t.b.flush(); err != nil {
		return nil, false, err
	}
	var texts []string
	err = t.b.c.db.NewSelect().TableExpr("journal").Column("entry_id").Where("window_id = ?", t.win.ID).
		Where("number > ?", after).OrderExpr("number").Limit(int64(limit)+1).Scan(t.b.ctx, &texts)
	if err != nil {
		return nil, false, t.b.fail(err)
	}
	for _, r := range t.b.records {
		if r.WindowID == t.win.ID && r.Number > after {
			texts = append(texts, r.EntryID)
		}
	}
	if len(texts) > limit {
		texts, more = texts[:limit], true
	}
	for _, s := range texts {
		if id, err := uuid.Parse(s); err == nil && !slices.Contains(ids, id) { // a record that is about no entry has none
			ids = append(ids, id)
		}
	}
	return ids, more, nil
}

// Count implements [ledger.FenceTx].
func (t *tx) Count(sel ledger.Selection) (ledger.Counts, error) {
	if err := t.show(); err != nil {
		return ledger.Counts{}, err
	}
	c, err := countEntries(t.b.ctx, t.b.c.db, t.win.ID, sel)
	return c, t.b.fail(err)
}

// FindEntry implements [ledger.EntryTx].
func (t *tx) FindEntry(id uuid.UUID) (*ledger.Entry, bool, error) {
	if err := t.usable(); err != nil {
		return nil, false, err
	}
	r := t.b.entryAt[id]
	if r != nil && !t.b.isWritten(r) {
		if r.WindowID != t.win.ID {
			return nil, true, nil
		}
		e, err := r.entry()
		return e, false, err
	}
	if r == nil {
		if newer, err := t.b.isNewer(id); newer || err != nil {
			return nil, false, t.b.fail(err)
		}
	}
	var reads entryReads
	if err := t.b.ask(reads.steps([]uuid.UUID{id})...); err != nil {
		return nil, false, err
	}
	list, err := reads.list()
	if err != nil {
		return nil, false, t.b.fail(err)
	}
	if len(list) == 0 || list[0].WindowID != t.win.ID {
		t.b.misses++
		return nil, len(list) > 0, nil
	}
	return &list[0], false, nil
}

// FindEntries implements [ledger.EntryTx].
func (t *tx) FindEntries(ids []uuid.UUID) ([]ledger.Entry, error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	reads := t.b.ahead.entries
	if !t.b.ahead.has(ids...) {
		reads = new(entryReads)
		err := t.show()
		if err == nil {
			err = t.b.ask(reads.steps(ids)...)
		}
		if err != nil {
			return nil, err
		}
	}
	list, err := reads.list()
	return slices.DeleteFunc(list, func(e ledger.Entry) bool { return e.WindowID != t.win.ID || !slices.Contains(ids, e.ID) }), t.b.fail(err)
}

// InsertEntry implements [ledger.EntryTx].
func (t *tx) InsertEntry(e *ledger.Entry) error {
	if err := t.usable(); err != nil {
		return err
	}
	if e.WindowID != t.win.ID {
		return fmt.Errorf("insert entry %s: it is of window %s, not of %s", e.ID, e.WindowID, t.win.ID)
	}
	if t.b.entryAt[e.ID] != nil {
		return ledger.Conflict("insert entry", e.ID.String(), "there is an entry with this id already")
	}
	r, err := entryToRow(e)
	if err != nil {
		return err
	}
	r.place = len(t.b.entries)
	r.JournalHash = bytes.Clone(r.JournalHash)
	r.ResourceKey, r.NowImage = bytes.Clone(r.ResourceKey), bytes.Clone(r.NowImage)
	t.top = max(t.top, e.Seq)
	t.b.entries = append(t.b.entries, r)
	t.b.entryAt[e.ID] = r
	return nil
}

// isWritten reports whether an entry of this batch is in the database already.
func (b *batch) isWritten(r *entryRow) bool { return r.place < b.written }

// changeEntry prepares for a statement about one entry.
func (t *tx) changeEntry(id uuid.UUID) error {
	if err := t.change(); err != nil {
		return err
	}
	if r := t.b.entryAt[id]; r != nil && !t.b.isWritten(r) {
		return t.show()
	}
	return nil
}

// SaveEntry implements [ledger.EntryTx].
func (t *tx) SaveEntry(e *ledger.Entry, from ledger.EntryState) error {
	if err := t.changeEntry(e.ID); err != nil {
		return err
	}
	r, err := entryToRow(e)
	if err != nil {
		return err
	}
	id := e.ID
	r.JournalHash, r.ResourceKey = bytes.Clone(r.JournalHash), bytes.Clone(r.ResourceKey)
	t.b.later(step{query: updateEntry, args: append(r.args()[fixedColumns:], id, t.win.ID, string(from)), checkFunc: func(n int64) error {
		if n == 0 {
			return ledger.Conflict("save entry", id.String(), "it is not %s any more", from)
		}
		return nil
	}})
	return nil
}

// SaveAttempt implements [ledger.EntryTx].
func (t *tx) SaveAttempt(entryID uuid.UUID, a ledger.Attempt) error {
	if err := t.changeEntry(entryID); err != nil {
		return err
	}
	t.b.later(step{query: saveAttempt, args: attemptArgs(entryID, a)})
	return nil
}

// SameResource implements [ledger.EntryTx].
func (t *tx) SameResource(key ledger.Key) ([]ledger.Entry, error) {
	if key == (ledger.Key{}) {
		return nil, t.usable()
	}
	if err := t.show(); err != nil {
		return nil, err
	}
	var rows []entryRow
	q := t.b.c.db.NewSelect().Model(&rows).OrderExpr("seq")
	if err := byResource(q, t.win.ID, key, max(t.win.LastSeq, t.top)).Scan(t.b.ctx); err != nil {
		return nil, t.b.fail(err)
	}
	return convert(rows, (*entryRow).entry)
}

// FindRollback implements [ledger.RollbackTx].
func (t *tx) FindRollback(id uuid.UUID) (*ledger.Rollback, error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	found := t.b.ahead.rollback
	if !t.b.ahead.has(id) {
		found = nil
		if err := t.b.ask(readRollback(id, &found)); err != nil {
			return nil, err
		}
	}
	if found == nil || found.WindowID != t.win.ID {
		return nil, ledger.NotFound("rollback", id.String())
	}
	return found.rollback()
}

// readRollback reads a run; found stays nil if there is none.
func readRollback(id uuid.UUID, found **rollbackRow) step {
	return step{query: selectRollback, args: []any{id}, rowFunc: func(scan scanFunc) error {
		*found = new(rollbackRow)
		return scan((*found).fields()...)
	}}
}

// InsertRollback implements [ledger.RollbackTx]. It looks first, since on PostgreSQL a failed statement
// ends the transaction; the index stands behind it.
func (t *tx) InsertRollback(r *ledger.Rollback) error {
	if err := t.change(); err != nil {
		return err
	}
	if r.WindowID != t.win.ID {
		return fmt.Errorf("insert rollback %s: it is of window %s, not of %s", r.ID, r.WindowID, t.win.ID)
	}
	row, err := rollbackToRow(r)
	if err != nil {
		return err
	}
	if err := t.b.flush(); err != nil {
		return err
	}
	var other uuid.UUID
	query, args := "SELECT id FROM rollbacks WHERE id = ?", []any{r.ID}
	if !r.State.Over() {
		query, args = query+" OR window_id = ? AND state NOT IN ('finished', 'cancelled')", append(args, t.win.ID)
	}
	switch found, err := t.b.c.scan(t.b.ctx, []any{&other}, query, args...); {
	case err != nil:
		return t.b.fail(err)
	case found:
		return ledger.Conflict("insert rollback", r.ID.String(), "rollback %s stands in its way", other)
	}
	t.b.later(t.b.c.inserts(rollbackTable, 1, func(int) []any { return row.args() })...)
	return nil
}

// SaveRollback implements [ledger.RollbackTx].
func (t *tx) SaveRollback(r *ledger.Rollback, epoch int64) error {
	if err := t.change(); err != nil {
		return err
	}
	row, err := rollbackToRow(r)
	if err != nil {
		return err
	}
	id := r.ID
	t.b.later(step{query: updateRollback, args: append(row.args()[2:], id, t.win.ID, epoch), checkFunc: func(n int64) error {
		if n == 0 {
			return fmt.Errorf("save rollback %s: %w", id, ledger.ErrFenced)
		}
		return nil
	}})
	return nil
}

// FindReply implements [ledger.ReplyTx].
func (t *tx) FindReply(key ledger.ReplyKey) (*ledger.Reply, error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	if r := t.b.replyAt[key]; r != nil {
		return r.reply()
	}
	var r replyRow
	found, err := t.b.c.scan(t.b.ctx, []any{&r.RequestHash, &r.Status, &r.Header, &r.Body, &r.At}, selectReply,
		key.TokenID, key.Method, key.Path, key.Key)
	if err != nil || !found {
		return nil, t.b.fail(err)
	}
	return r.reply()
}

// SaveReply implements [ledger.ReplyTx].
func (t *tx) SaveReply(key ledger.ReplyKey, r ledger.Reply) error {
	if err := t.usable(); err != nil {
		return err
	}
	if t.b.replyAt[key] != nil {
		return ledger.Conflict("save reply", "", "this request was answered already")
	}
	row, err := replyToRow(key, r)
	if err != nil {
		return err
	}
	row.RequestHash, row.Body = bytes.Clone(row.RequestHash), bytes.Clone(row.Body)
	t.b.replies = append(t.b.replies, row)
	t.b.replyAt[key] = row
	return nil
}

// The statements of a unit.
var (
	updateEntry = "UPDATE entries SET " + set(entryTable.columns[fixedColumns:]) + " WHERE id = ? AND window_id = ? AND state = ?"

	updateRollback = "UPDATE rollbacks SET " + set(rollbackTable.columns[2:]) + " WHERE id = ? AND window_id = ? AND epoch = ?"

	selectRollback = "SELECT " + strings.Join(rollbackTable.columns, ", ") + " FROM rollbacks WHERE id = ?"

	selectEntry = "SELECT " + strings.Join(entryTable.columns, ", ") + " FROM entries WHERE id = ?"

	selectAttempts = "SELECT " + strings.Join(attemptTable.columns, ", ") + " FROM attempts WHERE entry_id = ? ORDER BY n"

	saveAttempt = "INSERT INTO attempts (" + strings.Join(attemptTable.columns, ", ") + ") VALUES (?" +
		strings.Repeat(", ?", len(attemptTable.columns)-1) + ") ON CONFLICT (entry_id, n) DO UPDATE SET " + excluded(attemptTable.columns[2:])
)

const selectReply = `SELECT request_hash, status, header, body, at FROM replies
	WHERE token_id = ? AND method = ? AND path = ? AND key = ?`

// excluded writes "a = excluded.a, b = excluded.b".
func excluded(columns []string) string {
	var parts []string
	for _, c := range columns {
		parts = append(parts, c+" = excluded."+c)
	}
	return strings.Join(parts, ", ")
}
