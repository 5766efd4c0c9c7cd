package runner

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

const (
	page        = 100         // open entries read together
	glanceEvery = time.Second // at the window, while the run waits
)

// A walk is one runner's work on one rollback: it goes through the open entries, newest first, again and
// again, until none is left that it could do something about.
type walk struct {
	runner *Runner
	ledger *ledger.Ledger
	lease  *ledger.Lease
	mine   *tenancy
	wake   chan struct{}

	parked map[string]time.Time // systems that refused our credential in this run, and when
	tries  map[string]int       // looks in a row that brought nothing, by system; by entry id for answered ones
	judged map[uuid.UUID]bool   // entries that the final look has visited
	shared map[string]bool      // systems whose share of what they hold was worked out

	counted map[uuid.UUID]time.Time // entries whose undo deletes, was counted, and is not sent yet

	flights   map[string]*flight     // calls under way that the walk does not wait for, by system
	sightings map[uuid.UUID]sighting // what such looks have brought, by entry
	landed    chan struct{}          // a call is back

	// of one pass:
	holds     ledger.Holds
	overlaps  map[uuid.UUID]*ledger.Overlap // of the entries that are being visited
	busy      map[string]time.Time          // systems that are away or in a retry: their entries wait until then
	waiting   *ledger.Waiting
	halted    bool                // on_stuck: halt
	again     bool                // something moved: walk once more
	stop      bool                // paused or to be cancelled
	pending   []ledger.Change     // closings that are written with the next opening
	unwritten map[ledger.Key]bool // resources of entries that they close
	renamed   bool                // one of them says a new name
	early     bool                // what goes before the restore of the snapshot is being visited
	haltedAt  int                 // Seq of the newest entry that halted it; see halted
	opening   []opening           // undos that are ready to be sent
	lanes     lanes
}

func newWalk(r *Runner, lease *ledger.Lease, mine *tenancy, wake chan struct{}) *walk {
	return &walk{
		runner: r, ledger: r.Ledger, lease: lease, mine: mine, wake: wake, parked: map[string]time.Time{}, tries: map[string]int{},
		judged: map[uuid.UUID]bool{}, shared: map[string]bool{}, counted: map[uuid.UUID]time.Time{}, flights: map[string]*flight{}, sightings: map[uuid.UUID]sighting{},
		landed: make(chan struct{}, 1),
	}
}

// toTheEnd walks until the run is finished, paused or cancelled. No call of it is under way afterwards.
func (w *walk) toTheEnd(ctx context.Context) error {
	err := w.passes(ctx)
	return errors.Join(err, w.landAll(ctx))
}

func (w *walk) passes(ctx context.Context) error {
	w.stop = w.lease.Rollback.Cancelling
	for {
		if err := w.pass(ctx); err != nil {
			return err
		}
		over, err := w.turn(ctx)
		if over || err != nil {
			return err
		}
	}
}

// pass goes through the open entries once.
func (w *walk) pass(ctx context.Context) error {
	w.holds, w.busy, w.waiting = ledger.Holds{}, map[string]time.Time{}, nil
	w.unwritten, w.renamed = map[ledger.Key]bool{}, false
	w.halted, w.again, w.haltedAt = false, false, 0
	w.opening, w.overlaps, w.lanes = nil, map[uuid.UUID]*ledger.Overlap{}, newLanes(w.runner.Clock.Now())
	w.landBack(false)
	if !w.stop {
		if held, err := w.beforeRest(ctx); held || err != nil {
			return err
		}
	}
	for from := 0; !w.stop; {
		list, err := w.ledger.Entries(ctx, ledger.EntryQuery{
			WindowID: w.lease.Rollback.WindowID, OpenOnly: true, Desc: true, From: from, Limit: page,
		})
		if err != nil {
			return err
		}
		if ended, err := w.visitAll(ctx, list); ended || err != nil {
			return err
		}
		if len(list) < page {
			if ended, err := w.drain(ctx); ended || err != nil {
				return err
			}
			return w.flush(ctx)
		}
		from = list[len(list)-1].Seq
	}
	return nil
}

