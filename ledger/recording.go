package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Recorded is what became of one posted draft.
type Recorded struct {
	Entry  *Entry
	Replay bool // the same id with the same content was here before
}

// A checked is a draft with what its remediator says of it.
type checkedDraft struct {
	draft    Draft
	posted   [32]byte
	warnings []string
	key      Key
	alias    json.RawMessage // the name that the effect of a fact gave the resource; empty: it kept its own
}

// Record records drafts all or none, in order; the result has their order. The same id with the same
// content again is a replay. Intents need a window that takes them; facts (applied) are taken in any.
// Codes: invalid, conflict (a sealed or fenced window, another content under the same id, a create
// whose resource is there already), not_found, unavailable, full.
func (l *Ledger) Record(ctx context.Context, windowID uuid.UUID, drafts []Draft) ([]Recorded, error) {
	if len(drafts) == 0 || len(drafts) > MaxBatch {
		return nil, Invalid("/entries", "want 1 to %d entries", MaxBatch)
	}
	list := make([]checkedDraft, 0, len(drafts))
	known := &baptism{ledger: l, windowID: windowID}
	for i := range drafts {
		c, err := l.checkDraft(ctx, drafts[i], known)
		if err != nil {
			return nil, inBatch(err, i, len(drafts))
		}
		list = append(list, c)
	}
	creds := l.checkSystems(ctx, list)
	out, err := update(WithUse(ctx, useOf(list)), l, "record entry", windowID, func(u *unit) ([]Recorded, error) {
		if err := checkExpected(ctx, u.op, windowID.String(), u.Window().Head); err != nil {
			return nil, err
		}
		return u.recordAll(list, creds)
	})
	if err == nil {
		l.wakeLate(ctx, windowID, out)
	}
	return out, err
}

// recordAll records checked drafts, in order.
func (u *unit) recordAll(list []checkedDraft, creds map[string]*Credential) ([]Recorded, error) {
	rivals, err := u.rivalsOfDrafts(list)
	if err != nil {
		return nil, err
	}
	out := make([]Recorded, 0, len(list))
	for i := range list {
		c := list[i]
		c.warnings = append(slices.Clone(c.warnings), overlapWarnings(rivals[c.draft.ID])...)
		if text := creds[c.draft.System].Warning(c.draft.System, u.Window(), u.now); text != "" {
			c.warnings = append(c.warnings, text)
		}
		r, err := u.recordDraft(c)
		if err != nil {
			return nil, inBatch(err, i, len(list))
		}
		out = append(out, r)
	}
	return out, nil
}

// inBatch says which entry of a batch an error is about.
func inBatch(err error, i, n int) error {
	e, ok := err.(*Error) //nolint:errorlint // only an error made here is renamed; a wrapped one keeps its words
	if !ok || n == 1 {
		return err
	}
	renamed := *e
	renamed.Field = fmt.Sprintf("/entries/%d%s", i, e.Field)
	return &renamed
}

// checkDraft checks a draft offline and takes the images if it asks for that.
func (l *Ledger) checkDraft(ctx context.Context, d Draft, known *baptism) (checkedDraft, error) {
	posted := d
	if err := d.normalize(); err != nil {
		return checkedDraft{}, err
	}
	posted.ID, posted.State, posted.OnRollback, posted.Perform = d.ID, d.State, d.OnRollback, d.Perform
	digest, err := l.digestDraft(&posted)
	if err != nil {
		return checkedDraft{}, Invalid("", "a document in the entry is not JSON")
	}
	rem, err := l.remediatorOf(&d)
	if err != nil {
		return checkedDraft{}, err
	}
	g, err := grade(ctx, rem, &d)
	if err != nil {
		return checkedDraft{}, err
	}
	c := checkedDraft{draft: d, posted: digest, warnings: g.Warnings, key: keyOf(&d, g)}
	c.draft.Trace = TraceOf(ctx)
	if d.Reversible == "" {
		c.draft.Reversible = g.Reversible
	}
	if err := l.captureDraft(ctx, rem, known.windowID, &c); err != nil {
		return checkedDraft{}, err
	}
	c.gradeAgain(rem, &d)
	if err := known.identify(ctx, rem, &c); err != nil {
		return checkedDraft{}, err
	}
	c.warnings = append(c.warnings, c.draft.imageWarnings()...)
	if d.OnRollback != OnRollbackRetain {
		c.warnings = append(c.warnings, gradeWarnings(c.draft.Reversible)...)
	}
	hiding, err := l.hide(&c.draft, c.alias)
	if err != nil {
		return checkedDraft{}, err
	}
	c.warnings = append(c.warnings, hiding...)
	slices.Sort(c.warnings)
	c.warnings = slices.Compact(c.warnings)
	return c, nil
}

