package ledger

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/google/uuid"
)

// The restore of a window's snapshot is an entry like any other, so that it is looked at, attempted, verified,
// resumed and decided on like any other. The window names it as a draft from its start; the first rollback that
// is asked to restore the snapshot records it, in the transaction that starts the run.

// checkRestore returns the restore that a window names as it is kept, with an id of its own; nil: it names none.
// It makes no call. An error is CodeInvalid and names the field below /restore.
func (l *Ledger) checkRestore(posted *Draft) (*Draft, error) {
	if posted == nil {
		return nil, nil //nolint:nilnil // a window without a restore is no error
	}
	if len(posted.Secret) > 0 {
		return nil, Invalid("/restore/secret", "a restore keeps no secret values: let its command or its system's credential hold them")
	}
	d := *posted
	d.ID, d.Action, d.State, d.OnRollback, d.Restore = NewID(), ActionUpdate, EntryApplied, OnRollbackUndo, true
	d.Capture, d.BeforeRestore, d.DependsOn = false, false, nil
	if !d.Before.Known() || d.Before.IsAbsent() {
		return nil, Invalid("/restore/before", "want what is read back once the snapshot is live again")
	}
	if err := d.normalize(); err != nil {
		return nil, underRestore(err)
	}
	if d.neverCompared() {
		return nil, Invalid("/restore/before", "it is empty, or everything in it is masked or volatile: nothing could be compared")
	}
	if _, err := l.gradeRestore(&d); err != nil {
		return nil, underRestore(err)
	}
	return &d, nil
}

// neverCompared reports whether any state at all would be taken for the before-image.
func (d *Draft) neverCompared() bool {
	return Compare(d.Before, d.After, d.Before, Scope{Owned: d.Owned, Masked: d.Masked, Volatile: d.Volatile}).Blind
}

// gradeRestore asks the restore's remediator about it, offline.
func (l *Ledger) gradeRestore(d *Draft) (Grading, error) {
	sys, rem, err := l.systems.Find(d.System)
	switch {
	case CodeOf(err) == CodeNotFound:
		return Grading{}, Invalid("/system", "no system of this name is configured; see GET /v1/systems")
	case err != nil:
		return Grading{}, err
	case sys.Disabled:
		return Grading{}, Invalid("/system", "this system is disabled in the configuration")
	}
	g, err := rem.Check(d)
	switch {
	case err != nil:
		return g, err
	case g.Reversible == ReversibleNone:
		return g, Invalid("/undo", "say what restores the snapshot")
	case g.Reversible != ReversibleManual && !g.CanLook:
		return g, Invalid("/read", "a restore is read back: say how (of a command, by its read in the server's configuration)")
	}
	return g, nil
}

// underRestore puts the field of an error below /restore.
func underRestore(err error) error {
	e, ok := err.(*Error) //nolint:errorlint // only an error made here is renamed; a wrapped one keeps its words
	if !ok || e.Code != CodeInvalid {
		return err
	}
	renamed := *e
	renamed.Field = "/restore" + e.Field
	return &renamed
}

// checkBeforeRestore holds the mark to entries that are taken back at all.
func checkBeforeRestore(d *Draft) error {
	if d.BeforeRestore && d.OnRollback == OnRollbackRetain {
		return Invalid("/before_restore", "a retained entry is not taken back, so it goes before nothing")
	}
	return nil
}

// prepareRestore returns the restore entry that a run was asked for, not recorded yet; nil: it was not asked for, or
// it was recorded by an earlier run. Codes: invalid (a part of the window, no restore named, or one that the
// configuration does not allow any more), not_found.
func (l *Ledger) prepareRestore(ctx context.Context, windowID uuid.UUID, sel Selection, asked bool) (*Entry, error) {
	if !asked {
		return nil, nil //nolint:nilnil // not asked for is no error
	}
	w, err := l.store.FindWindow(ctx, windowID)
	if err != nil {
		return nil, err
	}
	if err := w.mayRestore(sel); err != nil {
		return nil, err
	}
	if _, err := l.store.GetEntry(ctx, w.Restore.ID); CodeOf(err) != CodeNotFound {
		return nil, err
	}
	d := *w.Restore
	g, err := l.gradeRestore(&d)
	if err != nil {
		return nil, underRestore(err)
	}
	posted, err := l.digestDraft(&d)
	if err != nil {
		return nil, &Error{Code: CodeInternal, Op: "start rollback", ID: windowID.String(), Err: err}
	}
	if d.Reversible == "" {
		d.Reversible = g.Reversible
	}
	e := &Entry{
		Draft: d, WindowID: windowID, State: EntryApplied, Posted: posted, ResourceKey: keyOf(&d, g),
		Warnings: slices.Concat(g.Warnings, gradeWarnings(d.Reversible)),
	}
	return e, nil
}

// mayRestore refuses what cannot be asked for of this window.
func (w *Window) mayRestore(sel Selection) error {
	switch {
	case w.Restore == nil:
		return Invalid("/restore_snapshot", "this window names no restore; it is named when the window is opened")
	case !sel.All():
		return Invalid("/restore_snapshot", "goes with a rollback of the whole window only: a restored machine beside effects that were left out is neither the old state nor the new one")
	}
	return nil
}