// turn decides what comes after a pass: the end, a nap, or the next pass.
func (w *walk) turn(ctx context.Context) (over bool, err error) {
	switch {
	case w.stop:
		if err := w.landAll(ctx); err != nil {
			return false, err
		}
		_, err := w.ledger.Finish(context.WithoutCancel(ctx), w.lease)
		return true, err
	case w.again:
		return false, ctx.Err()
	case w.waiting == nil && len(w.flights) > 0: // what is stuck has halted the pass before it came to them
		w.wait(ledger.Waiting{Why: whyAnswer})
		return false, w.rest(ctx)
	case w.waiting != nil:
		return false, w.rest(ctx)
	}
	if err := w.finalLook(ctx); err != nil || w.again {
		return false, err
	}
	if w.waiting != nil {
		return false, w.rest(ctx)
	}
	adv, err := w.ledger.Finish(ctx, w.lease)
	if err != nil {
		return false, err
	}
	return adv.Stop || w.lease.Rollback.State.Over(), nil
}

// rest says in the open what the run waits for, and sleeps.
func (w *walk) rest(ctx context.Context) error {
	for _, f := range w.flights {
		w.leave(f)
	}
	adv, err := w.ledger.Wait(ctx, w.lease, w.waiting)
	if err != nil || adv.Stop {
		w.stop = adv.Stop
		return err
	}
	if !adv.Moved {
		w.sleep(ctx, w.napTime())
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if until := w.waiting.Until; !until.IsZero() && !w.runner.Clock.Now().Before(until) {
		_, err = w.ledger.Wait(ctx, w.lease, nil)
	}
	return err
}

// sleep sleeps for d, or until the walk is woken. A word that was said at another replica wakes nobody here: the walk
// glances at the window meanwhile.
func (w *walk) sleep(ctx context.Context, d time.Duration) {
	if w.runner.Sole {
		nap(ctx, w.wake, d)
		return
	}
	for until := w.runner.Clock.Now().Add(d); ctx.Err() == nil; {
		left := until.Sub(w.runner.Clock.Now())
		if left <= 0 || nap(ctx, w.wake, min(left, glanceEvery)) {
			return
		}
		if behind, err := w.ledger.Behind(ctx, w.lease); behind || err != nil {
			return
		}
	}
}

// napTime is how long the run sleeps: until what it waits for, but it looks at the store in between.
func (w *walk) napTime() time.Duration {
	switch {
	case w.waiting.Why == whyOther:
		return yieldNap
	case w.waiting.Until.IsZero():
		return longestNap
	}
	return min(w.waiting.Until.Sub(w.runner.Clock.Now()), longestNap)
}

// visit does with one open entry what can be done now.
func (w *walk) visit(ctx context.Context, e *ledger.Entry) error {
	now := w.runner.Clock.Now()
	run := &w.lease.Rollback
	switch {
	case !run.Select.Has(e):
		w.holds.Add(e)
		return nil
	case e.State == ledger.EntryStuck && !w.retries(e):
		w.staysStuck(e)
		return nil
	case w.holds.By(e) != 0:
		w.staysOpen(e)
		return nil
	case w.flights[e.System] != nil:
		w.awaitFlight(e)
		return nil
	case run.Waits(e.System):
		w.awaitWord(e)
		return nil
	case e.State == ledger.EntryIntended && now.Before(e.PerformBy):
		w.wait(ledger.Waiting{Why: whyPerformBy, Until: e.PerformBy, On: e.ID.String()})
		w.holds.Add(e)
		return nil
	case w.overlaps[e.ID] != nil:
		w.giveWay(e, w.overlaps[e.ID])
		return nil
	case e.NotBefore.After(now):
		w.wait(ledger.Waiting{Why: whyRetry, Until: e.NotBefore, On: e.System})
		w.busy[e.System] = e.NotBefore
		w.holds.Add(e)
		return nil
	case !w.busy[e.System].IsZero():
		w.holds.Add(e)
		return nil
	}
	return w.take(ctx, e)
}

// The words of Waiting.Why.
const (
	whyPerformBy  = "perform_by"
	whySecondWord = "second_word"
	whyRetry      = "retry"
	whyOther      = "other_window"
	whyAnswer     = "answer"
	whyAway       = "system_away"
)

// waitsForWord reports whether the pass stops here: an intent may still become an effect, and nothing
// older goes first.
func (w *walk) waitsForWord() bool { return w.waiting != nil && w.waiting.Why == whyPerformBy }

// wait keeps the reason that a person has to know of first, and of equal ones the one that ends first. What ends
// before it ends the nap all the same.
func (w *walk) wait(x ledger.Waiting) {
	if w.waiting == nil {
		w.waiting = &x
		return
	}
	first, other := *w.waiting, x
	if rank(x.Why) < rank(first.Why) || rank(x.Why) == rank(first.Why) && x.Until.Before(first.Until) {
		first, other = x, first
	}
	if !other.Until.IsZero() && (first.Until.IsZero() || other.Until.Before(first.Until)) {
		first.Until = other.Until
	}
	w.waiting = &first
}

func rank(why string) int {
	switch why {
	case whyPerformBy:
		return 0
	case whySecondWord:
		return 1
	default:
		return 2
	}
}

// retries reports whether this run takes up an entry that is stuck: one that a person decided on, and, in
// a run that was asked for anew, what earlier runs left. A late fact waits for a person's word.
func (w *walk) retries(e *ledger.Entry) bool {
	if e.Decision != nil {
		return true
	}
	run := &w.lease.Rollback
	return run.Again && e.RollbackID != run.ID && e.Reason != ledger.ReasonLate
}

// staysOpen says that e is not taken up in this pass: a stuck one holds up what a stuck one does.
func (w *walk) staysOpen(e *ledger.Entry) {
	if e.State == ledger.EntryStuck {
		w.staysStuck(e)
		return
	}
	w.holds.Add(e)
}

// staysStuck says that e stays open, and what that holds up.
func (w *walk) staysStuck(e *ledger.Entry) {
	switch w.lease.Rollback.OnStuck {
	case ledger.OnStuckSystem:
		w.holds.AddSystem(e)
	case ledger.OnStuckHalt:
		w.holds.Add(e)
		w.halted, w.haltedAt = true, max(w.haltedAt, e.Seq)
	case ledger.OnStuckContinue:
		w.holds.Add(e)
	}
}

// flush writes the closings that have not been written yet.
func (w *walk) flush(ctx context.Context) error {
	if len(w.pending) == 0 {
		return nil
	}
	_, err := w.advance(ctx)
	return err
}

// advance writes the pending closings and more in one transaction, and returns the entries of more. It survives
// cancellation: what a call brought is not lost because the server stops.
func (w *walk) advance(ctx context.Context, more ...ledger.Change) ([]ledger.Entry, error) {
	changes := append(w.pending, more...)
	adv, err := w.write(ctx, changes)
	if errors.Is(err, ledger.ErrFenced) {
		w.keepEvidence(ctx, changes)
		w.pending = nil
	}
	if err != nil {
		return nil, err
	}
	w.pending, w.unwritten, w.renamed = nil, map[ledger.Key]bool{}, false
	w.stop = w.stop || adv.Stop
	w.again = w.again || adv.Moved
	for i := range adv.Newer {
		if !adv.Newer[i].Closed() {
			w.holds.Add(&adv.Newer[i])
		}
	}
	w.told(ctx, adv.Entries)
	return adv.Entries[len(adv.Entries)-len(more):], nil
}

// write writes changes. While it is not known whether they were written it asks again, for as long as the lease
// can last; nobody else may work on the run until then.
func (w *walk) write(ctx context.Context, changes []ledger.Change) (ledger.Advanced, error) {
	ctx = context.WithoutCancel(ctx)
	for began := w.runner.Clock.Now(); ; {
		adv, err := w.ledger.Advance(ctx, w.lease, changes...)
		if ledger.CodeOf(err) != ledger.CodeUnavailable || w.runner.Clock.Now().Sub(began) >= ledger.LeaseTime {
			return adv, err
		}
		nap(ctx, nil, rewrite)
	}
}

// keepEvidence stores the outcomes that a lost lease kept from being written.
func (w *walk) keepEvidence(ctx context.Context, changes []ledger.Change) {
	for _, c := range changes {
		if c.Close == nil || c.Close.Attempt == nil {
			continue
		}
		a := *c.Close.Attempt
		a.Result, a.Status, a.Detail, a.EndedAt = c.Close.Result, c.Close.Status, c.Close.Detail, w.runner.Clock.Now()
		if err := w.ledger.KeepEvidence(context.WithoutCancel(ctx), w.lease, c.EntryID, a); err != nil {
			w.runner.Log.ErrorContext(ctx, "evidence could not be kept", slog.String("entry_id", c.EntryID.String()), slog.Any("err", err))
		}
	}
}

// told logs what became of entries.
func (w *walk) told(ctx context.Context, list []ledger.Entry) {
	for i := range list {
		e := &list[i]
		if e.ID == uuid.Nil || e.State == ledger.EntryUndoing {
			continue
		}
		w.runner.Observer.Settled(ctx, e)
		w.runner.Log.InfoContext(ctx, "entry settled", slog.String("entry_id", e.ID.String()), slog.Int("seq", e.Seq),
			slog.String("system", e.System), slog.String("state", string(e.State)), slog.String("outcome", string(e.Outcome)))
	}
}
