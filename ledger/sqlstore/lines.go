package sqlstore

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// sharedWithin limits how long a transaction that several callers share may take: none of them can end it.
const sharedWithin = 30 * time.Second

// lines are how units come to PostgreSQL. While a transaction of a window is under way in this process, further units of
// that window wait in line and share the next one, as in a [group]: they would wait for the window's row anyway, and so they pay
// for one commit together. Windows do not wait for each other, and a lone caller waits for nobody.
type lines struct {
	store   *Store
	mu      sync.Mutex
	waiting map[uuid.UUID][]*ticket // by window; one that is there has somebody at work
}

// submit runs u, in line with those of its window, and waits for its answer. A caller whose context ends while u is in line
// takes it back; once u runs its answer is awaited, since it may be durable.
func (l *lines) submit(ctx context.Context, u *unit) error {
	t := &ticket{unit: u, ctx: ctx, done: make(chan struct{})}
	if u.windowID == uuid.Nil || u.window != nil {
		l.run([]*ticket{t})
		return u.err
	}
	first, err := l.join(t)
	if err != nil {
		return err
	}
	if first {
		defer l.handOn(u.windowID)
		l.run([]*ticket{t})
		return u.err
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

// join puts a ticket into its window's line. first: nobody is at work there, and it need not stand in line.
func (l *lines) join(t *ticket) (first bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, busy := l.waiting[t.windowID]
	switch {
	case !busy:
		l.waiting[t.windowID] = nil
		return true, nil
	case len(list) >= l.store.cfg.Queue:
		return false, unavailable(t.op, t.id(), "nothing was recorded: too many are waiting", nil)
	}
	l.waiting[t.windowID] = append(list, t)
	return false, nil
}

// handOn lets those go on who have come meanwhile.
func (l *lines) handOn(id uuid.UUID) {
	if batch := l.take(id); len(batch) > 0 {
		go l.work(id, batch)
	}
}

// take returns the next units of a line, less those that were taken back; none: the line is over.
func (l *lines) take(id uuid.UUID) []*ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	for list := l.waiting[id]; len(list) > 0; {
		n := min(len(list), most)
		var batch []*ticket
		for _, t := range list[:n] {
			if t.ctx.Err() == nil && t.taken.CompareAndSwap(false, true) {
				batch = append(batch, t)
			}
		}
		list = list[n:]
		l.waiting[id] = list
		if len(batch) > 0 {
			return batch
		}
	}
	delete(l.waiting, id)
	return nil
}

// work runs a batch. A function that ends the goroutine instead of returning fails those that it was running with, and
// the line goes on.
func (l *lines) work(id uuid.UUID, batch []*ticket) {
	defer l.handOn(id)
	defer func() {
		for _, t := range batch {
			t.answer(unavailable(t.op, t.id(), "nothing was recorded", errEnded))
		}
	}()
	l.run(batch)
}

// run runs a batch to its answers. One that PostgreSQL ends in favour of another transaction is begun anew; if a shared
// one fails otherwise, each unit runs alone.
func (l *lines) run(batch []*ticket) {
	ctx, done := shared(batch)
	defer done()
	units := make([]*unit, len(batch))
	for i, t := range batch {
		units[i] = t.unit
	}
	var res result
	for range races {
		if res = l.store.together(ctx, units); res.err == nil || l.store.dialect.faultFunc(res.err) != faultRace {
			break
		}
	}
	l.store.settle(ctx, batch, res, l.run)
}

// shared returns what a batch runs under: its caller's context, or where there are several none that ends with one of them.
func shared(batch []*ticket) (context.Context, context.CancelFunc) {
	if len(batch) == 1 {
		return batch[0].ctx, func() {}
	}
	return context.WithTimeout(context.Background(), sharedWithin)
}
