package runner

import (
	"context"
	"errors"
	"time"

	"sideledger/ledger"
)

// finalLook looks once more at entries that were judged by looking, as nobody had reported on them: an
// effect that turned up since is brought back, and the run walks again. While a system gives no answer the
// run waits for it, as it does for an undo; what cannot be looked at for good is said in its entry.
func (w *walk) finalLook(ctx context.Context) error {
	for from := 0; ; {
		list, err := w.ledger.Entries(ctx, ledger.EntryQuery{
			WindowID: w.lease.Rollback.WindowID, Doubted: true, From: from, Limit: page,
			States: []ledger.EntryState{ledger.EntryVoid, ledger.EntryUndone}, Select: w.lease.Rollback.Select,
		})
		if err != nil {
			return err
		}
		for i := range list {
			if err := w.lookOnceMore(ctx, &list[i]); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
		from = list[len(list)-1].Seq
	}
}

// lookOnceMore visits one entry, once in a run.
func (w *walk) lookOnceMore(ctx context.Context, e *ledger.Entry) error {
	if w.judged[e.ID] || !w.busy[e.System].IsZero() {
		return nil
	}
	found := ledger.Relapse{EntryID: e.ID, Seen: e.Journal.Number}
	sys, rem, err := w.ledger.System(e.System)
	if err != nil {
		found.Unseen = "the system is not configured any more"
		return w.relapse(ctx, e, found)
	}
	eff, _, err := w.ledger.Effective(ctx, e) // it may have another name by now
	if err != nil {
		return err
	}
	seen, err := rem.Look(ctx, eff)
	if err != nil {
		return w.unseen(ctx, sys, e, found, err)
	}
	w.tries[sys.Name] = 0
	there, err := w.ledger.TurnedUp(ctx, eff, seen)
	switch {
	case err != nil:
		return err
	case there:
		return w.relapse(ctx, e, found)
	}
	w.judged[e.ID] = true
	return nil
}

// unseen decides what it means that the look failed: the run waits, or the entry says so.
func (w *walk) unseen(ctx context.Context, sys ledger.System, e *ledger.Entry, found ledger.Relapse, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var call *ledger.CallError
	if !errors.As(err, &call) {
		call = &ledger.CallError{Class: ledger.CallAmbiguous, Err: err}
	}
	switch call.Class {
	case ledger.CallAuth:
		found.Unseen = "the third party refused our credential"
		return w.relapse(ctx, e, found)
	case ledger.CallDenied:
		found.Unseen = call.Detail
		return w.relapse(ctx, e, found)
	case ledger.CallNotSent, ledger.CallAmbiguous, ledger.CallAway, ledger.CallAnswered:
	}
	w.tries[e.ID.String()]++
	n := w.tries[e.ID.String()]
	if call.Class == ledger.CallAnswered && n >= sys.Attempts {
		found.Unseen = "it cannot be read: " + call.Detail
		return w.relapse(ctx, e, found)
	}
	until := w.runner.Clock.Now().Add(max(call.RetryAfter, w.backoff(sys, n), time.Millisecond))
	w.busy[e.System] = until
	w.wait(ledger.Waiting{Why: whyAway, Until: until, On: e.System})
	return nil
}

// relapse writes what the final look found; the run walks once more.
func (w *walk) relapse(ctx context.Context, e *ledger.Entry, found ledger.Relapse) error {
	adv, err := w.ledger.Relapse(context.WithoutCancel(ctx), w.lease, found)
	if err != nil {
		return err
	}
	w.stop = w.stop || adv.Stop
	w.again = true
	w.judged[e.ID] = !adv.Moved
	return nil
}
