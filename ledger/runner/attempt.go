package runner

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"sideledger/ledger"
)

const lookAgain = 200 * time.Millisecond // between two looks of a patient verification

// A work is one entry in the runner's hands.
type work struct {
	entry *ledger.Entry // as the store has it
	eff   *ledger.Entry // as the rollback has to see it
	home  func(ledger.Look) bool
	sys   ledger.System
	rem   ledger.Remediator
	seen  ledger.Look
}

// take looks at an entry and does what the look says.
func (w *walk) take(ctx context.Context, e *ledger.Entry) error {
	sys, rem, err := w.ledger.System(e.System)
	if err != nil {
		w.close(e, nil, blocked("the system is not configured any more"), ledger.Image{})
		return nil
	}
	if w.isParked(e) {
		w.close(e, nil, blocked("the third party refused our credential"), ledger.Image{})
		return nil
	}
	if err := w.flushBefore(ctx, e); err != nil {
		return err
	}
	eff, home, err := w.ledger.Effective(ctx, e)
	if err != nil {
		return err
	}
	mine := *eff
	mine.RollbackID = w.lease.Rollback.ID // what an earlier run saw or burnt is not this one's
	c := &work{entry: e, eff: &mine, home: home, sys: sys, rem: rem}
	seen, flown, err := w.look(ctx, c)
	switch {
	case flown:
		w.awaitFlight(e)
		return err
	case err != nil:
		return w.lookFailed(ctx, c, err)
	}
	c.seen = seen
	w.tries[sys.Name] = 0
	if e.Unsettled() {
		return w.settleOpen(ctx, c)
	}
	return w.follow(ctx, c)
}

// isParked reports whether e's system refused our credential in this run. A person who decides on an entry since
// lets it be asked again.
func (w *walk) isParked(e *ledger.Entry) bool {
	since, parked := w.parked[e.System]
	if parked && e.Decision != nil && !e.Decision.At.Before(since) {
		delete(w.parked, e.System)
		return false
	}
	return parked
}

// flushBefore writes closings of e's resource, and new names of any, before e is judged: what the resource went
// through, and where it is by now, is read back.
func (w *walk) flushBefore(ctx context.Context, e *ledger.Entry) error {
	if w.renamed || e.ResourceKey != (ledger.Key{}) && w.unwritten[e.ResourceKey] {
		return w.flush(ctx)
	}
	return nil
}

func blocked(detail string) ledger.Settlement {
	return ledger.Settlement{Reason: ledger.ReasonBlocked, Detail: detail}
}

// lookFailed decides what a look that brought nothing means: the system is away, or the entry is stuck.
func (w *walk) lookFailed(ctx context.Context, c *work, err error) error {
	if ctx.Err() != nil || errors.Is(err, ledger.ErrFenced) {
		return err
	}
	var call *ledger.CallError
	if !errors.As(err, &call) {
		call = &ledger.CallError{Class: ledger.CallAmbiguous, Err: err}
	}
	e := c.entry
	switch call.Class {
	case ledger.CallAuth:
		w.park(e.System)
		w.close(e, nil, blocked("the third party refused our credential"), ledger.Image{})
	case ledger.CallDenied:
		w.close(e, nil, blocked(call.Detail), ledger.Image{})
	case ledger.CallAnswered:
		w.tries[e.ID.String()]++
		if w.tries[e.ID.String()] >= c.sys.Attempts {
			w.close(e, nil, ledger.Settlement{Reason: ledger.ReasonFailed, Status: call.Status, Detail: "it cannot be read: " + call.Detail}, ledger.Image{})
			return nil
		}
		w.away(c, whyRetry, max(call.RetryAfter, w.backoff(c.sys, w.tries[e.ID.String()])))
	case ledger.CallAway:
		w.away(c, whyAway, call.RetryAfter)
	case ledger.CallNotSent, ledger.CallAmbiguous:
		w.tries[e.System]++
		w.away(c, whyAway, max(call.RetryAfter, w.backoff(c.sys, w.tries[e.System])))
	}
	return nil
}

// away lets the entries of a system wait; the others go on.
func (w *walk) away(c *work, why string, d time.Duration) {
	until := w.runner.Clock.Now().Add(max(d, time.Millisecond))
	w.busy[c.entry.System] = until
	w.holds.Add(c.entry)
	w.wait(ledger.Waiting{Why: why, Until: until, On: c.entry.System})
}

