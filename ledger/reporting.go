package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/google/uuid"
)

// A Report completes an entry whose effect is there now.
type Report struct {
	After    Image           // not known: not said
	Resource json.RawMessage // members that the third party chose, an id for one; empty: not said
}

// Entry returns an entry with its attempts. Codes: not_found.
func (l *Ledger) Entry(ctx context.Context, id uuid.UUID) (*Entry, error) {
	return l.store.GetEntry(ctx, id)
}

// Entries lists entries of a window; none is an empty list.
func (l *Ledger) Entries(ctx context.Context, q EntryQuery) ([]Entry, error) {
	return l.store.ListEntries(ctx, q)
}

// Applied takes in that the entry's effect is there. It is a fact: taken in any window state. Saying it
// again changes nothing; saying it with another after-image or resource than was reported before is a
// conflict. Codes: not_found, invalid, conflict, stale.
func (l *Ledger) Applied(ctx context.Context, id uuid.UUID, r Report) (*Entry, error) {
	for {
		known, err := l.store.GetEntry(ctx, id)
		if err != nil {
			return nil, err
		}
		out, err := l.applyReport(ctx, known, r)
		if errors.Is(err, errTouched) {
			continue // the report was set beside an entry that has changed since: once more
		}
		if err == nil {
			l.wakeLate(ctx, known.WindowID, []Recorded{{Entry: out}})
		}
		return out, err
	}
}

// errTouched says that an entry's resource has changed since it was read outside the fence.
var errTouched = errors.New("the entry was completed meanwhile")

func (l *Ledger) applyReport(ctx context.Context, known *Entry, r Report) (*Entry, error) {
	done, err := l.completed(ctx, known, r)
	if err != nil {
		return nil, err
	}
	return update(ctx, l, "report applied", known.WindowID, func(u *unit) (*Entry, error) {
		e, err := u.findEntry(known.ID)
		if err != nil {
			return nil, err
		}
		if err := checkExpected(ctx, u.op, known.ID.String(), e.Journal); err != nil {
			return nil, err
		}
		if string(e.Resource) != string(known.Resource) || e.AppliedAt.IsZero() != known.AppliedAt.IsZero() {
			return nil, errTouched
		}
		return e, u.reportApplied(e, done)
	})
}

// A completion is a report checked against its entry, before the fence.
type completion struct {
	resource json.RawMessage // merged; empty: unchanged
	after    Image           // not known: not said
	key      Key
	alias    json.RawMessage // the name that the effect gave the resource; empty: it kept its own
	warnings []string
	untrue   []string // warnings of the recording that the report has settled
	hidden   *Draft   // the entry with what the report brought, its secret values encrypted; nil: it has none
}

// completed merges a report into its entry and takes the after-image if the entry asked for that.
func (l *Ledger) completed(ctx context.Context, e *Entry, r Report) (completion, error) {
	c := completion{after: r.After, key: e.ResourceKey}
	merged, err := mergeResource(e.Resource, r.Resource)
	if err == nil {
		err = checkReport(e, r)
	}
	if err != nil {
		return c, err
	}
	full := *e
	full.Resource = merged
	_, rem, err := l.systems.Find(e.System)
	if err != nil {
		rem = nil
		c.warnings = append(c.warnings, "the system is not configured any more")
	}
	if string(merged) != string(e.Resource) {
		if err := c.complete(rem, e, &full); err != nil {
			return c, err
		}
	}
	if !c.after.Known() && !e.After.Known() {
		c.take(ctx, rem, &full)
	}
	c.rename(rem, e, &full, r.Resource)
	return c, l.hideReport(&full, &c)
}

// checkReport holds a report to what its entry says already.
func checkReport(e *Entry, r Report) error {
	at, found := hasMarker(r.After.JSON)
	switch {
	case found:
		return Invalid("/after"+at, "is the fingerprint of a secret, not its value; say the value itself")
	case !e.AppliedAt.IsZero() && !adds(e.Resource, r.Resource):
		return Conflict("report applied", e.ID.String(), "it was reported before with another resource, which stands")
	case e.Action == ActionDelete && r.After.Known() && !r.After.IsAbsent() || e.Action != ActionDelete && r.After.IsAbsent():
		return Invalid("/after", "does not fit the entry's action, which is %s", e.Action)
	}
	return nil
}