// grade asks the remediator about a draft. What a recorder announces is refused if it could never be taken
// back or read; facts never are, and other roles may know of a change to come in the configuration.
func grade(ctx context.Context, rem Remediator, d *Draft) (Grading, error) {
	g, err := rem.Check(d)
	if err == nil && len(g.Denied) > 0 && d.State == EntryIntended && ActorOf(ctx).Role == RoleRecorder {
		err = Invalid(g.Denied[0].Field, "%s", g.Denied[0].Msg)
	}
	return g, err
}

// gradeAgain asks the remediator about what was captured, which the draft as it was posted did not say. A word of the
// caller's stands.
func (c *checkedDraft) gradeAgain(rem Remediator, posted *Draft) {
	if c.draft.Before.Equal(posted.Before) {
		return
	}
	g, err := rem.Check(&c.draft)
	if err != nil || g.Reversible == ReversibleManual {
		return // it cannot be graded, or holds a mask: the first word stands, and the undo ends blocked and names the secret
	}
	c.warnings = g.Warnings
	if posted.Reversible == "" {
		c.draft.Reversible = g.Reversible
	}
}

// remediatorOf returns the remediator of a draft that may be recorded here.
func (l *Ledger) remediatorOf(d *Draft) (Remediator, error) {
	if len(d.Secret) > 0 && l.cipher == nil {
		return nil, Invalid("/secret", "this server has no key for secret fields")
	}
	sys, rem, err := l.systems.Find(d.System)
	switch {
	case CodeOf(err) == CodeNotFound:
		return nil, Invalid("/system", "no system of this name is configured; see GET /v1/systems")
	case err != nil:
		return nil, err
	case sys.Disabled && d.State == EntryIntended:
		return nil, Invalid("/system", "this system is disabled in the configuration")
	}
	return rem, nil
}

func keyOf(d *Draft, g Grading) Key {
	if len(g.ResourceKey) > 0 {
		return ResourceKey(d.System, g.ResourceKey)
	}
	return ResourceKey(d.System, d.Resource)
}

// captureDraft reads the before-image of an intent, or the after-image of a fact, if the draft asks for
// it. A replay of an id that is here already reads nothing.
func (l *Ledger) captureDraft(ctx context.Context, rem Remediator, windowID uuid.UUID, c *checkedDraft) error {
	d := &c.draft
	if !d.Capture {
		return nil
	}
	if old, err := l.store.GetEntry(ctx, d.ID); err == nil && old.WindowID == windowID {
		return nil
	}
	if d.Action == ActionCreate && !d.Before.Known() {
		d.Before = Absent // of an intent the look below makes sure of it
	}
	image, err := capture(ctx, rem, &Entry{Draft: *d, WindowID: windowID, State: d.State})
	if d.State == EntryApplied {
		c.tookAfter(image, err)
		return nil
	}
	return d.tookBefore(image, err)
}

// tookAfter fills in the after-image of a fact; a capture that failed is a warning.
func (c *checkedDraft) tookAfter(image Image, err error) {
	switch {
	case err != nil:
		c.warnings = append(c.warnings, "capture failed, so the after-image is unknown: "+err.Error())
	case !c.draft.After.Known():
		c.draft.After = image
	}
}

// tookBefore fills in the before-image of an intent; a capture that failed refuses it.
func (d *Draft) tookBefore(image Image, err error) error {
	switch {
	case err != nil:
		return Unseen("record entry", d.ID.String(), errors.Unwrap(err), "capture failed, so the intent is refused: %s", err)
	case d.Action == ActionCreate && !image.IsAbsent():
		return Conflict("record entry", d.ID.String(), "the resource is already there: a create would not be undone by removing it")
	case d.Action != ActionCreate && image.IsAbsent():
		return Conflict("record entry", d.ID.String(), "capture found no such resource: an effect that makes it is recorded with the action create")
	}
	d.Before = image
	return nil
}

// A captureError says why a resource could not be read, without the cause that is for the log.
type captureError struct{ call *CallError }

func (e *captureError) Error() string {
	return strings.TrimSpace(string(e.call.Class) + " " + e.call.Detail)
}

func (e *captureError) Unwrap() error { return e.call }

