package ledger

import (
	"context"
	"strconv"

	"github.com/google/uuid"
)

// A RollbackView is a rollback with the counts of what it selected, as they are now. Complete goes with them: a fact
// that comes after the run opens it again, a person's word on what it left stuck completes it.
type RollbackView struct {
	Rollback
	Counts Counts
	Held   []Held // what keeps a finished run from entries that it left alone; only of a run that is read
}

// viewOf counts with the entries of a run those that retention removed since.
func viewOf(r *Rollback, p *Pruning, c Counts) *RollbackView {
	if p != nil && r.Select.All() && r.CreatedAt.Before(p.At) {
		c = c.plus(p.Counts)
	}
	v := &RollbackView{Rollback: *r, Counts: c}
	v.Complete = r.State == RollbackFinished && c.Open() == 0
	return v
}

// A SelectRequest is a selection as it is posted.
type SelectRequest struct {
	Only    []string // see ParseTerm
	Exclude []string
	ToEntry string // id or number: entries after it; empty: all
	ToTag   string // entries after the newest one with this tag; empty: all
}

// A RollbackRequest asks for a run.
type RollbackRequest struct {
	SelectRequest
	Reason  string
	Plan    string // fingerprint of a plan that must still hold; empty: whatever is there
	OnStuck OnStuck
	// RestoreSnapshot asks for the restore of the window's snapshot in the same run: after the entries marked
	// before_restore, before the rest.
	RestoreSnapshot bool

	restore *Entry // it, prepared; nil: not asked for, or recorded already
}

// Select resolves a posted selection against a window: entries that it names have to be there, and its terms have to
// pick one together.
// Codes: invalid.
func (l *Ledger) Select(ctx context.Context, windowID uuid.UUID, r SelectRequest) (Selection, error) {
	only, err := parseTerms("/only", r.Only)
	if err != nil {
		return Selection{}, err
	}
	exclude, err := parseTerms("/exclude", r.Exclude)
	if err != nil {
		return Selection{}, err
	}
	for i, t := range only {
		if err := l.mustMatch(ctx, windowID, "/only/"+strconv.Itoa(i), t); err != nil {
			return Selection{}, err
		}
	}
	for i, t := range exclude {
		if err := l.mustMatch(ctx, windowID, "/exclude/"+strconv.Itoa(i), t); err != nil {
			return Selection{}, err
		}
	}
	sel := Selection{Only: only, Exclude: exclude}
	if sel.After, err = l.turningPoint(ctx, windowID, r); err != nil {
		return Selection{}, err
	}
	return sel, l.mustPick(ctx, windowID, sel)
}

// mustPick refuses terms that together pick nothing. That nothing was recorded after the turning point is no mistake.
func (l *Ledger) mustPick(ctx context.Context, windowID uuid.UUID, sel Selection) error {
	if len(sel.Only) == 0 && len(sel.Exclude) == 0 {
		return nil
	}
	list, err := l.store.ListEntries(ctx, EntryQuery{WindowID: windowID, Select: sel, Limit: 1})
	if err != nil || len(list) > 0 {
		return err
	}
	field := "/only"
	if len(sel.Only) == 0 {
		field = "/exclude"
	}
	return Invalid(field, "the terms together pick no entry of this window")
}

func (l *Ledger) mustMatch(ctx context.Context, windowID uuid.UUID, field string, t Term) error {
	found, err := l.newest(ctx, windowID, t)
	if err == nil && found == nil {
		err = Invalid(field, "picks no entry of this window")
	}
	return err
}

