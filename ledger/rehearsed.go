package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
)

// Rehearsed returns a rehearsal as it is now: what its rollback came to and, once that is over, whether the canaries are
// gone, which is looked at anew.
func (l *Ledger) Rehearsed(ctx context.Context, r *Rehearsal) (*Rehearsal, error) {
	if r.WindowID == uuid.Nil {
		return r, nil
	}
	back, err := l.store.GetRollback(ctx, r.RollbackID)
	if err != nil {
		return nil, err
	}
	out := *r
	out.Over = back.State.Over()
	if out.Earlier, err = l.earlierNow(ctx, r.Earlier); err != nil {
		return nil, err
	}
	checks := map[uuid.UUID]Checked{}
	if out.Over {
		list, err := l.Verify(WithOnce(ctx, nil), r.WindowID)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			checks[c.EntryID] = c
		}
	}
	out.Canaries = nil
	for _, c := range r.Canaries {
		c.Steps = append([]RehearsalStep(nil), c.Steps...)
		if err := l.judgeCanary(ctx, &c, out.Over, checks); err != nil {
			return nil, err
		}
		out.Canaries = append(out.Canaries, c)
	}
	return &out, nil
}

// earlierNow says what became of earlier rehearsals that had not ended.
func (l *Ledger) earlierNow(ctx context.Context, list []EarlierRehearsal) ([]EarlierRehearsal, error) {
	var out []EarlierRehearsal
	for _, e := range list {
		w, err := l.store.FindWindow(ctx, e.WindowID)
		if err != nil {
			return nil, err
		}
		r, err := l.Rehearsal(ctx, e.WindowID)
		if err != nil {
			return nil, err
		}
		now := EarlierRehearsal{WindowID: e.WindowID, State: w.State}
		for i := range r.Canaries {
			if left := r.Canaries[i].Remains; left != nil {
				now.Remains = append(now.Remains, *left)
			}
		}
		out = append(out, now)
	}
	return out, nil
}

// judgeCanary fills in how a canary was taken back.
func (l *Ledger) judgeCanary(ctx context.Context, c *Rehearsed, over bool, checks map[uuid.UUID]Checked) error {
	if c.create == uuid.Nil {
		return nil
	}
	if c.update != uuid.Nil {
		e, err := l.store.GetEntry(ctx, c.update)
		if err != nil {
			return err
		}
		*c.step(StepUndoUpdate) = judgeUndone(StepUndoUpdate, e, over)
	}
	made, err := l.store.GetEntry(ctx, c.create)
	if err != nil {
		return err
	}
	if made.Kind == c.Kind {
		c.Resource = made.Where()
	}
	*c.step(StepUndoCreate) = judgeUndone(StepUndoCreate, made, over)
	*c.step(StepGone) = judgeGone(made, over, checks)
	if over && !made.Closed() {
		c.Remains = l.remains(ctx, made, c.Name)
	}
	return nil
}

// judgeGone says whether the canary is gone, by a look after the rollback.
func judgeGone(made *Entry, over bool, checks map[uuid.UUID]Checked) RehearsalStep {
	out := RehearsalStep{Step: StepGone, Result: RehearsalNotTried}
	check, known := checks[made.ID]
	switch {
	case !over:
		out.Result = RehearsalPending
	case made.State != EntryUndone || !known:
	case check.Verdict == CheckSame:
		out.Result = RehearsalOK
	case check.Verdict == CheckDrifted:
		out.Result, out.Detail = RehearsalFailed, "it is there again: "+check.Detail
	default:
		out.Result, out.Detail = RehearsalInDoubt, check.Detail
	}
	return out
}

// remains says what was left behind, and which request removes it.
func (l *Ledger) remains(ctx context.Context, e *Entry, name string) *Remains {
	out := &Remains{EntryID: e.ID, Resource: e.Where(), Why: fmt.Sprintf("the %s is still there: %s", e.Kind, e.Detail)}
	if e.AppliedAt.IsZero() {
		found := l.findCanary(ctx, e, name)
		if found == nil {
			out.Why = fmt.Sprintf("nobody knows whether a %s was made: look for one with %s in it", e.Kind, name)
			return out
		}
		made := *e
		made.Resource, e = found, &made
		out.Resource, out.Why = found, fmt.Sprintf("the %s is there, although its create was not answered", e.Kind)
	}
	names, err := l.aliases(ctx, e.WindowID)
	if err != nil {
		return out
	}
	s := l.see(ctx, e, names, uuid.Nil)
	if s.err != nil || !s.seen.Known {
		return out
	}
	if s.seen.Now.IsAbsent() {
		out.Why = fmt.Sprintf("the %s is not to be seen right now: %s", e.Kind, e.Detail)
		return out
	}
	if req, err := s.rem.Preview(s.eff, s.seen); err == nil {
		out.Request = req
	}
	return out
}

// findCanary looks through the list of its kind for a canary whose name nobody told us; nil: it is not in it.
func (l *Ledger) findCanary(ctx context.Context, e *Entry, name string) json.RawMessage {
	_, rem, err := l.systems.Find(e.System)
	if err != nil {
		return nil
	}
	lister, _ := rem.(Lister)
	list, err := listOne(ctx, lister, placedKind{e.Kind, e.Where()})
	if err != nil {
		return nil
	}
	for _, item := range list.Items {
		if bytes.Contains(item.Shows, []byte(name)) {
			return item.Resource
		}
	}
	return nil
}

// Rehearsal tells a rehearsal from its window alone, also of a server that was killed in the middle: what was refused
// before there was an entry is not in it. Codes: not_found, conflict (it is no rehearsal's).
func (l *Ledger) Rehearsal(ctx context.Context, windowID uuid.UUID) (*Rehearsal, error) {
	w, err := l.store.FindWindow(ctx, windowID)
	if err != nil {
		return nil, err
	}
	out := &Rehearsal{System: w.Labels[rehearsalLabel], WindowID: w.ID, RollbackID: w.RollbackID}
	if out.System == "" || w.Name != rehearsalName(out.System) {
		return nil, Conflict("show rehearsal", windowID.String(), "the window is no rehearsal's")
	}
	out.For, _ = uuid.Parse(w.Labels[forLabel])
	at := map[string]int{}
	err = l.eachEntry(ctx, EntryQuery{WindowID: w.ID}, func(e *Entry) { out.recall(at, e) })
	if err != nil || w.RollbackID == uuid.Nil {
		return out, err
	}
	return l.Rehearsed(ctx, out)
}

// recall takes in an entry of a rehearsal's window; the tag says of which canary it is.
func (r *Rehearsal) recall(at map[string]int, e *Entry) {
	i, known := at[e.Tag]
	if !known {
		i = len(r.Canaries)
		at[e.Tag] = i
		r.Canaries = append(r.Canaries, newRehearsed(e.Kind, e.Tag, json.RawMessage(e.Where())))
	}
	c := &r.Canaries[i]
	switch e.Action {
	case ActionCreate:
		c.create = e.ID
		*c.step(StepCreate) = judgeRecorded(StepCreate, e)
		if e.After.Known() && !e.After.IsAbsent() {
			c.step(StepRead).Result = RehearsalOK
		}
	case ActionUpdate:
		if c.update = e.ID; c.Kind != e.Kind { // its create made more than the resource
			c.Kind, c.Resource = e.Kind, e.Where()
		}
		*c.step(StepUpdate) = judgeRecorded(StepUpdate, e)
	case ActionDelete:
	}
}
