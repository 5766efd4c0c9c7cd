package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// A unit is one call of Update or Open (fn), or one change that needs no window (direct).
type unit struct {
	op         string
	windowID   uuid.UUID
	window     *ledger.Window // of Open; nil: the window is there already
	fn         func(ledger.Tx) error
	foresight  ledger.Foresight
	directFunc func(ctx context.Context, db bun.IDB) error
	wary       bool // a direct one that is not made at a server that was not compared yet
	err        error
}

// A batch is one transaction and the units that share it. Rows that are only added are kept back and
// written together, before the first statement that must see them and at the end, and so are statements that change rows, in their
// order; the fence rows stay in memory from their first use to the end. It is used by one goroutine.
type batch struct {
	ctx   context.Context // it is the transaction's, and ends with it
	c     *conn
	alone bool // one unit: the transaction is its savepoint

	queue   []step // statements that were not sent yet
	met     *fence // the fence of the first unit, where it was read when the transaction began
	ahead   foreseen
	fences  map[uuid.UUID]*fence
	order   []*fence // as they were met
	held    *fence   // opened by the running unit: not written before its savepoint stands; nil: none
	entries []*entryRow
	written int // entries[:written] are in the database
	entryAt map[uuid.UUID]*entryRow
	misses  int          // entries that were looked for and not found
	live    []liveWindow // when it was first asked for; nil: not asked yet
	newest  *uuid.UUID   // the highest id in the table when it was first asked for; nil: not asked yet
	records []*recordRow
	replies []*replyRow
	replyAt map[ledger.ReplyKey]*replyRow

	feed    *feed // nil: no mirror
	refused error // why the mirrors take nothing; nil: they do

	// refusal is why the running unit is not kept, whatever its function makes of it.
	refusal error

	// err is the first statement that failed. Nothing of the transaction may be committed then, whatever
	// the units made of it.
	err error
}

// A fence is a window's row while a batch holds it.
type fence struct {
	win    ledger.Window
	stored int64 // head_number of the row in the database
	fresh  bool  // the row is not in the database yet
	dirty  bool  // the row in the database is older than win
	grown  bool  // the journal grew
}

func newBatch(ctx context.Context, c *conn, alone bool) *batch {
	return &batch{
		ctx: ctx, c: c, alone: alone, fences: map[uuid.UUID]*fence{}, entryAt: map[uuid.UUID]*entryRow{},
		replyAt: map[ledger.ReplyKey]*replyRow{},
	}
}

// fail keeps the first failed statement, and passes err on.
func (b *batch) fail(err error) error {
	if err != nil && b.err == nil {
		b.err = err
	}
	return err
}

// run runs one unit and keeps or discards what it did. Its error is the unit's own unless b.err is set.
func (b *batch) run(u *unit) error {
	if u.directFunc != nil {
		return b.runDirect(u)
	}
	if b.refused != nil && (u.window != nil || !b.feed.keeps(u.windowID)) {
		return errAway(u, msgRefused, b.refused)
	}
	f, err := b.enter(u)
	if err != nil {
		return err
	}
	t := &tx{
		b: b, f: f, win: f.win, head: f.win.Head,
		mark: mark{len(b.entries), len(b.records), len(b.replies)},
	}
	t.win.Labels = maps.Clone(f.win.Labels)
	err = call(func() error { return u.fn(t) })
	t.over = true
	b.held = nil
	if err == nil && b.err == nil && t.saved { // what it is refused for must not come upon the others
		err = b.flush()
	}
	if b.refusal != nil {
		err, b.refusal = b.refusal, nil
	}
	switch {
	case b.err != nil:
		return b.err
	case err != nil:
		b.discard(t, u.window != nil)
		return err
	}
	b.keep(t)
	return nil
}

// later puts statements into the queue.
func (b *batch) later(steps ...step) {
	b.queue = append(b.queue, steps...)
	for i := range steps {
		if steps[i].rowFunc == nil {
			b.ahead = foreseen{} // it may not be right any more
		}
	}
}

// flush sends what is in the queue. A [refusal] is the running unit's own error; any other one is the transaction's.
func (b *batch) flush() error {
	if b.err != nil {
		return b.err
	}
	steps := b.queue
	b.queue = nil
	err := b.c.run(b.ctx, steps...)
	var refused refusal
	if errors.As(err, &refused) {
		b.refusal = refused.error
		return refused.error
	}
	return b.fail(err)
}

