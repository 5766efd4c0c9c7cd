package ledger

import (
	"context"
	"strings"

	"github.com/google/uuid"
)

// A Resolution is a person's word on a stuck entry.
type Resolution struct {
	Decision DecisionKind
	Reason   string
	Seen     string // digest of the drifted state that the person was shown; empty: whatever is there
	Evidence string // where the proof is that it was done by hand; empty: none
}

// Resolve takes in a person's word on a stuck entry and acts on it at once: the window's rollback goes
// on, or a new one starts, with what is now free. Codes: not_found, invalid, conflict (the entry is not
// stuck), stale (the drifted state has moved since it was seen).
func (l *Ledger) Resolve(ctx context.Context, entryID uuid.UUID, r Resolution) (*Entry, error) {
	if err := checkResolution(r); err != nil {
		return nil, err
	}
	known, err := l.store.GetEntry(ctx, entryID)
	if err != nil {
		return nil, err
	}
	if err := l.checkSeen(ctx, known, r); err != nil {
		return nil, err
	}
	var run *Rollback
	out, err := update(ctx, l, "resolve entry", known.WindowID, func(u *unit) (*Entry, error) {
		e, err := u.findEntry(entryID)
		if err != nil {
			return nil, err
		}
		if err := checkExpected(ctx, u.op, entryID.String(), e.Journal); err != nil {
			return nil, err
		}
		if err := u.decide(e, r); err != nil {
			return nil, err
		}
		run, err = u.goOn(e, r)
		return e, err
	})
	if err == nil {
		l.forgetParks(*run)
		l.waker.Wake(*run)
	}
	return out, err
}

func checkResolution(r Resolution) error {
	switch r.Decision {
	case DecideRetry, DecideUndo, DecideWaive, DecideDone:
	default:
		return Invalid("/decision", "want retry, undo, waive or done")
	}
	if r.Seen != "" && r.Decision != DecideUndo {
		return Invalid("/seen", "goes with the decision undo only")
	}
	if err := checkText("/reason", r.Reason, true, maxText); err != nil {
		return err
	}
	return checkText("/evidence", r.Evidence, false, maxText)
}

// checkSeen looks again before a drifted state is overridden: only the state that was shown may be.
func (l *Ledger) checkSeen(ctx context.Context, e *Entry, r Resolution) error {
	if r.Seen == "" || e.State != EntryStuck {
		return nil
	}
	names, err := l.aliases(ctx, e.WindowID)
	if err != nil {
		return err
	}
	s := l.see(ctx, e, names, uuid.Nil)
	if s.err != nil {
		return &Error{Code: CodeUnavailable, Op: "resolve entry", ID: e.ID.String(), Msg: lookDetail(s.err), Err: s.err}
	}
	digest := Compare(s.eff.Before, s.eff.After, s.seen.Now, s.seen.Scope).Digest
	if digest == r.Seen {
		return nil
	}
	if s.seen.Known {
		if err := l.keepLook(ctx, e, s.seen.Now, digest); err != nil {
			return err
		}
	}
	return &Error{
		Code: CodeStale, Op: "resolve entry", ID: e.ID.String(), Field: "/seen",
		Msg: "the third party shows another state by now; the entry shows it since: look at it and decide anew",
	}
}

// keepLook stores what a stuck entry's third party shows now, for the person to see it and to say its digest. The
// answer of the call is not this: it is stored under no key.
func (l *Ledger) keepLook(ctx context.Context, looked *Entry, now Image, digest string) error {
	_, err := update(WithOnce(ctx, nil), l, "resolve entry", looked.WindowID, func(u *unit) (*Entry, error) {
		e, err := u.findEntry(looked.ID)
		if err != nil {
			return nil, err
		}
		if err := checkExpected(ctx, u.op, e.ID.String(), e.Journal); err != nil {
			return nil, err
		}
		if e.Journal != looked.Journal || e.NowDigest == digest {
			return e, nil
		}
		e.Now, e.NowDigest = now, digest
		return e, u.touchEntry("entry.seen", e, moved{})
	})
	return err
}

