package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// A Rival is an open entry of another window on a resource that an entry of ours names too.
type Rival struct {
	WindowID uuid.UUID
	Window   string // its name
	State    WindowState
	Resume   WindowState
	Run      RollbackState // of the window's last rollback; empty: none yet

	EntryID    uuid.UUID
	Seq        int
	Key        Key
	Entry      EntryState
	RecordedAt time.Time
	AppliedAt  time.Time // zero: not reported as applied
	PerformBy  time.Time
}

// Live reports whether a window in this state still answers for its effects: they may be taken back by its
// rollback. Those of a kept one stay for good, and one that is rolled back has none.
func (s WindowState) Live() bool {
	switch s {
	case WindowOpen, WindowSealed, WindowRollingBack, WindowStuck:
		return true
	case WindowKept, WindowRolledBack:
		return false
	default:
		return true
	}
}

// Stands reports whether the rival's effect is, or may be, there and is not settled. Of a window that was kept only
// what a rollback has begun on is unsettled.
func (r *Rival) Stands() bool {
	kept := r.State == WindowKept || r.State == WindowStuck && r.Resume == WindowKept
	switch r.Entry {
	case EntryUndoing, EntryStuck:
		return true
	case EntryApplied, EntryIntended:
		return !kept && r.State.Live()
	case EntryVoid, EntryUndone, EntryWaived:
		return false
	default:
		return true
	}
}

// moving reports whether a run is about to settle the rival by itself. A run that waits is not: two that waited for
// each other would do so for ever.
func (r *Rival) moving() bool {
	switch r.Run {
	case RollbackRunning, RollbackWaiting:
		return r.Entry == EntryUndoing || r.Run == RollbackRunning && r.State == WindowRollingBack && r.Entry != EntryStuck
	case RollbackQueued:
		return r.State == WindowRollingBack && r.Entry != EntryStuck
	case RollbackPaused, RollbackFinished, RollbackCancelled:
		return false
	default:
		return false
	}
}

// effectBy is the latest moment at which an effect came to be: when it was reported, or, while it is in doubt, the end
// of the time that its script has for it.
func effectBy(applied, performBy time.Time) time.Time {
	if applied.IsZero() {
		return performBy
	}
	return applied
}

// follows reports whether the rival's effect came after e's, by the ledger's own clock; equal times are told apart by
// the ids, so that of two entries exactly one follows.
func (r *Rival) follows(e *Entry) bool {
	theirs, ours := effectBy(r.AppliedAt, r.PerformBy), effectBy(e.AppliedAt, e.PerformBy)
	if theirs.Equal(ours) {
		return strings.Compare(r.EntryID.String(), e.ID.String()) > 0
	}
	return theirs.After(ours)
}

// An Overlap is why an entry is not undone right now: another window has changed its resource since.
type Overlap struct {
	Rival
	Wait bool // its own rollback is about to settle it: no person is needed
}

// overlapBegins begins every sentence that says an overlap.
const overlapBegins = "another window has changed this resource since: "

// Detail says the overlap for a person.
func (o *Overlap) Detail() string {
	what := fmt.Sprintf("%sentry %d (%s) of window %q (%s) is %s", overlapBegins, o.Seq, o.EntryID, o.Window, o.WindowID, o.Entry)
	if o.Wait {
		return what + "; its rollback is under way and goes first"
	}
	return what + "; it goes first: undo, keep or waive it there"
}

// overlapping finds the newest entry of another window that has to be settled before e may be undone; nil: none has.
// An operator's word to undo e all the same covers what was there when it was said.
func overlapping(e *Entry, rivals []Rival) *Overlap {
	var newest *Rival
	for i := range rivals {
		r := &rivals[i]
		if !r.Stands() || !r.follows(e) || e.overridesRival(r) {
			continue
		}
		if newest == nil || effectBy(newest.AppliedAt, newest.PerformBy).Before(effectBy(r.AppliedAt, r.PerformBy)) {
			newest = r
		}
	}
	if newest == nil {
		return nil
	}
	return &Overlap{Rival: *newest, Wait: newest.moving()}
}

func (e *Entry) overridesRival(r *Rival) bool {
	d := e.Decision
	return d != nil && d.Kind == DecideUndo && !r.RecordedAt.After(d.At)
}

// contestable reports whether another window may stand in the way of e's undo. One whose undo may have been sent
// is looked at first, whoever else changed the resource.
func (e *Entry) contestable() bool {
	return e.ResourceKey != (Key{}) && !e.Closed() && !e.Unsettled()
}

// nicknames finds the keys under which one resource is known, where effects have renamed it.
type nicknames []Entry

// of returns key and every other key of the same resource of this system.
func (n nicknames) of(system string, key Key) []Key {
	keys := []Key{key}
	for i := 0; i < len(keys); i++ { // what is found is looked for too
		for j := range n {
			if n[j].System != system {
				continue
			}
			same := n[j].keys()
			if !slices.Contains(same, keys[i]) {
				continue
			}
			for _, k := range same {
				if !slices.Contains(keys, k) {
					keys = append(keys, k)
				}
			}
		}
	}
	return keys
}

