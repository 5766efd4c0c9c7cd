package runner

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"sideledger/ledger"
)

// deletions remembers when undos that delete were sent, by system, over all runs of this process. A process that
// starts anew counts from nothing.
type deletions struct {
	mu   sync.Mutex
	sent map[string][]time.Time // of the last minute, oldest first
}

// within returns how many were sent to a system in the minute before now.
func (d *deletions) within(system string, now time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.sent[system]
	for len(list) > 0 && now.Sub(list[0]) >= time.Minute {
		list = list[1:]
	}
	d.sent[system] = list
	return len(list)
}

func (d *deletions) add(system string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent[system] = append(d.sent[system], now)
}

// deletes reports whether an undo takes a resource away.
func deletes(e *ledger.Entry, req ledger.Request) bool {
	return e.Action == ledger.ActionCreate || req.Method == http.MethodDelete
}

// guarded reports whether an undo waits for an operator's second word, and asks for it where that is new.
func (w *walk) guarded(ctx context.Context, c *work, req ledger.Request) (bool, error) {
	if w.lease.Rollback.Confirmed(c.sys.Name) {
		return false, nil
	}
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

// tooMuch says what about an undo is more than its system's guard allows; empty: nothing.
func (w *walk) tooMuch(ctx context.Context, c *work, req ledger.Request) (string, error) {
	limit := c.sys.Guard.Deletions
	if limit > 0 && deletes(c.entry, req) && w.runner.deletions.within(c.sys.Name, w.runner.Clock.Now()) >= limit {
		return fmt.Sprintf("more than %d deletions within a minute", limit), nil
	}
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