// complete takes over a resource that the report has completed, with what the remediator says of it now. No
// remediator (nil), and the resource names itself.
func (c *completion) complete(rem Remediator, e, full *Entry) error {
	var g Grading
	if rem != nil {
		var err error
		if g, err = rem.Check(&full.Draft); err != nil {
			return err
		}
		if old, err := rem.Check(&e.Draft); err == nil {
			c.untrue = slices.DeleteFunc(slices.Clone(old.Warnings), func(w string) bool { return slices.Contains(g.Warnings, w) })
			c.warnings = append(c.warnings, slices.DeleteFunc(slices.Clone(g.Warnings), func(w string) bool { return slices.Contains(old.Warnings, w) })...)
		}
	}
	c.resource, c.key = full.Resource, keyOf(&full.Draft, g)
	return nil
}

// take fills in the after-image that the script did not say.
func (c *completion) take(ctx context.Context, rem Remediator, e *Entry) {
	switch {
	case e.Capture && rem != nil && e.State != EntryUndone && e.State != EntryUndoing:
		image, err := capture(ctx, rem, e)
		if err == nil {
			c.after = image
			return
		}
		c.warnings = append(c.warnings, "capture failed, so the after-image is unknown: "+err.Error())
	case e.Action == ActionDelete:
		c.after = Absent
	default:
		c.warnings = append(c.warnings, "after is unknown: a change by somebody else cannot be told from this one, so a person will be asked")
	}
}

func (c completion) into(e *Entry) {
	if len(c.resource) > 0 {
		e.Resource, e.ResourceKey = c.resource, c.key
	}
	if c.after.Known() {
		e.After = c.after
	}
	if h := c.hidden; h != nil {
		e.Secret, e.Encrypted, e.Before, e.After = h.Secret, h.Encrypted, h.Before, h.After
		e.Undo, e.Read, e.Guard, e.Async, e.Verify = h.Undo, h.Read, h.Guard, h.Async, h.Verify
		e.Note, e.Source = h.Note, h.Source
	}
	e.Warnings = slices.DeleteFunc(e.Warnings, func(w string) bool { return slices.Contains(c.untrue, w) })
	for _, w := range c.warnings {
		e.warn(w)
	}
}

// reportApplied decides what a report does in each state of its entry.
func (u *unit) reportApplied(e *Entry, c completion) error {
	switch e.State {
	case EntryIntended, EntryVoid:
		return u.becomeApplied(e, c)
	case EntryApplied, EntryUndoing:
		return u.confirmApplied(e, c)
	case EntryStuck:
		return u.confirmStuck(e, c)
	case EntryUndone, EntryWaived:
		return u.touchEntry("entry.confirmed", e, moved{note: "reported as applied after it was " + string(e.State)})
	default:
		return Conflict(u.op, e.ID.String(), "the entry is %s", e.State)
	}
}

func (u *unit) becomeApplied(e *Entry, c completion) error {
	c.into(e)
	e.takeAlias(c.alias, u.now)
	e.AppliedAt, e.Late, e.Detail = u.now, u.Window().Fenced(), ""
	if err := u.warnOverlaps(e); err != nil {
		return err
	}
	if err := u.moveEntry(e, EntryApplied, moved{draft: true}); err != nil {
		return err
	}
	if !e.Late || u.Window().State == WindowRollingBack || e.OnRollback == OnRollbackRetain {
		return nil
	}
	e.Reason, e.Detail = ReasonLate, "it arrived after the rollback was over; a person decides"
	if err := u.moveEntry(e, EntryStuck, moved{}); err != nil {
		return err
	}
	return u.lateWindow()
}