func (w *walk) park(system string) {
	w.parked[system] = w.runner.Clock.Now()
	w.ledger.Park(system)
}

// backoff is full jitter over base·2ⁿ⁻¹, at most cap; n counts from 1.
func (w *walk) backoff(sys ledger.System, n int) time.Duration {
	d := sys.Backoff.Base << min(max(n-1, 0), 20)
	if d <= 0 || d > sys.Backoff.Cap {
		d = sys.Backoff.Cap
	}
	return w.runner.JitterFunc(d)
}

// settleOpen settles an attempt that was left open: by a crash, or because no look succeeded since. What
// its call answered, if that is known, stands in the attempt. A person who decided since is heard: the
// attempt ends, and the decision is acted on in the next pass.
func (w *walk) settleOpen(ctx context.Context, c *work) error {
	a := c.entry.Attempts[len(c.entry.Attempts)-1]
	seen, err := w.lookPatiently(ctx, c, c.seen)
	if err != nil {
		return w.lookFailed(ctx, c, err)
	}
	req, err := c.rem.Preview(c.eff, seen)
	sent := ledger.Sent{Seen: seen, Repeatable: err == nil && req.Repeatable, Attempts: c.sys.Attempts}
	if a.Result == "" {
		sent.Err = &ledger.CallError{Class: ledger.CallAmbiguous, Detail: "the server stopped, or could write nothing down, in the middle of it"}
	} else {
		sent.Answer = c.entry.Remembered(a)
		if ledger.CallClass(a.Result) == ledger.CallAmbiguous {
			sent.Err = &ledger.CallError{Class: ledger.CallAmbiguous, Detail: a.Detail}
		}
	}
	s := ledger.Settle(c.eff, sent)
	s.Burnt = s.Burnt && a.Result != "" || a.Burnt
	if s.Reason != "" && c.entry.DecidedSince() {
		s.Reason, s.Again, s.After = "", true, 0
	}
	w.close(c.entry, &a, s, seen.Now)
	return nil
}

// follow does what the judgement of a fresh look says.
func (w *walk) follow(ctx context.Context, c *work) error {
	j := ledger.JudgeSeen(c.eff, c.seen, c.home)
	s := ledger.Settlement{Detail: j.Detail, Digest: j.Digest}
	switch j.Verdict {
	case ledger.VerdictUndo:
		return w.send(ctx, c, j)
	case ledger.VerdictAlreadyGone:
		s.Outcome = ledger.OutcomeAlreadyUndone
		if c.entry.State == ledger.EntryUndoing && sentBefore(c.entry) {
			s.Outcome, s.Detail = ledger.OutcomeUndone, ""
		}
		w.close(c.entry, nil, s.Found(c.entry, c.seen), ledger.Image{})
	case ledger.VerdictVoid:
		w.defers(c.entry, ledger.Closing{Settlement: s, Void: true})
	case ledger.VerdictDrifted, ledger.VerdictManual, ledger.VerdictIrreversible, ledger.VerdictInDoubt, ledger.VerdictBlocked:
		s.Reason = ledger.ReasonOf(j.Verdict)
		w.close(c.entry, nil, s, c.seen.Now)
	case ledger.VerdictRetained, ledger.VerdictWaived:
		// closed by what the ledger alone knows: never handed to a look
	}
	return nil
}

// sentBefore reports whether an undo of ours may have reached the third party.
func sentBefore(e *ledger.Entry) bool {
	for _, a := range e.Attempts {
		switch a.Result {
		case string(ledger.CallNotSent), string(ledger.CallAway), string(ledger.CallDenied), string(ledger.CallAuth), string(ledger.AnswerRefused):
		default:
			return true
		}
	}
	return false
}

// send opens an attempt durably, sends the undo, looks again and settles.
func (w *walk) send(ctx context.Context, c *work, j ledger.Judgement) error {
	req, err := c.rem.Preview(c.eff, c.seen)
	if err != nil {
		w.close(c.entry, nil, blocked(detailOf(err)), c.seen.Now)
		return nil
	}
	if !c.eff.MayResend(req.Repeatable) {
		w.close(c.entry, nil, ledger.Settlement{Reason: ledger.ReasonInDoubt, Detail: ledger.DetailUnanswered, Digest: j.Digest}, c.seen.Now)
		return nil
	}
	if wait, err := w.guarded(ctx, c, req); wait || err != nil {
		return err
	}
	w.opening = append(w.opening, opening{work: c, digest: j.Digest, request: req})
	if w.parallel() {
		return nil // with what the other systems have ready
	}
	return w.openAll(ctx)
}