// keys are those of an entry's resource under its own name and under its alias.
func (e *Entry) keys() []Key {
	keys := []Key{e.ResourceKey}
	if e.Alias == nil {
		return keys
	}
	keys = append(keys, ResourceKey(e.System, e.Alias.Resource))
	if whole, err := mergeResource(e.Resource, e.Alias.Resource); err == nil {
		keys = append(keys, ResourceKey(e.System, whole))
	}
	return keys
}

// A beside reads what other windows have; see [RivalTx].
type beside interface {
	Rivals(keys []Key) ([]Rival, error)
	Renamed() ([]Entry, error)
}

// rivalsOf finds, for each of the entries, the open ones of other windows on its resource.
func rivalsOf(b beside, list []*Entry) (map[uuid.UUID][]Rival, error) {
	if len(list) == 0 {
		return nil, nil
	}
	renamed, err := b.Renamed()
	if err != nil {
		return nil, err
	}
	keys := make(map[uuid.UUID][]Key, len(list))
	var all []Key
	for _, e := range list {
		keys[e.ID] = nicknames(renamed).of(e.System, e.ResourceKey)
		all = append(all, keys[e.ID]...)
	}
	slices.SortFunc(all, func(a, b Key) int { return slices.Compare(a[:], b[:]) })
	found, err := b.Rivals(slices.Compact(all))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	at := map[Key][]Rival{}
	for _, r := range found {
		at[r.Key] = append(at[r.Key], r)
	}
	out := map[uuid.UUID][]Rival{}
	for id, list := range keys {
		for _, k := range list {
			out[id] = append(out[id], at[k]...)
		}
	}
	return out, nil
}

// contested returns what keeps an entry from being undone right now, asked under the fence; nil: nothing does.
func (u *unit) contested(e *Entry) (*Overlap, error) {
	if !e.contestable() {
		return nil, nil //nolint:nilnil // no overlap is no error
	}
	rivals, err := rivalsOf(u, []*Entry{e})
	return overlapping(e, rivals[e.ID]), err
}

// A readBeside is a [beside] without a fence.
type readBeside struct {
	ctx      context.Context //nolint:containedctx // it lives for one call
	store    Reader
	windowID uuid.UUID
}

func (r readBeside) Rivals(keys []Key) ([]Rival, error) {
	return r.store.Rivals(r.ctx, r.windowID, keys)
}

func (r readBeside) Renamed() ([]Entry, error) { return r.store.Renamed(r.ctx, r.windowID) }

// Overlaps returns what keeps entries of a window from being undone right now, by their ids. It reads without a
// fence: the attempt itself asks again.
func (l *Ledger) Overlaps(ctx context.Context, windowID uuid.UUID, list []Entry) (map[uuid.UUID]*Overlap, error) {
	var asked []*Entry
	for i := range list {
		if list[i].contestable() {
			asked = append(asked, &list[i])
		}
	}
	rivals, err := rivalsOf(readBeside{ctx, l.store, windowID}, asked)
	if err != nil {
		return nil, err
	}
	out := map[uuid.UUID]*Overlap{}
	for _, e := range asked {
		if o := overlapping(e, rivals[e.ID]); o != nil {
			out[e.ID] = o
		}
	}
	return out, nil
}

// maxNamed is how many entries of other windows a warning names.
const maxNamed = 3

// overlapWarnings say, where an entry is recorded, which other windows have unsettled entries on its resource; the
// newest ones first.
func overlapWarnings(rivals []Rival) []string {
	standing := slices.DeleteFunc(slices.Clone(rivals), func(r Rival) bool { return !r.Stands() })
	slices.SortFunc(standing, func(a, b Rival) int {
		return cmp.Or(effectBy(b.AppliedAt, b.PerformBy).Compare(effectBy(a.AppliedAt, a.PerformBy)), strings.Compare(b.EntryID.String(), a.EntryID.String()))
	})
	var out []string
	for i, r := range standing {
		if i == maxNamed {
			return append(out, fmt.Sprintf("overlap: other windows have %d more entries on this resource", len(standing)-maxNamed))
		}
		out = append(out, fmt.Sprintf("overlap: window %q (%s) has entry %d (%s) on this resource too, and it is not settled: "+
			"whichever changed it last has to be undone first", r.Window, r.WindowID, r.Seq, r.EntryID))
	}
	return out
}

// rivalsOfDrafts finds the open entries of other windows on the resources of drafts, by the drafts' ids.
func (u *unit) rivalsOfDrafts(list []checkedDraft) (map[uuid.UUID][]Rival, error) {
	var asked []*Entry
	for i := range list {
		if c := &list[i]; c.key != (Key{}) {
			asked = append(asked, &Entry{Draft: Draft{ID: c.draft.ID, System: c.draft.System}, ResourceKey: c.key})
		}
	}
	return rivalsOf(u, asked)
}

// warnOverlaps adds to an entry that is reported on what is said of overlaps.
func (u *unit) warnOverlaps(e *Entry) error {
	if e.ResourceKey == (Key{}) {
		return nil
	}
	rivals, err := rivalsOf(u, []*Entry{e})
	for _, w := range overlapWarnings(rivals[e.ID]) {
		e.warn(w)
	}
	return err
}