// confirmApplied: the first report wins; one that says something else is a conflict. An entry that was claimed
// while it was in doubt is reported for the first time.
func (u *unit) confirmApplied(e *Entry, c completion) error {
	first := e.AppliedAt.IsZero()
	newAfter := c.after.Known() && !e.After.Known()
	switch {
	case c.after.Known() && e.After.Known() && !c.after.Equal(e.After):
		return Conflict(u.op, e.ID.String(), "it was reported before with another after-image, which stands")
	case !first && !newAfter && len(c.resource) == 0 && len(c.alias) == 0:
		return nil
	case first:
		e.AppliedAt, e.Late = u.now, u.Window().Fenced()
	}
	c.into(e)
	e.takeAlias(c.alias, u.now)
	if err := u.warnOverlaps(e); err != nil {
		return err
	}
	return u.touchEntry("entry.completed", e, moved{draft: true})
}

// confirmStuck: the word that was missing has come. A running rollback looks again by itself, unless it has
// sent an undo that was not answered: that takes a person's word. After it is over the fact is late.
func (u *unit) confirmStuck(e *Entry, c completion) error {
	if !e.AppliedAt.IsZero() {
		return u.confirmApplied(e, c)
	}
	c.into(e)
	e.takeAlias(c.alias, u.now)
	e.AppliedAt, e.Late = u.now, u.Window().Fenced()
	switch {
	case u.Window().State == WindowRollingBack && !e.mayHaveArrived():
		e.Decision = &Decision{Kind: DecideRetry, Reason: "reported as applied", By: u.actor.TokenID, At: u.now, Attempts: len(e.Attempts)}
	case u.Window().State == WindowRollingBack:
	case e.Late:
		e.Reason, e.Detail = ReasonLate, "it was reported after the rollback was over; a person decides"
	}
	return u.touchEntry("entry.completed", e, moved{draft: true})
}

// Void takes in that the effect never happened, also while a rollback waits for the word.
// Codes: not_found, invalid, conflict (the entry is not intended), stale.
func (l *Ledger) Void(ctx context.Context, id uuid.UUID, reason string) (*Entry, error) {
	if err := checkText("/reason", reason, true, maxText); err != nil {
		return nil, err
	}
	return l.changeIntent(ctx, "void entry", id, func(u *unit, e *Entry) error {
		e.Detail = reason
		return u.moveEntry(e, EntryVoid, moved{note: reason})
	})
}

// Renew gives an intent a new perform_by, as its effect is still being made.
// Codes: not_found, conflict (the entry is not intended, or a rollback has begun), stale.
func (l *Ledger) Renew(ctx context.Context, id uuid.UUID) (*Entry, error) {
	return l.changeIntent(ctx, "renew entry", id, func(u *unit, e *Entry) error {
		if u.Window().Fenced() {
			return Conflict(u.op, e.ID.String(), "a rollback has begun: do not make this change")
		}
		e.PerformBy = u.now.Add(e.Perform)
		return u.touchEntry("entry.renewed", e, moved{})
	})
}

// changeIntent changes an entry that is still intended and wakes the rollback that may wait for it.
func (l *Ledger) changeIntent(ctx context.Context, op string, id uuid.UUID, fn func(*unit, *Entry) error) (*Entry, error) {
	known, err := l.store.GetEntry(ctx, id)
	if err != nil {
		return nil, err
	}
	out, err := update(ctx, l, op, known.WindowID, func(u *unit) (*Entry, error) {
		e, err := u.findEntry(id)
		if err != nil {
			return nil, err
		}
		if err := checkExpected(ctx, op, id.String(), e.Journal); err != nil {
			return nil, err
		}
		if e.State != EntryIntended {
			return nil, Conflict(op, id.String(), "the entry is %s, not intended", e.State)
		}
		return e, fn(u, e)
	})
	if err == nil {
		l.wakeWindow(ctx, known.WindowID)
	}
	return out, err
}

// asCall finds a CallError in err's chain.
func asCall(err error, to **CallError) bool { return errors.As(err, to) }
