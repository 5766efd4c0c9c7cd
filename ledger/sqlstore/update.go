package sqlstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// commitWithin limits how long a commit may go on after its caller has gone.
const commitWithin = 10 * time.Second

// races is how often a transaction is begun anew after PostgreSQL ended it in favour of another.
const races = 5

// Open implements [ledger.Writer]. A window with this id that is there already is CodeConflict.
func (s *Store) Open(ctx context.Context, w ledger.Window, fn func(ledger.Tx) error) error {
	return s.submit(ctx, &unit{op: "open window", windowID: w.ID, window: &w, fn: fn})
}

// Update implements [ledger.Writer]. On SQLite fn runs on the writer's goroutine: it must not call the
// store but through its Tx.
func (s *Store) Update(ctx context.Context, windowID uuid.UUID, fn func(ledger.Tx) error) error {
	return s.submit(ctx, &unit{op: "update window", windowID: windowID, fn: fn, foresight: ledger.ForesightOf(ctx)})
}

// change runs a change that needs no window.
func (s *Store) change(ctx context.Context, op string, fn func(ctx context.Context, db bun.IDB) error) error {
	return s.dialect.problem(op, "", s.submit(ctx, &unit{op: op, directFunc: fn}))
}

// submit runs u and returns its own error as it is.
func (s *Store) submit(ctx context.Context, u *unit) error {
	if err := s.refuses(u); err != nil {
		return err
	}
	if s.group != nil {
		return s.group.submit(ctx, u)
	}
	return s.lines.submit(ctx, u)
}

// id names the unit in errors.
func (u *unit) id() string {
	if u.windowID == uuid.Nil {
		return ""
	}
	return u.windowID.String()
}

// together runs units in one transaction, on a connection of the pool. Where there are several they are of one window.
func (s *Store) together(ctx context.Context, units []*unit) result {
	if err := s.primary.refuse(units[0]); err != nil {
		return result{err: err}
	}
	s.primary.busy.RLock()
	defer s.primary.busy.RUnlock()
	refused := s.feed.ready(ctx)
	c, err := s.conn(ctx)
	if err != nil {
		return result{err: err}
	}
	if err := s.primary.refuse(units[0]); err != nil { // the connection may be one to another server
		return result{err: errors.Join(err, c.close())}
	}
	res := s.transactAlone(ctx, c, units, refused)
	s.mirror(ctx, units, res)
	if res.err == nil && res.batch != nil {
		s.primary.keep(res.batch)
	}
	return res
}

// transactAlone is transactOn, after which the connection is given back, or ended.
func (s *Store) transactAlone(ctx context.Context, c *conn, units []*unit, refused error) result {
	returned := false
	defer func() {
		if !returned {
			c.discard() // a unit has ended this goroutine
		}
	}()
	res := s.transactOn(ctx, c, units, refused)
	returned = true
	if res.unknown {
		c.discard()
	} else if err := c.close(); err != nil {
		s.cfg.Log.DebugContext(ctx, "give connection back", "err", err)
	}
	return res
}

// tell says which journals grew.
func (s *Store) tell(windows []uuid.UUID) {
	if s.cfg.GrownFunc == nil {
		return
	}
	for _, id := range windows {
		s.cfg.GrownFunc(id)
	}
}

// A result is what became of one transaction.
type result struct {
	// err is set when nothing of the transaction was kept for a reason that is not one unit's own; then
	// the units' errors mean nothing.
	err     error
	unknown bool // the commit failed: nobody knows what is there. The connection is not to be used again
	grown   []uuid.UUID
	batch   *batch // what the transaction met and added
}

// transact runs the units in one transaction of c, commits it and brings it to the mirrors. Each unit's own error is
// in its err; it took nothing of the others with it.
func (s *Store) transact(ctx context.Context, c *conn, units []*unit) result {
	res := s.transactOn(ctx, c, units, s.feed.ready(ctx))
	s.mirror(ctx, units, res)
	return res
}

