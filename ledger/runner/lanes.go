package runner

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// How much a pass that undoes at several systems reads ahead. A system all of whose entries lie beyond that waits.
const (
	aheadEntries = 4000
	aheadBytes   = 16 << 20
)

// lanes are the entries that a pass has read and not dealt with yet, where the run undoes at several systems: one
// queue a system, newest first. One goroutine, the walk's, visits them as it would without lanes, and makes every
// write; calls alone are under way beside each other, one at a system. The first entry of a queue is visited when
// no call is under way at its system and every newer entry that names it in depends_on has left its queue. All that
// was read before it is newer, so nothing is overtaken.
type lanes struct {
	queues map[string][]*ledger.Entry
	needs  map[uuid.UUID][]int // entry → Seqs of those in the queues that name it in depends_on
	dealt  map[uuid.UUID]bool  // an undo of it came back in this pass, before it was read
	n      int                 // entries in the queues
	bytes  int                 // of their documents

	began   time.Time // of the pass
	readAt  time.Time // when it last had enough
	reading time.Duration
}

func newLanes(now time.Time) lanes {
	return lanes{queues: map[string][]*ledger.Entry{}, needs: map[uuid.UUID][]int{}, dealt: map[uuid.UUID]bool{}, began: now, readAt: now}
}

// size is about what an entry takes in memory.
func size(e *ledger.Entry) int {
	return len(e.Before.JSON) + len(e.After.JSON) + len(e.Now.JSON) + len(e.Undo) + len(e.Read) + len(e.Resource)
}

func (l *lanes) push(e *ledger.Entry) {
	l.queues[e.System] = append(l.queues[e.System], e)
	l.n++
	l.bytes += size(e)
	for _, id := range e.DependsOn {
		l.needs[id] = append(l.needs[id], e.Seq)
	}
}

// remove takes an entry out of its queue, and reports whether it was there.
func (l *lanes) remove(e *ledger.Entry) bool {
	queue := l.queues[e.System]
	i := slices.IndexFunc(queue, func(q *ledger.Entry) bool { return q.ID == e.ID })
	if i < 0 {
		return false
	}
	e = queue[i] // as it was put there
	if i == 0 {  // mostly: nothing is moved
		queue[0], l.queues[e.System] = nil, queue[1:]
	} else {
		l.queues[e.System] = slices.Delete(queue, i, i+1)
	}
	l.n--
	l.bytes -= size(e)
	for _, on := range e.DependsOn {
		if l.needs[on] = slices.DeleteFunc(l.needs[on], func(seq int) bool { return seq == e.Seq }); len(l.needs[on]) == 0 {
			delete(l.needs, on)
		}
	}
	return true
}

// deal takes out an entry whose undo has come back: this pass does nothing more with it.
func (l *lanes) deal(e *ledger.Entry) {
	if !l.remove(e) {
		l.dealt[e.ID] = true
	}
}

// waits reports whether a newer entry that has to be undone before e has not left its queue.
func (l *lanes) waits(e *ledger.Entry) bool {
	return slices.ContainsFunc(l.needs[e.ID], func(seq int) bool { return seq > e.Seq })
}

// parallel reports whether the run undoes at several systems at once.
func (w *walk) parallel() bool { return w.lease.Rollback.Parallel > 1 }

// isFlying reports whether a call is under way at a system that the pass waits for.
func (w *walk) isFlying(system string) bool {
	f := w.flights[system]
	return f != nil && f.near
}

// beyondHalt reports whether nothing of e may begin, as an entry that is newer is stuck (on_stuck: halt).
func (w *walk) beyondHalt(e *ledger.Entry) bool { return w.halted && e.Seq < w.haltedAt }

// feed takes in the next entries of a pass and works until there is room for more. An entry that ends a pass which
// goes through them one by one is met as it would be there: all that is newer comes first, and nothing older.
func (w *walk) feed(ctx context.Context, list []ledger.Entry) (ended bool, err error) {
	w.lanes.reading += w.runner.Clock.Now().Sub(w.lanes.readAt)
	for i := range list {
		e := &list[i]
		if w.lanes.dealt[e.ID] {
			continue
		}
		if !w.endsPass(e) {
			w.lanes.push(e)
			continue
		}
		if ended, err := w.drain(ctx); ended || err != nil {
			return true, err
		}
		w.lanes.push(e)
		if ended, err := w.drain(ctx); ended || err != nil {
			return true, err
		}
	}
	return w.goOn(ctx, func() bool { return w.lanes.n < aheadEntries && w.lanes.bytes < aheadBytes })
}

