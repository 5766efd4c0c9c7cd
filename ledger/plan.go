package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A Step is one entry of a plan.
type Step struct {
	Entry   *Entry
	Verdict Verdict
	Detail  string
	Now     Image    // what the third party shows; not known when it was not looked at
	Digest  string   // of it, over what the entry owns; empty: not looked at, or Now is what a newer undo will leave
	Request Request  // what would be sent; Method and Summary empty: nothing
	Overlap *Overlap // another window stands in its way; nil: none does
	Waits   bool     // blocked only for as long as its third party does not answer: a rollback waits for it
}

// A PlanSummary ends a plan.
type PlanSummary struct {
	WindowID    uuid.UUID
	ComputedAt  time.Time
	Fingerprint string
	Counts      map[Verdict]int
	Critical    CriticalPath
	Estimate    Estimate
}

const (
	planPage  = 64 // entries read and looked at together
	planLanes = 8  // looks under way at once
)

// Plan says what a rollback would do right now, entry by entry, newest first, after looking at the third
// parties. It writes nothing anywhere. yield gets each step as soon as it is known; an error of yield
// ends the plan and is returned. Where the snapshot's restore is to be done, its step and those of what goes
// before it come first. Codes: not_found.
func (l *Ledger) Plan(ctx context.Context, windowID uuid.UUID, sel Selection, yield func(Step) error) (PlanSummary, error) {
	return l.plan(ctx, windowID, planOf{sel: sel}, yield)
}

// planOf says which rollback a plan is of.
type planOf struct {
	sel     Selection
	restore bool // it is asked to restore the window's snapshot
}

func (l *Ledger) plan(ctx context.Context, windowID uuid.UUID, of planOf, yield func(Step) error) (PlanSummary, error) {
	p, err := l.newPlanner(ctx, windowID, of.sel)
	if err != nil {
		return PlanSummary{}, err
	}
	if err := p.findRestore(ctx, of.restore); err != nil {
		return PlanSummary{}, err
	}
	if err := p.planRestore(ctx, yield); err != nil {
		return PlanSummary{}, err
	}
	for from := 0; ; {
		page, err := l.store.ListEntries(ctx, EntryQuery{WindowID: windowID, Desc: true, From: from, Limit: planPage})
		if err != nil {
			return PlanSummary{}, err
		}
		n := len(page)
		if n > 0 {
			from = page[n-1].Seq
		}
		if err := p.steps(ctx, page, yield); err != nil {
			return PlanSummary{}, err
		}
		if n < planPage {
			return p.summary(of), nil
		}
	}
}

// steps makes the steps of a page, but for those that were made before.
func (p *planner) steps(ctx context.Context, page []Entry, yield func(Step) error) error {
	page = slices.DeleteFunc(page, func(e Entry) bool { return p.isPlanned(&e) })
	looks, err := p.look(ctx, page)
	if err != nil {
		return err
	}
	if p.overlaps, err = p.ledger.Overlaps(ctx, p.window.ID, page); err != nil {
		return err
	}
	for i := range page {
		if err := ctx.Err(); err != nil {
			return err
		}
		step := p.step(&page[i], looks[i])
		if !p.sel.Has(&page[i]) {
			continue
		}
		p.count(step, looks[i].took)
		if err := yield(step); err != nil {
			return err
		}
	}
	return nil
}

// A planner walks a window from its newest entry and foresees what each undo leaves behind, so that
// older entries on the same resource are judged by the state that they will meet.
type planner struct {
	ledger   *Ledger
	window   *Window
	sel      Selection
	run      uuid.UUID // under way; zero: none. What it saw itself is proof to it
	now      time.Time
	shared   map[Key]int   // open entries still to come on resources that have several
	ahead    map[Key]Image // what those resources will show by then
	holds    Holds
	overlaps map[uuid.UUID]*Overlap // of the page
	counts   map[Verdict]int
	sum      hash.Hash
	paths    *paths

	restore restoring
}

func (l *Ledger) newPlanner(ctx context.Context, windowID uuid.UUID, sel Selection) (*planner, error) {
	w, err := l.store.FindWindow(ctx, windowID)
	if err != nil {
		return nil, err
	}
	shared, err := l.store.SharedResources(ctx, windowID)
	if err != nil {
		return nil, err
	}
	p := &planner{
		ledger: l, window: w, sel: sel, now: l.clock.Now(), shared: shared, ahead: map[Key]Image{},
		counts: map[Verdict]int{}, sum: sha256.New(),
	}
	p.sum.Write(w.Head.Hash[:])
	if p.run, err = l.runUnderWay(ctx, w); err != nil {
		return p, err
	}
	p.paths, err = l.newPaths(ctx)
	return p, err
}