// transactOn is transact without the mirrors. refused: why they take nothing; nil: they do.
func (s *Store) transactOn(ctx context.Context, c *conn, units []*unit, refused error) result {
	b := newBatch(ctx, c, len(units) == 1)
	b.feed, b.refused = s.feed, refused
	if err := b.begin(units[0]); err != nil {
		if s.dialect.pipelines { // it may have been begun
			return result{err: err, unknown: !s.rollback(ctx, c)}
		}
		return result{err: err, unknown: s.dialect.faultFunc(err) != faultAway}
	}
	positions := s.feed.unsaved()
	kept := b.runAll(units, positions)
	if b.err != nil || !kept && !s.rests(b, units) {
		return result{err: b.err, unknown: !s.rollback(ctx, c), batch: b}
	}
	res := s.commit(ctx, c, b)
	if res.batch = b; res.err == nil && kept {
		s.feed.saved(positions)
	}
	return res
}

// runAll runs the units and writes what they did; kept: something of it is to be committed.
func (b *batch) runAll(units []*unit, positions []position) (kept bool) {
	for _, u := range units {
		u.err = b.run(u)
		if b.err != nil {
			return false
		}
		kept = kept || u.err == nil
	}
	if !kept {
		return false
	}
	b.save(positions)
	if err := b.finish(); err != nil && b.err == nil { // the lone unit's own
		units[0].err, kept = err, false
		b.forget()
	}
	return kept
}

// rests reports whether an answer rests on what was found, although nothing was done: a first answer that is asked for again. On PostgreSQL a
// commit waits until a synchronous standby has that too, since the lock of the fence is in its log behind it; a rollback waits for nothing.
func (s *Store) rests(b *batch, units []*unit) bool {
	var replay *ledger.ReplayError
	return s.primary != nil && len(b.entries)+len(b.records)+len(b.replies) == 0 &&
		slices.ContainsFunc(units, func(u *unit) bool { return errors.As(u.err, &replay) })
}

// mirror brings what was committed to the mirrors before anybody is answered. If it is not known to be there, neither
// is any answer that rests on it, a first answer that was asked for again included.
func (s *Store) mirror(ctx context.Context, units []*unit, res result) {
	if s.feed == nil || res.err != nil || res.batch == nil {
		return
	}
	err := s.feed.push(ctx, res.batch)
	if err == nil {
		return
	}
	var replay *ledger.ReplayError
	for _, u := range units {
		if u.directFunc == nil && (u.err == nil || errors.As(u.err, &replay)) && !s.feed.keeps(u.windowID) {
			u.err = errAway(u, msgUnmirrored, err)
		}
	}
}

// rollback ends the transaction of c; false: the connection is not to be used again. SQLite has ended the
// transaction itself after some errors, so an error there does not matter.
func (s *Store) rollback(ctx context.Context, c *conn) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitWithin)
	defer cancel()
	_, err := c.exec(ctx, "ROLLBACK")
	return err == nil
}

func (s *Store) commit(ctx context.Context, c *conn, b *batch) result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitWithin)
	defer cancel()
	began := time.Now()
	err := s.commitFunc(ctx, c)
	if err == nil {
		err = c.waited()
	}
	if s.cfg.CommittedFunc != nil {
		s.cfg.CommittedFunc(time.Since(began), err)
	}
	if err == nil {
		return result{grown: b.grown()}
	}
	switch s.dialect.faultFunc(err) {
	case faultFull, faultRace, faultUnique, faultRule: // the database itself said no
		s.rollback(ctx, c)
		return result{err: err, unknown: true}
	case faultAway, faultOther:
	}
	s.cfg.Log.ErrorContext(ctx, "the outcome of a commit is not known", "err", err)
	return result{err: errUnknown(err), unknown: true}
}

// errUnknown says that a commit failed: its changes may be there or not.
func errUnknown(err error) error {
	return unavailable("commit", "", "it is not known whether this was recorded; ask again with the same id", err)
}

// isUnknown reports whether err came from a failed commit.
func isUnknown(err error) bool {
	var e *ledger.Error
	return errors.As(err, &e) && e.Op == "commit" && e.Code == ledger.CodeUnavailable
}