// newest returns the newest entry of the window that t picks, or nil.
func (l *Ledger) newest(ctx context.Context, windowID uuid.UUID, t Term) (*Entry, error) {
	list, err := l.store.ListEntries(ctx, EntryQuery{WindowID: windowID, Select: Selection{Only: []Term{t}}, Desc: true, Limit: 1})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// turningPoint returns the Seq that a run goes back to: that entry itself stays.
func (l *Ledger) turningPoint(ctx context.Context, windowID uuid.UUID, r SelectRequest) (int, error) {
	var t Term
	field := "/to_entry"
	switch {
	case r.ToEntry != "" && r.ToTag != "":
		return 0, Invalid("/to_tag", "give to_entry or to_tag, not both")
	case r.ToEntry != "":
		var err error
		if t, err = ParseTerm(field, r.ToEntry); err != nil || t.ID == uuid.Nil && t.Seq == 0 {
			return 0, Invalid(field, "want an entry's id or number")
		}
	case r.ToTag != "":
		field, t = "/to_tag", Term{Tag: r.ToTag}
	default:
		return 0, nil
	}
	e, err := l.newest(ctx, windowID, t)
	switch {
	case err != nil:
		return 0, err
	case e == nil:
		return 0, Invalid(field, "picks no entry of this window")
	}
	return e.Seq, nil
}

// StartRollback starts a run over the window, or joins the one that is under way; of a window that is
// rolled back it returns the last one. A partial run neither fences the window nor moves it.
// Codes: not_found, invalid, conflict (kept, or another selection is under way), stale (Plan).
func (l *Ledger) StartRollback(ctx context.Context, windowID uuid.UUID, r RollbackRequest) (*RollbackView, error) {
	if err := checkText("/reason", r.Reason, false, maxText); err != nil {
		return nil, err
	}
	switch r.OnStuck {
	case "":
		r.OnStuck = OnStuckContinue
	case OnStuckContinue, OnStuckSystem, OnStuckHalt:
	default:
		return nil, Invalid("/on_stuck", "want continue, system or halt")
	}
	sel, err := l.Select(ctx, windowID, r.SelectRequest)
	if err != nil {
		return nil, err
	}
	if r.restore, err = l.prepareRestore(ctx, windowID, sel, r.RestoreSnapshot); err != nil {
		return nil, err
	}
	out, err := update(ctx, l, "start rollback", windowID, func(u *unit) (*RollbackView, error) {
		run, err := u.startRollback(ctx, sel, r)
		if err != nil {
			return nil, err
		}
		c, err := u.Count(run.Select)
		return viewOf(run, u.Window().Pruned, c), err
	})
	if err == nil && !out.State.Over() {
		l.forgetParks(out.Rollback)
		l.waker.Wake(out.Rollback)
	}
	return out, err
}

// forgetParks lets a new run ask systems again that refused our credential.
func (l *Ledger) forgetParks(r Rollback) {
	if !r.StartedAt.IsZero() {
		return
	}
	for _, s := range l.systems.List() {
		if s.Parked {
			l.systems.Park(s.Name, false)
		}
	}
}

func (u *unit) startRollback(ctx context.Context, sel Selection, r RollbackRequest) (*Rollback, error) {
	w := u.Window()
	if err := checkExpected(ctx, u.op, w.ID.String(), w.Head); err != nil {
		return nil, err
	}
	last, err := u.lastRollback()
	if err != nil {
		return nil, err
	}
	if err := u.checkPlan(r); err != nil {
		return nil, err
	}
	switch {
	case last != nil && !last.State.Over():
		return u.joinRollback(last, sel, r)
	case w.State == WindowRolledBack && last != nil:
		return last, u.checkRestores(last, r)
	case sel.All() && w.State == WindowKept:
		return nil, Conflict(u.op, w.ID.String(), "the window was kept; reopen it first, or name the entries to undo")
	}
	if err := u.insertRestore(r); err != nil {
		return nil, err
	}
	return u.newRollback(&Rollback{Select: sel, OnStuck: r.OnStuck, Reason: r.Reason, Again: true, RestoreSnapshot: r.RestoreSnapshot})
}

// lastRollback returns the window's running or last rollback, or nil.
func (u *unit) lastRollback() (*Rollback, error) {
	if u.Window().RollbackID == uuid.Nil {
		return nil, nil //nolint:nilnil // no rollback yet is no error
	}
	return u.FindRollback(u.Window().RollbackID)
}

// joinRollback returns the run under way, if it does what was asked for.
func (u *unit) joinRollback(r *Rollback, sel Selection, asked RollbackRequest) (*Rollback, error) {
	if !r.Select.Equal(sel) {
		return nil, Conflict(u.op, r.ID.String(), "a rollback of another selection is %s; wait for its end or cancel it", r.State)
	}
	return r, u.checkRestores(r, asked)
}

// newRollback inserts a run and, unless it is partial, fences the window.
func (u *unit) newRollback(r *Rollback) (*Rollback, error) {
	w := u.Window()
	r.ID, r.WindowID, r.State, r.RequestedBy, r.CreatedAt = NewID(), w.ID, RollbackQueued, u.actor.TokenID, u.now
	if r.Partial() && r.Select.UpTo == 0 {
		r.Select.UpTo = w.LastSeq
	}
	w.RollbackID = r.ID
	if err := u.InsertRollback(r); err != nil {
		return nil, err
	}
	if _, err := u.record(recordBody{Kind: "rollback.queued", Note: r.Reason, RollbackID: r.ID, Rollback: rollbackToJSON(r)}); err != nil {
		return nil, err
	}
	if r.Partial() {
		return r, u.noteWindow("window.partial", r.Reason)
	}
	w.Resume = ""
	return r, u.moveWindow(WindowRollingBack, r.Reason)
}

// Rollback returns a run with the counts of what it selected, and with what holds the rest. Codes: not_found.
func (l *Ledger) Rollback(ctx context.Context, id uuid.UUID) (*RollbackView, error) {
	r, err := l.store.GetRollback(ctx, id)
	if err != nil {
		return nil, err
	}
	c, err := l.store.CountEntries(ctx, r.WindowID, r.Select)
	if err != nil {
		return nil, err
	}
	w, err := l.store.FindWindow(ctx, r.WindowID)
	if err != nil {
		return nil, err
	}
	v := viewOf(r, w.Pruned, c)
	v.Held, err = l.held(ctx, v)
	return v, err
}

// Pause stops a run between two attempts; what is in flight is finished. Pausing a paused run changes
// nothing. Codes: not_found, conflict.
func (l *Ledger) Pause(ctx context.Context, id uuid.UUID) (*RollbackView, error) {
	return l.turnRollback(ctx, "pause rollback", id, func(u *unit, r *Rollback) error {
		if r.State == RollbackPaused {
			return nil
		}
		return u.moveRollback(r, RollbackPaused, "")
	})
}

// Resume goes on with a paused run exactly where it stopped. Resuming a run that is not paused and not
// over changes nothing. Codes: not_found, conflict.
func (l *Ledger) Resume(ctx context.Context, id uuid.UUID) (*RollbackView, error) {
	return l.turnRollback(ctx, "resume rollback", id, func(u *unit, r *Rollback) error {
		if r.State != RollbackPaused && !r.State.Over() {
			return nil
		}
		return u.moveRollback(r, RollbackQueued, "")
	})
}

// Cancel ends a run: at once if no runner works on it, else after what is in flight. Entries in the
// middle of an attempt end stuck. The window becomes sealed, or stuck if an entry is. Cancelling a
// cancelled run changes nothing. Codes: not_found, conflict.
func (l *Ledger) Cancel(ctx context.Context, id uuid.UUID) (*RollbackView, error) {
	r, err := l.store.GetRollback(ctx, id)
	if err != nil {
		return nil, err
	}
	undoing, err := l.undoing(ctx, r.WindowID)
	if err != nil {
		return nil, err
	}
	return l.turnRollback(ctx, "cancel rollback", id, func(u *unit, r *Rollback) error {
		switch {
		case r.State == RollbackCancelled || r.Cancelling:
			return nil
		case r.State.Over():
			return Conflict(u.op, id.String(), "the rollback is %s", r.State)
		case r.Holder != "" && r.LeaseUntil.After(u.now):
			r.Cancelling = true
			return u.saveRollback("rollback.cancelling", r, r.Epoch, "")
		}
		return u.cancelRollback(r, undoing)
	})
}

func (l *Ledger) turnRollback(ctx context.Context, op string, id uuid.UUID, fn func(*unit, *Rollback) error) (*RollbackView, error) {
	known, err := l.store.GetRollback(ctx, id)
	if err != nil {
		return nil, err
	}
	out, err := update(ctx, l, op, known.WindowID, func(u *unit) (*RollbackView, error) {
		if err := checkExpected(ctx, op, id.String(), u.Window().Head); err != nil {
			return nil, err
		}
		r, err := u.FindRollback(id)
		if err != nil {
			return nil, err
		}
		if err := fn(u, r); err != nil {
			return nil, err
		}
		c, err := u.Count(r.Select)
		return viewOf(r, u.Window().Pruned, c), err
	})
	if err == nil {
		l.waker.Wake(out.Rollback)
	}
	return out, err
}

// undoing returns the ids of the window's entries that are in the middle of an attempt.
func (l *Ledger) undoing(ctx context.Context, windowID uuid.UUID) ([]uuid.UUID, error) {
	list, err := l.store.ListEntries(ctx, EntryQuery{WindowID: windowID, States: []EntryState{EntryUndoing}, Limit: MaxBatch})
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, 0, len(list))
	for _, e := range list {
		ids = append(ids, e.ID)
	}
	return ids, nil
}