// A sight is one entry as its remediator sees it.
type sight struct {
	rem  Remediator
	eff  *Entry
	home func(Look) bool
	seen Look
	err  error
	took time.Duration // the look
}

// look looks at the entries of a page that need it, some at a time.
func (p *planner) look(ctx context.Context, page []Entry) ([]sight, error) {
	names, err := p.ledger.aliases(ctx, p.window.ID)
	if err != nil {
		return nil, err
	}
	out := make([]sight, len(page))
	lanes := make(chan struct{}, planLanes)
	var wg sync.WaitGroup
	for i := range page {
		if _, known := JudgeState(&page[i], p.now); known || !p.sel.Has(&page[i]) {
			continue
		}
		lanes <- struct{}{}
		wg.Go(func() {
			defer func() { <-lanes }()
			out[i] = p.ledger.see(ctx, &page[i], names, p.run)
		})
	}
	wg.Wait()
	return out, nil
}

// runUnderWay returns the window's rollback that is not over; zero: there is none.
func (l *Ledger) runUnderWay(ctx context.Context, w *Window) (uuid.UUID, error) {
	if w.RollbackID == uuid.Nil {
		return uuid.Nil, nil
	}
	r, err := l.store.GetRollback(ctx, w.RollbackID)
	if err != nil || r.State.Over() {
		return uuid.Nil, err
	}
	return r.ID, nil
}

// see looks at one entry as a rollback has to see it: the run that is given, or a new one (zero).
func (l *Ledger) see(ctx context.Context, e *Entry, names aliases, run uuid.UUID) sight {
	_, rem, err := l.systems.Find(e.System)
	if err != nil {
		return sight{err: &CallError{Class: CallDenied, Detail: "system " + e.System + " is not configured"}}
	}
	eff, home, err := l.effective(ctx, e, names)
	if err != nil {
		return sight{err: err}
	}
	eff = eff.asOf(run)
	began := l.clock.Now()
	seen, err := rem.Look(ctx, eff)
	return sight{rem: rem, eff: eff, home: home, seen: seen, err: err, took: l.clock.Now().Sub(began)}
}

func (p *planner) step(e *Entry, s sight) Step {
	j, known := JudgeState(e, p.now)
	step := Step{Entry: e, Verdict: j.Verdict, Detail: j.Detail}
	switch {
	case !p.sel.Has(e):
		if !e.Closed() {
			p.hold(e)
		}
		return step
	case !known:
		step = p.judge(e, s)
	}
	p.foresee(e, s, step)
	return step
}

func (p *planner) judge(e *Entry, s sight) Step {
	step := Step{Entry: e, Verdict: VerdictBlocked}
	if by := p.holds.By(e); by != 0 {
		step.Detail = p.heldBy(by)
		return step
	}
	if o := p.overlaps[e.ID]; o != nil {
		step.Overlap, step.Detail = o, o.Detail()
		return step
	}
	if s.err != nil {
		step.Detail, step.Waits = lookDetail(s.err), isAway(s.err)
		return step
	}
	ahead, foreseen := p.ahead[e.ResourceKey]
	if foreseen = foreseen && s.seen.Known; foreseen {
		s.seen.Now, s.seen.Proven = ahead, true
	}
	step.Now = s.seen.Now
	if e.State == EntryStuck && e.Reason == ReasonLate && e.Decision == nil {
		step.Detail = "a late fact: a person says whether it is undone"
		return step
	}
	j := JudgeSeen(s.eff, s.seen, s.home)
	step.Verdict, step.Detail = j.Verdict, j.Detail
	if !foreseen {
		step.Digest = j.Digest
	}
	if j.Verdict == VerdictUndo || j.Verdict == VerdictManual {
		s.preview(&step)
	}
	return step
}

// preview says in a step what would be sent, or why nothing would.
func (s sight) preview(step *Step) {
	req, err := s.rem.Preview(s.eff, s.seen)
	switch {
	case err != nil:
		step.Verdict, step.Detail = VerdictBlocked, lookDetail(err)
	case step.Verdict == VerdictUndo && s.seen.Known && !s.eff.MayResend(req.Repeatable):
		step.Verdict, step.Detail = VerdictInDoubt, DetailUnanswered
	}
	step.Request = req
}

// asOf returns the entry as the given run sees it: what another run saw or used up is not its own.
func (e *Entry) asOf(run uuid.UUID) *Entry {
	if e.RollbackID == run {
		return e
	}
	mine := *e
	mine.RollbackID = run
	return &mine
}