// decide moves the entry as the person said.
func (u *unit) decide(e *Entry, r Resolution) error {
	if e.State != EntryStuck {
		return Conflict(u.op, e.ID.String(), "the entry is %s, not stuck", e.State)
	}
	d := &Decision{Kind: r.Decision, Reason: r.Reason, Seen: r.Seen, Evidence: r.Evidence, By: u.actor.TokenID, At: u.now, Attempts: len(e.Attempts)}
	e.Decision = d
	switch r.Decision {
	case DecideWaive:
		e.Reason, e.Detail = "", r.Reason
		return u.moveEntry(e, EntryWaived, moved{note: r.Reason})
	case DecideDone:
		e.Outcome, e.UndoneAt, e.Reason, e.Detail = OutcomeByHand, u.now, "", r.Reason
		return u.moveEntry(e, EntryUndone, moved{note: r.Reason})
	case DecideRetry, DecideUndo:
		return u.touchEntry("entry.decided", e, moved{note: r.Reason})
	default:
		return Invalid("/decision", "want retry, undo, waive or done")
	}
}

// goOn returns the window's rollback that is under way, or starts one for what is now free: of the whole
// window where it is fenced, else with the selection of the last run, or of the entry alone if that run did
// not select it, or was cancelled: then an operator wants the rest left alone. What earlier runs left stuck it
// leaves alone, unless a person decided on it.
func (u *unit) goOn(e *Entry, r Resolution) (*Rollback, error) {
	last, err := u.lastRollback()
	if err != nil {
		return nil, err
	}
	next := &Rollback{OnStuck: OnStuckContinue, Reason: r.Reason}
	if last != nil {
		next.OnStuck, next.Parallel = last.OnStuck, last.Parallel
	}
	switch {
	case last != nil && !last.State.Over() && (last.Select.Has(e) || e.Closed()):
		return last, nil
	case last != nil && !last.State.Over():
		return nil, Conflict(u.op, e.ID.String(), "a rollback that leaves this entry out is %s; wait for its end or cancel it", last.State)
	}
	next.Select = u.selectFor(e, last)
	next.RestoreSnapshot = last.handsOn(next)
	return u.newRollback(next)
}

// selectFor returns what a run covers that a person's word on e starts; see goOn.
func (u *unit) selectFor(e *Entry, last *Rollback) Selection {
	alone := Selection{Only: []Term{{ID: e.ID}}}
	switch {
	case last != nil && last.State == RollbackCancelled:
		return alone
	case last == nil || u.Window().Fenced():
		return Selection{}
	case !last.Select.Has(e):
		return alone
	default:
		return last.Select
	}
}

// Next says what to type for a stuck entry; empty when there is nothing to decide.
func (e *Entry) Next() string { return e.nextAt(e.NowDigest) }

// nextAt is Next for a person who is shown the state with this digest: an undo of a drift names it.
func (e *Entry) nextAt(digest string) string {
	if e.State != EntryStuck || e.Decision != nil {
		return ""
	}
	undo := "--undo"
	if e.Reason == ReasonDrifted && digest != "" {
		undo += " --seen " + digest
	}
	how := map[Reason]string{
		ReasonDrifted:      undo + "|--waive|--done",
		ReasonBlocked:      "--retry|--waive|--done",
		ReasonFailed:       "--retry|--waive|--done",
		ReasonInDoubt:      "--retry|--undo|--waive|--done",
		ReasonManual:       "--done|--waive",
		ReasonIrreversible: "--waive|--done",
		ReasonLate:         "--retry|--undo|--waive|--done",
	}[e.Reason]
	if e.Reason == ReasonBlocked && strings.HasPrefix(e.Detail, overlapBegins) {
		how = "--retry|--undo|--waive|--done"
	}
	return "rollback resolve " + e.ID.String() + " " + how + " --reason TEXT"
}

// Next says what to type for a stuck entry that shows what the plan saw; empty when there is nothing to decide.
func (s Step) Next() string { return s.Entry.nextAt(s.Digest) }