// ask sends reads behind what is in the queue.
func (b *batch) ask(reads ...step) error {
	b.later(reads...)
	return b.flush()
}

// enter returns the fence of the unit's window, loaded once in a batch.
func (b *batch) enter(u *unit) (*fence, error) {
	f := b.fences[u.windowID]
	switch {
	case u.window != nil && f != nil:
		return nil, ledger.Conflict(u.op, u.windowID.String(), "there is a window with this id already")
	case u.window != nil:
		f = &fence{win: *u.window, fresh: true, dirty: true}
		f.win.Head, f.win.LastSeq = ledger.Head{}, 0
		f.win.Labels = maps.Clone(u.window.Labels)
		if !b.alone {
			b.held = f
		}
	case f != nil:
		return f, nil
	default:
		if err := b.load(u.windowID); err != nil {
			return nil, b.fail(err)
		}
		if b.met == nil {
			return nil, ledger.NotFound("window", u.windowID.String())
		}
		f = b.met
	}
	b.fences[u.windowID] = f
	b.order = append(b.order, f)
	return f, nil
}

// load reads the fence row of a window into met, unless it stands there; nil: there is no such window.
func (b *batch) load(id uuid.UUID) error {
	if b.met != nil && b.met.win.ID == id {
		return nil
	}
	b.met = nil
	return b.c.run(b.ctx, b.readFence(id))
}

// readFence reads the fence row of a window into met.
func (b *batch) readFence(id uuid.UUID) step {
	return step{query: selectWindow + b.c.dialect.forUpdate, args: []any{id}, rowFunc: func(scan scanFunc) error {
		var r windowRow
		if err := scan(r.fields()...); err != nil {
			return err
		}
		w, err := r.window()
		if err == nil {
			b.met = &fence{win: *w, stored: w.Head.Number}
		}
		return err
	}}
}

// begin begins the transaction. Where statements are sent together it reads the fence row of the first unit too, and
// what a lone one foresees.
func (b *batch) begin(first *unit) error {
	steps := []step{{query: b.c.dialect.begin}}
	if b.c.dialect.pipelines && first.directFunc == nil && first.window == nil {
		steps = append(steps, b.readFence(first.windowID))
		if b.alone {
			steps = append(steps, b.foresee(first.foresight)...)
		}
	}
	return b.c.run(b.ctx, steps...)
}

// isNewer reports whether id is higher than every id in the table, so that looking for it is of no use: ids
// are UUIDv7, and most that are looked for were made a moment ago. One miss is not worth the question.
func (b *batch) isNewer(id uuid.UUID) (bool, error) {
	if b.misses == 0 {
		return false, nil
	}
	if b.newest == nil {
		var newest uuid.UUID
		if _, err := b.c.scan(b.ctx, []any{&newest}, "SELECT id FROM entries ORDER BY id DESC LIMIT 1"); err != nil {
			return false, err
		}
		b.newest = &newest
	}
	return bytes.Compare(id[:], b.newest[:]) > 0, nil
}

// call turns a panic into an error, so that it fails one unit alone.
func call(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("an update panicked: %T\n%s", p, debug.Stack()) // its value may hold what was posted
		}
	}()
	return fn()
}

// keep takes over what the unit changed in its window.
func (b *batch) keep(t *tx) {
	if t.saved {
		b.later(step{query: "RELEASE unit"})
	}
	w, f := &t.win, t.f
	changed := w.State != f.win.State || w.Resume != f.win.Resume || w.RollbackID != f.win.RollbackID ||
		w.LastSeq != f.win.LastSeq || !w.SealedAt.Equal(f.win.SealedAt) || t.head != f.win.Head
	f.win.State, f.win.Resume, f.win.RollbackID = w.State, w.Resume, w.RollbackID
	f.win.LastSeq, f.win.SealedAt, f.win.Pruned = w.LastSeq, w.SealedAt, w.Pruned
	f.grown = f.grown || t.head != f.win.Head
	f.win.Head = t.head
	f.dirty = f.dirty || changed
}

// discard forgets what the unit did, and nothing else.
func (b *batch) discard(t *tx, opened bool) {
	if b.alone {
		return // the whole transaction goes
	}
	if t.saved { // all that is in the queue came after its savepoint
		b.queue = nil
		b.later(step{query: "ROLLBACK TO unit"}, step{query: "RELEASE unit"})
	}
	for _, r := range b.entries[t.mark.entries:] {
		delete(b.entryAt, r.ID)
	}
	for _, r := range b.replies[t.mark.replies:] {
		delete(b.replyAt, replyKey(r))
	}
	b.entries, b.records, b.replies = b.entries[:t.mark.entries], b.records[:t.mark.records], b.replies[:t.mark.replies]
	b.written = min(b.written, t.mark.entries)
	if opened {
		delete(b.fences, t.f.win.ID)
		b.order = b.order[:len(b.order)-1]
	}
}