// An opening is an undo that is ready to be sent, once its attempt is durable.
type opening struct {
	*work
	digest  string // of what was seen
	request ledger.Request
}

// openAll opens the attempts of what is ready, in one transaction, and sends their undos. Nothing is opened once
// something has come between: the pass ends then, and the next one looks again.
func (w *walk) openAll(ctx context.Context) error {
	list := w.mayOpen()
	if len(list) == 0 {
		return nil
	}
	changes := make([]ledger.Change, len(list))
	for i, o := range list {
		attempt := &ledger.Attempt{N: len(o.entry.Attempts) + 1, Seen: o.digest, Request: requestLine(o.request)}
		changes[i] = ledger.Change{EntryID: o.entry.ID, Seen: o.entry.Journal.Number, Open: attempt}
	}
	opened, err := w.advance(ctx, changes...)
	if err != nil {
		return err
	}
	var bad []error
	for i, o := range list {
		if opened[i].ID != o.entry.ID {
			w.again = true // a word came between, or the run was stopped
			continue
		}
		bad = append(bad, w.launch(ctx, o, &opened[i]))
	}
	return errors.Join(bad...)
}

// mayOpen takes what is ready and still may be sent: what was written meanwhile may have told of something newer.
func (w *walk) mayOpen() []opening {
	list := w.opening
	w.opening = nil
	if w.again || w.stop {
		return nil
	}
	return slices.DeleteFunc(list, func(o opening) bool {
		held := w.holds.By(o.entry) != 0 || w.beyondHalt(o.entry)
		if held {
			w.staysOpen(o.entry)
			w.lanes.remove(o.entry)
		}
		return held
	})
}

// launch sends an undo whose attempt stands open.
func (w *walk) launch(ctx context.Context, o opening, opened *ledger.Entry) error {
	c := o.work
	delete(w.counted, c.entry.ID)
	w.forget(c.entry.ResourceKey)
	c.entry = opened
	c.eff = merge(c.eff, opened)
	return w.undo(ctx, c, ledger.Sent{Repeatable: o.request.Repeatable, Attempts: c.sys.Attempts})
}

// undo sends the undo of an entry whose attempt stands open, and looks again. What comes of it is taken in at
// once, or when it is back.
func (w *walk) undo(ctx context.Context, c *work, sent ledger.Sent) error {
	a := c.entry.Attempts[len(c.entry.Attempts)-1]
	call, done := withGrace(ctx, w.runner.Grace)
	call, observed := w.runner.Observer.Called(call, c.entry, CallUndo)
	f := &flight{land: func() { w.settle(c, a, sent) }}
	flown, err := w.fly(ctx, c, f, func() {
		defer done()
		defer func() { observed(sent.Result()) }()
		if !w.mine.stands() { // this process slept, or the database was away: another runner may be at work
			sent.Err = &ledger.CallError{Class: ledger.CallNotSent, Detail: "the lease was not renewed in time, so nothing was sent"}
			return
		}
		sent.Answer, sent.Err = c.rem.Undo(call, c.eff, c.seen)
		c.eff = c.eff.At(sent.Answer.Alias)
		sent.Seen, sent.LookErr = w.lookAfter(call, c, sent)
	})
	if flown {
		w.awaitFlight(c.entry)
	}
	return err
}

// settle ends an attempt by what it brought.
func (w *walk) settle(c *work, a ledger.Attempt, sent ledger.Sent) {
	s := ledger.Settle(c.eff, sent)
	if s.Park {
		w.park(c.entry.System)
	}
	if s.Again {
		s.After = max(s.After, w.pause(c, s))
	}
	w.close(c.entry, &a, s, sent.Seen.Now)
}

// requestLine is what an attempt keeps of its request: no values, so no query either.
func requestLine(req ledger.Request) string {
	address, _, _ := strings.Cut(req.URL, "?")
	return strings.TrimSpace(req.Method + " " + address)
}