// cancelRollback ends a run that nobody works on. An entry in the middle of an attempt is stuck: its
// undo may have been sent.
func (u *unit) cancelRollback(r *Rollback, undoing []uuid.UUID) error {
	for _, id := range undoing {
		e, err := u.findEntry(id)
		if err != nil {
			return err
		}
		if e.State != EntryUndoing {
			continue
		}
		e.Reason, e.Detail = ReasonFailed, "the rollback was cancelled before the undo succeeded"
		if e.Unsettled() {
			e.Reason, e.Detail = ReasonInDoubt, "the rollback was cancelled in the middle of an attempt"
		}
		if err := u.moveEntry(e, EntryStuck, moved{}); err != nil {
			return err
		}
	}
	r.FinishedAt, r.Cancelling, r.LeaseUntil, r.Holder = u.now, false, u.now, ""
	if err := u.moveRollback(r, RollbackCancelled, ""); err != nil {
		return err
	}
	if r.Partial() {
		return u.endPartial()
	}
	c, err := u.Count(Selection{})
	if err != nil {
		return err
	}
	u.Window().SealedAt = u.now
	if c.Stuck > 0 {
		u.Window().Resume = WindowSealed // once nothing is stuck any more
		return u.moveWindow(WindowStuck, "the rollback was cancelled")
	}
	return u.moveWindow(WindowSealed, "the rollback was cancelled")
}

// endPartial gives the window the state that it has after a partial run: stuck if an entry is, else what
// it was before.
func (u *unit) endPartial() error {
	w := u.Window()
	c, err := u.Count(Selection{})
	switch {
	case err != nil:
		return err
	case c.Stuck > 0 && w.State == WindowStuck:
		return nil
	case c.Stuck > 0:
		w.Resume = w.State
		return u.moveWindow(WindowStuck, "a partial rollback left an entry stuck")
	case w.State != WindowStuck:
		return nil
	case w.Resume != "":
		to := w.Resume
		w.Resume = ""
		return u.moveWindow(to, "a partial rollback left nothing stuck")
	case c.Open() > 0:
		return nil
	}
	if err := u.moveWindow(WindowRollingBack, ""); err != nil {
		return err
	}
	return u.moveWindow(WindowRolledBack, "")
}
