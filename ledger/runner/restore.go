package runner

import (
	"context"
	"maps"

	"sideledger/ledger"
)

// beforeRest does what comes before the rest of a window: where the snapshot's restore is to be done, the entries that
// go before it, newest first, and then the restore. held reports that the pass ends here: the rest waits until the
// restore is closed, and the restore until everything that goes before it is.
func (w *walk) beforeRest(ctx context.Context) (held bool, err error) {
	restore, err := w.ledger.RestoreOf(ctx, w.lease.Rollback.WindowID)
	if restore == nil || err != nil {
		return false, err
	}
	window := w.lease.Rollback.WindowID
	early, err := w.ledger.EarlyEntries(ctx, window)
	if err != nil {
		return true, err
	}
	w.early = true
	err = w.ledger.NewestOf(ctx, window, early, func(list []ledger.Entry) (bool, error) {
		ended, err := w.visitAll(ctx, list)
		return !ended, err
	})
	if err == nil {
		_, err = w.drain(ctx)
	}
	w.early = false
	if err != nil {
		return true, err
	}
	if err := w.flush(ctx); err != nil || w.ends() {
		return true, err
	}
	open := false
	err = w.ledger.NewestOf(ctx, window, early, func(list []ledger.Entry) (bool, error) {
		open = open || len(list) > 0
		return !open, nil
	})
	if err != nil || open {
		return true, err
	}
	return w.restoreNow(ctx, restore)
}

// restoreNow visits the restore, and reports whether the rest waits for it.
func (w *walk) restoreNow(ctx context.Context, restore *ledger.Entry) (held bool, err error) {
	if ended, err := w.visitAll(ctx, []ledger.Entry{*restore}); ended || err != nil {
		return true, err
	}
	if ended, err := w.drain(ctx); ended || err != nil {
		return true, err
	}
	if err := w.flush(ctx); err != nil {
		return true, err
	}
	restore, err = w.ledger.RestoreOf(ctx, w.lease.Rollback.WindowID)
	return restore != nil, err
}

// visitAll visits entries in their order, and reports whether the pass ends there. Where the run undoes at several
// systems, some of them may still be under way; see drain.
func (w *walk) visitAll(ctx context.Context, list []ledger.Entry) (ended bool, err error) {
	overlaps, err := w.ledger.Overlaps(ctx, w.lease.Rollback.WindowID, list)
	if err != nil {
		return true, err
	}
	if w.parallel() {
		maps.Copy(w.overlaps, overlaps)
		return w.feed(ctx, list)
	}
	w.overlaps = overlaps
	for i := range list {
		if err := w.visit(ctx, &list[i]); err != nil {
			return true, err
		}
		if w.ends() {
			return true, w.flush(ctx)
		}
	}
	return false, nil
}

// ends reports whether the pass goes no further.
func (w *walk) ends() bool { return w.again || w.stop || w.halted || w.waitsForWord() }

// explain adds to what is said of a stuck entry what waits for it, where that is more than its own resource.
func (w *walk) explain(e *ledger.Entry, s ledger.Settlement) ledger.Settlement {
	switch {
	case s.Reason == "":
	case e.Restore:
		s.Detail = joined(s.Detail, "the rest of the window waits until the restore is done or waived")
	case w.early:
		s.Detail = joined(s.Detail, "the restore of the snapshot waits for it")
	}
	return s
}

func joined(detail, more string) string {
	if detail == "" {
		return more
	}
	return detail + "; " + more
}