// merge carries what opening an attempt wrote into the entry as the rollback sees it.
func merge(eff, opened *ledger.Entry) *ledger.Entry {
	out := *eff
	out.State, out.Attempts, out.RollbackID, out.Doubted = opened.State, opened.Attempts, opened.RollbackID, opened.Doubted
	return &out
}

// pause is how long an entry waits before its next attempt. A first resend of what may be repeated, or
// whose condition did not hold, goes at once.
func (w *walk) pause(c *work, s ledger.Settlement) time.Duration {
	n := len(c.entry.Attempts)
	if n <= 1 && (s.Result == string(ledger.CallAmbiguous) || s.Result == string(ledger.AnswerConflict)) {
		return 0
	}
	return w.backoff(c.sys, n)
}

// lookAfter reads what the undo brought.
func (w *walk) lookAfter(ctx context.Context, c *work, sent ledger.Sent) (ledger.Look, error) {
	if sent.Answer.Class == ledger.AnswerRetry && sent.Err == nil {
		return c.seen, nil // not executed: it shows what it showed
	}
	var call *ledger.CallError
	if errors.As(sent.Err, &call) && call.Class != ledger.CallAmbiguous && call.Class != ledger.CallAnswered {
		return ledger.Look{}, nil
	}
	seen, err := c.rem.Look(ctx, c.eff)
	if err != nil || !seen.Known {
		return seen, err
	}
	return w.lookPatiently(ctx, c, seen)
}

// lookPatiently looks until an entry that asked for it shows the before-image, and then once more after
// its time to settle. Cut short by the end of ctx it says that nobody knows: half a look is none.
func (w *walk) lookPatiently(ctx context.Context, c *work, seen ledger.Look) (ledger.Look, error) {
	var err error
	until := w.runner.Clock.Now().Add(seen.Patience)
	for !c.isBack(seen) && w.runner.Clock.Now().Before(until) {
		if err := wait(ctx, lookAgain); err != nil {
			return ledger.Look{}, err
		}
		if seen, err = c.rem.Look(ctx, c.eff); err != nil {
			return seen, err
		}
	}
	if seen.Stable > 0 && c.isBack(seen) {
		if err := wait(ctx, seen.Stable); err != nil {
			return ledger.Look{}, err
		}
		return c.rem.Look(ctx, c.eff)
	}
	return seen, nil
}

// wait sleeps for d; an error says that ctx ended before.
func wait(ctx context.Context, d time.Duration) error {
	nap(ctx, nil, d)
	if ctx.Err() != nil {
		return &ledger.CallError{Class: ledger.CallNotSent, Detail: "the server stopped before the verification was over", Err: ctx.Err()}
	}
	return nil
}

func (c *work) isBack(seen ledger.Look) bool {
	return ledger.Compare(c.eff.Before, c.eff.After, seen.Now, seen.Scope).Before
}

// close ends an attempt, or closes an entry that needed none; it is written with the next opening.
func (w *walk) close(e *ledger.Entry, a *ledger.Attempt, s ledger.Settlement, now ledger.Image) {
	s = w.explain(e, s)
	w.defers(e, ledger.Closing{Settlement: s, Attempt: a, Now: now})
	switch {
	case s.Reason != "":
		stuck := *e
		stuck.Reason = s.Reason
		w.staysStuck(&stuck)
	case s.Again && s.After <= 0:
		w.again = true
	case s.Again:
		until := w.runner.Clock.Now().Add(s.After)
		w.busy[e.System] = until
		w.holds.Add(e)
		w.wait(ledger.Waiting{Why: whyRetry, Until: until, On: e.System})
	}
}

// defers keeps a closing back until the next opening or the end of the pass.
func (w *walk) defers(e *ledger.Entry, c ledger.Closing) {
	w.pending = append(w.pending, ledger.Change{EntryID: e.ID, Seen: e.Journal.Number, Close: &c})
	w.unwritten[e.ResourceKey] = true
	w.renamed = w.renamed || len(c.Alias) > 0
}

func detailOf(err error) string {
	var call *ledger.CallError
	if errors.As(err, &call) {
		return call.Detail
	}
	return "the undo cannot be prepared"
}

// withGrace returns a context for a call: it ends some time after ctx, so that a server that stops lets
// what it has sent be answered. A runner that lost its lease gets none: another one may be at work.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, func()) {
	call, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), ledger.ErrFenced) {
			nap(call, nil, grace)
		}
		cancel()
	})
	return call, func() { stop(); cancel() }
}