// capture reads a resource for an image. Absence counts with proof only, except for the before-image of
// a create, whose parent the effect itself is about to prove.
func capture(ctx context.Context, rem Remediator, e *Entry) (Image, error) {
	seen, err := rem.Look(ctx, e)
	var call *CallError
	switch {
	case asCall(err, &call):
		return Image{}, &captureError{call}
	case err != nil:
		return Image{}, fmt.Errorf("the third party gave no answer that can be read")
	case !seen.Known:
		return Image{}, fmt.Errorf("there is no way to read this entry's resource")
	case seen.Now.IsAbsent() && !seen.Proven && e.Action == ActionUpdate:
		return Image{}, fmt.Errorf("not found")
	}
	return seen.revealed(), nil
}

// recordDraft inserts one checked draft, or finds it here already.
func (u *unit) recordDraft(c checkedDraft) (Recorded, error) {
	d := &c.draft
	old, elsewhere, err := u.FindEntry(d.ID)
	switch {
	case err != nil:
		return Recorded{}, err
	case elsewhere || old != nil && old.Posted != c.posted:
		return Recorded{}, &Error{Code: CodeConflict, Op: u.op, ID: d.ID.String(), Field: "/id", Msg: "this id was recorded with other content; take a new id"}
	case old != nil:
		return Recorded{Entry: old, Replay: true}, nil
	}
	w := u.Window()
	if d.State == EntryIntended && !w.TakesIntents() {
		return Recorded{}, Conflict(u.op, w.ID.String(), "the window is %s and takes no new intents: do not make this change", w.State)
	}
	warnings, err := u.checkDepends(d)
	if err != nil {
		return Recorded{}, err
	}
	e := &Entry{
		Draft: *d, WindowID: w.ID, State: d.State, Posted: c.posted, ResourceKey: c.key, RecordedBy: u.actor.TokenID,
		RecordedAt: u.now, Warnings: append(slices.Clone(c.warnings), warnings...), Alias: newAlias(c.alias, u.now),
	}
	if d.State == EntryIntended {
		e.PerformBy = u.now.Add(d.Perform)
	} else {
		e.AppliedAt = u.now
	}
	return Recorded{Entry: e}, u.insertFact(e)
}

// insertFact inserts an entry; a fact that comes late is marked, and stuck once its rollback is over.
func (u *unit) insertFact(e *Entry) error {
	w := u.Window()
	if e.State != EntryApplied || !w.Fenced() {
		return u.insertEntry(e)
	}
	e.Late = true
	if w.State == WindowRollingBack || e.OnRollback == OnRollbackRetain {
		return u.insertEntry(e)
	}
	e.State, e.Reason, e.Detail = EntryStuck, ReasonLate, "it arrived after the rollback was over; a person decides"
	if err := u.insertEntry(e); err != nil {
		return err
	}
	return u.lateWindow()
}

// lateWindow moves a window whose rollback was over to stuck, because of a late fact.
func (u *unit) lateWindow() error {
	if u.Window().State == WindowRolledBack {
		return u.moveWindow(WindowStuck, "a late fact")
	}
	return nil
}

// checkDepends holds depends_on to entries that were recorded before. A fact is never refused over it.
func (u *unit) checkDepends(d *Draft) ([]string, error) {
	for i, id := range d.DependsOn {
		e, _, err := u.FindEntry(id)
		if err != nil {
			return nil, err
		}
		if e == nil || id == d.ID {
			if d.State == EntryApplied {
				return []string{"depends_on names an entry that this window does not have; it is ignored"}, nil
			}
			return nil, Invalid(fmt.Sprintf("/depends_on/%d", i), "want the id of an entry recorded before in this window")
		}
	}
	return nil, nil
}

// wakeLate tells the runner of facts that arrived while it works.
func (l *Ledger) wakeLate(ctx context.Context, windowID uuid.UUID, list []Recorded) {
	if slices.ContainsFunc(list, func(r Recorded) bool { return r.Entry.Late && !r.Replay }) {
		l.wakeWindow(ctx, windowID)
	}
}

// wakeWindow wakes the runner of the window's rollback, if it has one that is not over.
func (l *Ledger) wakeWindow(ctx context.Context, windowID uuid.UUID) {
	w, err := l.store.FindWindow(ctx, windowID)
	if err != nil || w.RollbackID == uuid.Nil {
		return // the sweep finds it
	}
	if r, err := l.store.GetRollback(ctx, w.RollbackID); err == nil && !r.State.Over() {
		l.waker.Wake(*r)
	}
}