// endsPass reports whether a visit of e may let nothing older go.
func (w *walk) endsPass(e *ledger.Entry) bool {
	run := &w.lease.Rollback
	switch {
	case !run.Select.Has(e):
		return false
	case e.State == ledger.EntryIntended:
		return w.runner.Clock.Now().Before(e.PerformBy)
	}
	return e.State == ledger.EntryStuck && run.OnStuck == ledger.OnStuckHalt && !w.retries(e)
}

// drain works until nothing that the pass has read is left, and reports whether the pass ends there.
func (w *walk) drain(ctx context.Context) (ended bool, err error) {
	if !w.parallel() {
		return false, nil
	}
	return w.goOn(ctx, func() bool { return w.lanes.n == 0 })
}

// goOn works on what is in the queues until it is enough, or the pass ends there.
func (w *walk) goOn(ctx context.Context, enoughFunc func() bool) (ended bool, err error) {
	defer func() { w.lanes.readAt = w.runner.Clock.Now() }()
	for {
		w.landBack(true)
		if err := w.dispatch(ctx); err != nil {
			return true, err
		}
		switch {
		case w.again || w.stop, w.lanes.n == 0 && w.ends():
			return true, w.flush(ctx)
		case enoughFunc() && !w.ends():
			return false, nil
		}
		if err := w.await(ctx); err != nil {
			return true, err
		}
	}
}

// dispatch visits what can be visited now, and sends the undos that are ready.
func (w *walk) dispatch(ctx context.Context) error {
	for left := -1; left != w.lanes.n && !w.again && !w.stop; { // what leaves its queue may let another one go
		left = w.lanes.n
		for _, system := range w.order() {
			if err := w.visitLane(ctx, system); err != nil || w.again || w.stop {
				return err
			}
		}
		if err := w.openAll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// order returns the systems whose first entry may be visited: those whose look is back first, then the newest.
func (w *walk) order() []string {
	var out []string
	for system, queue := range w.lanes.queues {
		if len(queue) > 0 && !w.isFlying(system) {
			out = append(out, system)
		}
	}
	looked := func(system string) int {
		if _, ok := w.sightings[w.lanes.queues[system][0].ID]; ok {
			return 0
		}
		return 1
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(looked(a)-looked(b), w.lanes.queues[b][0].Seq-w.lanes.queues[a][0].Seq)
	})
	return out
}

// visitLane visits the entries of a system until a call is under way there, an undo is ready, or one has to wait.
func (w *walk) visitLane(ctx context.Context, system string) error {
	for len(w.lanes.queues[system]) > 0 {
		e := w.lanes.queues[system][0]
		switch {
		case w.beyondHalt(e):
			w.lanes.remove(e)
			continue
		case w.lanes.waits(e), w.underWay() >= w.lease.Rollback.Parallel:
			return nil
		}
		ready := len(w.opening)
		if err := w.visit(ctx, e); err != nil {
			return err
		}
		if w.again || w.stop || w.isFlying(system) || len(w.opening) > ready {
			return nil
		}
		w.lanes.remove(e)
		delete(w.overlaps, e.ID)
	}
	return nil
}

// underWay counts the calls that the pass waits for, and those that it is about to make.
func (w *walk) underWay() int {
	n := len(w.opening)
	for _, f := range w.flights {
		if f.near {
			n++
		}
	}
	return n
}

// await sleeps until a call is back, or something else is due: closings that have waited long enough, a call that has
// taken long enough, a system that may be asked again, news.
func (w *walk) await(ctx context.Context) error {
	now := w.runner.Clock.Now()
	d, again := w.untilAgain(now)
	for _, f := range w.flights {
		if f.near {
			d = min(d, f.began.Add(flyAfter).Sub(now))
		}
	}
	if len(w.pending) > 0 {
		d = min(d, flushAfter)
	}
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-w.landed:
		return nil
	case <-w.wake:
		w.again = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	}
	now = w.runner.Clock.Now()
	for _, f := range w.flights {
		if f.near && now.Sub(f.began) >= flyAfter {
			w.leave(f)
			w.awaitFlight(f.entry)
			w.lanes.remove(f.entry)
		}
	}
	w.again = w.again || !again.After(now)
	return w.flush(ctx)
}

// untilAgain returns how long it takes until an entry that waits may be tried again, for which a pass starts anew, and when that
// is. A pass takes ten times as long as reading it does, at the least.
func (w *walk) untilAgain(now time.Time) (time.Duration, time.Time) {
	if w.waiting == nil || w.waiting.Until.IsZero() {
		return longestNap, now.Add(longestNap)
	}
	at := w.waiting.Until
	if earliest := w.lanes.began.Add(10 * w.lanes.reading); at.Before(earliest) {
		at = earliest
	}
	return at.Sub(now), at
}
