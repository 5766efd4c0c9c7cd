package runner

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"sideledger/ledger"
)

// deletions counts undos that delete, by system, over all runs of this process, where it is the only one. A process that starts anew counts from nothing. It
// implements [ledger.Deletions].
type deletions struct {
	clock ledger.Clock
	mu    sync.Mutex
	times map[string][]time.Time // of the last minute, oldest first
}

// CountDeletion implements [ledger.Deletions].
func (d *deletions) CountDeletion(_ context.Context, system string, limit int, anyway bool) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	list := d.times[system]
	for len(list) > 0 && now.Sub(list[0]) >= time.Minute {
		list = list[1:]
	}
	ok := anyway || len(list) < limit
	if ok {
		list = append(list, now)
	}
	d.times[system] = list
	return ok, nil
}

// deletes reports whether an undo takes a resource away.
func deletes(e *ledger.Entry, req ledger.Request) bool {
	return e.Action == ledger.ActionCreate || req.Method == http.MethodDelete
}

// guarded reports whether an undo waits for an operator's second word, and asks for it where that is new. One that does not wait
// and deletes has been counted: it may be sent.
func (w *walk) guarded(ctx context.Context, c *work, req ledger.Request) (bool, error) {
	detail, err := w.tooMuch(ctx, c, req)
	switch {
	case err != nil:
		return true, w.lookFailed(ctx, c, err)
	case detail == "":
		return false, nil
	}
	adv, err := w.ledger.Ask(context.WithoutCancel(ctx), w.lease, c.sys.Name, detail)
	if err != nil {
		return true, err
	}
	w.stop, w.again = w.stop || adv.Stop, w.again || adv.Moved
	w.awaitWord(c.entry)
	return true, nil
}

// awaitWord lets the entries of a system wait for an operator; the others go on.
func (w *walk) awaitWord(e *ledger.Entry) {
	w.busy[e.System] = w.runner.Clock.Now().Add(longestNap)
	w.staysOpen(e)
	w.wait(ledger.Waiting{Why: whySecondWord, On: e.System})
}

// tooMuch says what about an undo is more than its system's guard allows; empty: nothing. The deletion is counted last, once all
// else allows it. After the second word it is counted for the others.
func (w *walk) tooMuch(ctx context.Context, c *work, req ledger.Request) (string, error) {
	confirmed := w.lease.Rollback.Confirmed(c.sys.Name)
	if !confirmed {
		if detail, err := w.overShare(ctx, c); detail != "" || err != nil {
			return detail, err
		}
	}
	limit := c.sys.Guard.Deletions
	if limit == 0 || !deletes(c.entry, req) || w.isCounted(c.entry) {
		return "", nil
	}
	switch ok, err := w.runner.Deletions.CountDeletion(ctx, c.sys.Name, limit, confirmed); {
	case err != nil:
		w.runner.Log.WarnContext(ctx, "deletions cannot be counted: none is sent", slog.String("system", c.sys.Name), slog.Any("err", err))
		return "", &ledger.CallError{Class: ledger.CallAway, RetryAfter: time.Second, Detail: "the limits of the system cannot be asked"}
	case !ok:
		return fmt.Sprintf("more than %d deletions within a minute", limit), nil
	}
	w.counted[c.entry.ID] = w.runner.Clock.Now()
	return "", nil
}

// isCounted reports whether the deletion was counted within the last minute, and not sent since: news came between.
func (w *walk) isCounted(e *ledger.Entry) bool {
	at, ok := w.counted[e.ID]
	return ok && w.runner.Clock.Now().Sub(at) < time.Minute
}

// overShare says that the run undoes a larger share of what a system holds than its guard allows; empty: it does not. It is
// worked out once.
func (w *walk) overShare(ctx context.Context, c *work) (string, error) {
	if c.sys.Guard.Share <= 0 || w.shared[c.sys.Name] {
		return "", nil
	}
	counter, ok := c.rem.(ledger.Counter)
	if !ok {
		return "", nil
	}
	held, known, err := counter.Held(ctx)
	if err != nil {
		return "", err
	}
	w.shared[c.sys.Name] = true
	n, err := w.openAt(ctx, c.sys.Name)
	if err != nil {
		return "", err
	}
	switch {
	case !known:
		return "its share of what the system holds cannot be told", nil
	case float64(n) > c.sys.Guard.Share*float64(held):
		return fmt.Sprintf("%d undos where the system holds %d, and %g of it is allowed", n, held, c.sys.Guard.Share), nil
	}
	return "", nil
}

// openAt counts the open entries of a system that the run selects.
func (w *walk) openAt(ctx context.Context, system string) (int, error) {
	n := 0
	for from := 0; ; {
		list, err := w.ledger.Entries(ctx, ledger.EntryQuery{
			WindowID: w.lease.Rollback.WindowID, OpenOnly: true, Desc: true, From: from, Limit: page,
			Select: ledger.Selection{Only: []ledger.Term{{System: system}}},
		})
		if err != nil {
			return 0, err
		}
		for i := range list {
			if w.lease.Rollback.Select.Has(&list[i]) {
				n++
			}
		}
		if len(list) < page {
			return n, nil
		}
		from = list[len(list)-1].Seq
	}
}