// checkRestores refuses to answer with a run that leaves the snapshot alone where its restore was asked for.
func (u *unit) checkRestores(run *Rollback, r RollbackRequest) error {
	if !r.RestoreSnapshot {
		return nil
	}
	e, _, err := u.FindEntry(u.Window().Restore.ID)
	switch {
	case err != nil || e != nil:
		return err
	case run.State.Over():
		return Conflict(u.op, run.ID.String(), "the window is rolled back already, without its snapshot; restore that by hand")
	default:
		return Conflict(u.op, run.ID.String(), "a rollback that does not restore the snapshot is %s; cancel it, then start again with restore_snapshot", run.State)
	}
}

// insertRestore records the restore that a run was asked for, once in a window. Whoever asks for it orders it from
// whatever is there: that word is the entry's first decision, unless the window says what else it expects to see.
func (u *unit) insertRestore(r RollbackRequest) error {
	if r.restore == nil {
		return nil
	}
	if old, _, err := u.FindEntry(r.restore.ID); err != nil || old != nil {
		return err
	}
	e := *r.restore
	e.RecordedBy, e.RecordedAt, e.AppliedAt = u.actor.TokenID, u.now, u.now
	if !e.After.Known() {
		reason := r.Reason
		if reason == "" {
			reason = "the rollback was asked to restore the snapshot"
		}
		e.Decision = &Decision{Kind: DecideUndo, Reason: reason, By: u.actor.TokenID, At: u.now}
	}
	return u.insertEntry(&e)
}

// handsOn reports whether the run that follows r restores the window's snapshot as r was asked to; r may be nil.
func (r *Rollback) handsOn(next *Rollback) bool {
	return r != nil && r.RestoreSnapshot && !next.Partial()
}

// checkPlan holds a run to the plan that it is to be: one of the window as it is, with the restore or without it.
func (u *unit) checkPlan(r RollbackRequest) error {
	switch {
	case r.Plan == "":
		return nil
	case planRestores(r.Plan) != r.RestoreSnapshot:
		return Invalid("/plan", "a plan that restores the snapshot is run with restore_snapshot, and any other without")
	case !sameHead(r.Plan, u.Window().Head):
		return &Error{Code: CodeStale, Op: u.op, ID: u.Window().ID.String(), Field: "/plan", Msg: "the window has moved since this plan was made; plan again"}
	default:
		return nil
	}
}

// ordered reports whether e restores its window's snapshot from whatever is there: nobody said what else there would
// be, or an attempt has begun, and what it left half done is our own.
func (e *Entry) ordered() bool {
	return e.Restore && (!e.After.Known() || slices.ContainsFunc(e.Attempts, Attempt.mayHaveActed))
}

// mayHaveActed reports whether the attempt may have changed something.
func (a Attempt) mayHaveActed() bool {
	switch a.Result {
	case string(CallNotSent), string(CallAway), string(CallDenied), string(CallAuth),
		string(AnswerRetry), string(AnswerRefused), string(AnswerConflict), string(AnswerManual):
		return false
	default:
		return true
	}
}

// settleOrdered: after a restore the snapshot's state is not what is read back.
func settleOrdered(e *Entry, out Settlement, s Sent) Settlement {
	switch {
	case out.Result == string(AnswerAccepted) || out.Result == string(AnswerGone):
		return out.stuck(ReasonFailed, "the restore says that it succeeded, and what is read back is not the snapshot's state")
	case !s.Repeatable && out.Result != string(AnswerRetry):
		return out.stuck(ReasonInDoubt, "the restore broke off; nobody knows how far it came, and running it twice is not safe")
	default:
		return settleUnchanged(e, out, s)
	}
}

// RestoreOf returns the restore of the window's snapshot while it is to be done; nil: the window names none, no
// rollback was asked for it, or it is closed. Codes: not_found.
func (l *Ledger) RestoreOf(ctx context.Context, windowID uuid.UUID) (*Entry, error) {
	w, err := l.store.FindWindow(ctx, windowID)
	if err != nil || w.Restore == nil {
		return nil, err
	}
	e, err := l.store.GetEntry(ctx, w.Restore.ID)
	switch {
	case CodeOf(err) == CodeNotFound:
		return nil, nil //nolint:nilnil // not asked for is no error
	case err != nil:
		return nil, err
	case e.Closed():
		return nil, nil //nolint:nilnil // done is no error
	}
	return e, nil
}

// encodeRestore returns a window's restore in the ledger's own format; nil: it names none.
func encodeRestore(d *Draft) json.RawMessage {
	if d == nil {
		return nil
	}
	raw, err := EncodeDraft(d)
	if err != nil {
		return nil // its documents were read as JSON when the window was opened
	}
	return raw
}

// DecodeRestore reads a window's restore as [EncodeDraft] wrote it; empty: it names none.
func DecodeRestore(raw []byte) (*Draft, error) {
	if len(raw) == 0 {
		return nil, nil //nolint:nilnil // none is no error
	}
	d, err := DecodeDraft(raw)
	return &d, err
}