// JudgeSeen is [Judge], and knows of entries that are at home at their resource's baseline.
func JudgeSeen(e *Entry, seen Look, atBaseline func(Look) bool) Judgement {
	j := Judge(e, seen)
	if j.Verdict == VerdictDrifted && atBaseline(seen) {
		j.Verdict, j.Detail = VerdictAlreadyGone, "the resource is back at its baseline, by the undo of a late entry"
	}
	return j
}

// foresee keeps what the walk has to know of this entry for older ones.
func (p *planner) foresee(e *Entry, s sight, step Step) {
	switch step.Verdict {
	case VerdictUndo, VerdictAlreadyGone, VerdictVoid, VerdictRetained, VerdictWaived:
	case VerdictDrifted, VerdictManual, VerdictIrreversible, VerdictInDoubt, VerdictBlocked:
		p.hold(e)
	}
	n, several := p.shared[e.ResourceKey]
	if !several || e.Closed() {
		return
	}
	if p.shared[e.ResourceKey] = n - 1; n <= 1 {
		delete(p.ahead, e.ResourceKey)
		return
	}
	if step.Verdict == VerdictUndo && s.seen.Known && s.eff.Before.Known() {
		p.ahead[e.ResourceKey] = overlay(step.Now, s.eff.Before, s.seen.Scope.ownedOf(s.eff.Before, s.eff.After))
	}
}

// overlay returns now with the owned parts as before has them.
func overlay(now, before Image, owned []string) Image {
	if before.IsAbsent() || !now.Known() || now.IsAbsent() {
		return before
	}
	n, err1 := decode(now.JSON)
	b, err2 := decode(before.JSON)
	if err1 != nil || err2 != nil {
		return before
	}
	for _, p := range owned {
		v, ok := lookup(b, p)
		n = put(n, steps(p), v, ok)
	}
	return Image{JSON: []byte(text(n))}
}

// put sets or removes the value at a path; a path that leads through no object replaces nothing.
func put(doc any, path []string, v any, set bool) any {
	if len(path) == 0 {
		return v
	}
	m, ok := doc.(map[string]any)
	_, hidden := markerIn(doc)
	_, other := markerIn(v)
	switch {
	case hidden && other:
		return v
	case !ok || hidden:
		return doc
	case len(path) == 1 && !set:
		delete(m, path[0])
	default:
		m[path[0]] = put(m[path[0]], path[1:], v, set)
	}
	return m
}

func (p *planner) count(s Step, look time.Duration) {
	p.counts[s.Verdict]++
	if s.Verdict == VerdictUndo {
		p.paths.add(s.Entry, look)
	}
	p.sum.Write(s.Entry.ID[:])
	p.sum.Write([]byte(s.Verdict))
}

// summary ends the plan. The fingerprint names the journal head that was read, so that a rollback can
// tell whether the window has moved, and is over that head and every (entry, verdict).
func (p *planner) summary(of planOf) PlanSummary {
	mark := headMark(p.window.Head) + "-"
	if of.restore {
		mark += restoreMark
	}
	return PlanSummary{
		WindowID: p.window.ID, ComputedAt: p.now, Counts: p.counts, Critical: p.paths.critical(), Estimate: p.paths.estimate(),
		Fingerprint: mark + hex.EncodeToString(p.sum.Sum(nil)[:16]),
	}
}

// headMark names a journal head in a fingerprint.
func headMark(h Head) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(h.Number)) //nolint:gosec // journal numbers are never negative
	sum := sha256.Sum256(append(b, h.Hash[:]...))
	return fmt.Sprintf("%d-%s", h.Number, hex.EncodeToString(sum[:8]))
}

// sameHead reports whether a plan's fingerprint was computed at this head.
func sameHead(fingerprint string, h Head) bool {
	return strings.HasPrefix(fingerprint, headMark(h)+"-")
}

// isAway reports whether a third party could not be looked at as it does not answer right now.
func isAway(err error) bool {
	var call *CallError
	return errors.As(err, &call) && (call.Class == CallAway || call.Class == CallNotSent || call.Class == CallAmbiguous)
}

// lookDetail says for a person why a resource cannot be looked at.
func lookDetail(err error) string {
	var call *CallError
	if !errors.As(err, &call) {
		return "the third party cannot be looked at: state unknown"
	}
	switch call.Class {
	case CallAuth:
		return "the third party refused our credential"
	case CallAway, CallNotSent, CallAmbiguous:
		return "the third party does not answer right now; a rollback waits for it"
	case CallDenied:
		return call.Detail
	case CallAnswered:
		return strings.TrimSpace("the third party's answer is of no use: " + call.Detail)
	default:
		return call.Detail
	}
}