// runDirect runs a unit that has no window. Its statements may fail alone: the savepoint takes them back.
func (b *batch) runDirect(u *unit) error {
	if b.alone {
		return call(func() error { return u.directFunc(b.ctx, b.c.db) })
	}
	b.later(step{query: "SAVEPOINT unit"})
	if err := b.flush(); err != nil {
		return err
	}
	err := call(func() error { return u.directFunc(b.ctx, b.c.db) })
	if err != nil {
		b.later(step{query: "ROLLBACK TO unit"})
	}
	b.later(step{query: "RELEASE unit"})
	return err
}

// writeEntries queues the entries that were kept back, and the windows they stand in.
func (b *batch) writeEntries(upTo int) error {
	if b.written >= upTo {
		return nil
	}
	if err := b.writeWindows(); err != nil {
		return err
	}
	rows := b.entries[b.written:upTo]
	b.later(b.c.inserts(entryTable, len(rows), func(i int) []any { return rows[i].args() })...)
	b.written = upTo
	return nil
}

// writeWindows queues the rows of new windows, as they are now.
func (b *batch) writeWindows() error {
	for _, f := range b.order {
		if !f.fresh || f == b.held {
			continue
		}
		r, err := windowToRow(&f.win)
		if err != nil {
			return b.fail(fmt.Errorf("insert window: %w", err))
		}
		b.later(b.c.inserts(windowTable, 1, func(int) []any { return r.args() })...)
		f.fresh, f.dirty, f.stored = false, false, f.win.Head.Number
	}
	return nil
}

// finish writes everything that was kept back, and the fence rows. It is the last call before the commit. A refusal that it returns
// is that of a lone unit.
func (b *batch) finish() error {
	if err := b.writeWindows(); err != nil {
		return err
	}
	if err := b.writeEntries(len(b.entries)); err != nil {
		return err
	}
	b.later(b.c.inserts(recordTable, len(b.records), func(i int) []any { return b.records[i].args() })...)
	b.later(b.c.inserts(replyTable, len(b.replies), func(i int) []any { return b.replies[i].args() })...)
	for _, f := range b.order {
		b.writeFence(f)
	}
	err := b.flush()
	if !b.alone {
		return b.fail(err)
	}
	return err
}

// writeFence queues the write of a fence row, if it is still the one that was loaded.
func (b *batch) writeFence(f *fence) {
	if !f.dirty {
		return
	}
	w := &f.win
	b.later(step{
		query: updateWindow,
		args: []any{
			string(w.State), string(w.Resume), w.RollbackID, int64(w.LastSeq), micros(w.SealedAt), w.Head.Number, bytes.Clone(w.Head.Hash[:]), w.ID, f.stored,
		},
		checkFunc: func(n int64) error {
			if n != 1 {
				return ledger.Conflict("write window", w.ID.String(), "its journal has grown meanwhile")
			}
			return nil
		},
	})
}

// forget lets nothing of what was taken back be told.
func (b *batch) forget() { b.order, b.entries, b.records, b.replies = nil, nil, nil, nil }

// grown returns the windows whose journals grew.
func (b *batch) grown() []uuid.UUID {
	var ids []uuid.UUID
	for _, f := range b.order {
		if f.grown {
			ids = append(ids, f.win.ID)
		}
	}
	return ids
}

// The statements for the fence row.
const (
	selectWindow = `SELECT id, state, resume, rollback_id, last_seq, head_number, head_hash, created_at, sealed_at,
		name, ticket, owner, opens_at, ends_at, buffer_ns, snapshot, labels, restore, pruned, pruned_number, pruned_seq FROM windows WHERE id = ?`
	updateWindow = `UPDATE windows SET state = ?, resume = ?, rollback_id = ?, last_seq = ?, sealed_at = ?,
		head_number = ?, head_hash = ? WHERE id = ? AND head_number = ?`
)

func replyKey(r *replyRow) ledger.ReplyKey {
	return ledger.ReplyKey{TokenID: r.TokenID, Method: r.Method, Path: r.Path, Key: r.Key}
}
