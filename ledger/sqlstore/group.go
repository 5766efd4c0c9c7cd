package sqlstore

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"sideledger/ledger"
)

// most is how many units share one transaction at most.
const most = 512

// A group is the SQLite writer: one goroutine that owns the write connection. What is queued when it
// comes round shares one transaction; it never waits for more, so a lone caller pays for one commit and
// no delay.
//
//   - A unit that fails is taken back alone; the others are committed.
//   - A statement that fails ends the transaction: each unit is then run again in one of its own.
//   - A commit that fails leaves everybody without an answer: CodeUnavailable, never "no", and nothing is
//     run again.
type group struct {
	store *Store
	conn  *conn
	queue chan *ticket
	done  chan struct{} // closed when the writer has ended
	doubt bool          // an fsync may have failed: the next connection syncs what it finds; the writer's

	mu     sync.RWMutex // held for reading while something is put into the queue
	closed bool
}

// A ticket is a unit in the queue. Whoever moves taken from false decides: the writer, that it runs; its
// caller, that it never does.
type ticket struct {
	*unit
	ctx   context.Context // the caller's, looked at once, before the unit runs
	use   ledger.Use
	taken atomic.Bool
	done  chan struct{} // closed when err is there
	over  bool          // done is closed; the writer's
}

// answer ends the ticket. It may be called again, to no effect.
func (t *ticket) answer(err error) {
	if !t.over {
		t.over, t.err = true, err
		close(t.done)
	}
}

var errEnded = errors.New("an update ended the writer's goroutine")

// newGroup starts the writer on c.
func newGroup(s *Store, c *conn) *group {
	g := &group{store: s, conn: c, queue: make(chan *ticket, s.cfg.Queue), done: make(chan struct{})}
	go g.work(nil)
	return g
}

// close lets the writer answer what is queued and waits for it.
func (g *group) close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.queue)
	}
	g.mu.Unlock()
	<-g.done
}

// submit queues u and waits for its answer. A caller whose context ends while u is queued takes it back;
// once u runs its answer is awaited, since it may be durable.
func (g *group) submit(ctx context.Context, u *unit) error {
	if err := ctx.Err(); err != nil {
		return unavailable(u.op, u.id(), "nothing was recorded: the caller has gone", err)
	}
	t := &ticket{unit: u, ctx: ctx, use: ledger.UseOf(ctx), done: make(chan struct{})}
	if err := g.store.reserve.admit(u.op, u.id(), t.use); err != nil {
		return err
	}
	if err := g.enqueue(t); err != nil {
		return err
	}
	select {
	case <-t.done:
	case <-ctx.Done():
		if t.taken.CompareAndSwap(false, true) {
			return unavailable(u.op, u.id(), "nothing was recorded: the caller has gone", ctx.Err())
		}
		<-t.done
	}
	return u.err
}

func (g *group) enqueue(t *ticket) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return unavailable(t.op, t.id(), "nothing was recorded: the ledger is closing", nil)
	}
	select {
	case g.queue <- t:
		return nil
	default:
		return unavailable(t.op, t.id(), "nothing was recorded: too many are waiting", nil)
	}
}

// work is the writer. A function that ends the goroutine instead of returning (runtime.Goexit, as
// testing's FailNow does) fails the tickets it was running with, and a new goroutine goes on.
func (g *group) work(lost []*ticket) {
	defer func() {
		if lost == nil {
			close(g.done)
			return
		}
		g.replace(context.Background(), true)
		for _, t := range lost {
			t.answer(unavailable(t.op, t.id(), "nothing was recorded", errEnded))
		}
		go g.work(nil)
	}()
	for t := range g.queue {
		lost = g.drain(t)
		if len(lost) > 0 {
			g.run(lost)
		}
		lost = nil
	}
	if err := g.conn.close(); err != nil {
		g.store.cfg.Log.Debug("give connection back", "err", err)
	}
}

// drain returns first and what is queued behind it, less what was taken back.
func (g *group) drain(first *ticket) []*ticket {
	runtime.Gosched() // whoever was just answered queues again before the next transaction begins
	batch := make([]*ticket, 0, min(len(g.queue)+1, most))
	for t, ok := first, true; ok; {
		if t.ctx.Err() == nil && t.taken.CompareAndSwap(false, true) {
			batch = append(batch, t)
		}
		if len(batch) == most {
			break
		}
		select {
		case t, ok = <-g.queue:
		default:
			ok = false
		}
	}
	return batch
}

// run runs a batch to its answers.
func (g *group) run(batch []*ticket) {
	ctx := context.Background() // nobody's alone; what runs is brought to its end
	res := g.transact(ctx, batch)
	for g.store.reserve.spend(ctx, res.err) {
		if batch = g.admitted(batch); len(batch) == 0 {
			return
		}
		res = g.transact(ctx, batch)
	}
	g.store.settle(ctx, batch, res, g.run)
}

// settle answers a batch by what became of its transaction. If a shared one failed, each of its units is run again alone, unless
// it is not known whether it was committed.
func (s *Store) settle(ctx context.Context, batch []*ticket, res result, runFunc func([]*ticket)) {
	if res.err != nil && len(batch) > 1 && !isUnknown(res.err) {
		s.cfg.Log.WarnContext(ctx, "a statement failed in a shared transaction: each update runs alone", "err", res.err)
		for _, t := range batch {
			runFunc([]*ticket{t})
		}
		return
	}
	for _, t := range batch {
		if res.err != nil {
			t.answer(s.dialect.problem(t.op, t.id(), res.err))
		} else {
			t.answer(t.err)
		}
	}
	s.tell(res.grown)
}

// admitted answers those of a batch that a full disk has no room for, and returns the others.
func (g *group) admitted(batch []*ticket) []*ticket {
	rest := make([]*ticket, 0, len(batch))
	for _, t := range batch {
		if err := g.store.reserve.refusal(t.op, t.id(), t.use); err != nil {
			t.answer(err)
		} else {
			rest = append(rest, t)
		}
	}
	return rest
}

// transact runs the batch in one transaction, and takes a fresh connection if that one cannot be trusted any more.
func (g *group) transact(ctx context.Context, batch []*ticket) result {
	if g.conn == nil {
		if err := g.connect(ctx); err != nil {
			return result{err: err}
		}
	}
	units := make([]*unit, len(batch))
	for i, t := range batch {
		t.err = nil
		units[i] = t.unit
	}
	res := g.store.transact(ctx, g.conn, units)
	if res.unknown {
		g.replace(ctx, g.store.dialect.faultFunc(res.err) != faultFull)
	}
	return res
}

// replace drops the connection and takes a new one; if there is none, the next transaction tries again. doubt says that an
// fsync may have failed.
func (g *group) replace(ctx context.Context, doubt bool) {
	g.doubt = g.doubt || doubt
	if g.conn != nil {
		g.conn.discard()
		g.conn = nil
	}
	if err := g.connect(ctx); err != nil {
		g.store.cfg.Log.ErrorContext(ctx, "no connection for the writer", "err", err)
	}
}

func (g *group) connect(ctx context.Context) error {
	c, err := g.store.conn(ctx)
	if err != nil {
		return err
	}
	if g.doubt {
		if err := g.store.resync(ctx, c); err != nil {
			c.discard()
			return unavailable("connect", "", "nothing was recorded: the disk does not take what was written", err)
		}
		g.doubt = false
	}
	g.conn = c
	return nil
}
