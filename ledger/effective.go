package ledger

import (
	"context"
	"slices"
)

// effective returns the entry as a rollback has to see it. A late fact on a resource that an older entry
// has given back already goes to the resource's baseline, never to a middle state: it keeps its own
// after-image and takes over the before-image and the recipe of the earliest entry that counts. An entry
// between the two is at home when the resource shows the baseline; atBaseline tells it so.
func effective(e *Entry, same []Entry) (eff *Entry, atBaseline func(Look) bool) {
	never := func(Look) bool { return false }
	base, olderUndone, lateUndone := baseline(e, same)
	if base == nil || base.ID == e.ID {
		return e, never
	}
	if e.Late && olderUndone {
		late := *e
		late.Action, late.Before, late.Undo, late.Read, late.Guard = base.Action, base.Before, base.Undo, base.Read, base.Guard
		late.Async, late.Verify, late.Lender = base.Async, base.Verify, &base.Draft
		return &late, never
	}
	if !lateUndone {
		return e, never
	}
	return e, func(seen Look) bool {
		return Compare(base.Before, Image{}, seen.Now, seen.Scope).Before && (!seen.Now.IsAbsent() || seen.Proven)
	}
}

// baseline finds the earliest entry on a resource that counts, and whether an entry older than e, or a
// late one newer than e, was closed by undo. same is in the order of Seq.
func baseline(e *Entry, same []Entry) (base *Entry, olderUndone, lateUndone bool) {
	for i := range same {
		o := &same[i]
		if base == nil && o.Counts() {
			base = o
		}
		if o.State == EntryUndone {
			olderUndone = olderUndone || o.Seq < e.Seq
			lateUndone = lateUndone || o.Seq > e.Seq && o.Late
		}
	}
	return base, olderUndone, lateUndone
}

// Effective returns the entry as a rollback has to see it; see effective. What the resource went through is
// read for late entries at once, and for others only when atBaseline is asked: that is for a drifted one.
func (l *Ledger) Effective(ctx context.Context, e *Entry) (eff *Entry, atBaseline func(Look) bool, err error) {
	names, err := l.aliases(ctx, e.WindowID)
	if err != nil {
		return nil, nil, err
	}
	return l.effective(ctx, e, names)
}

// effective is [Ledger.Effective] where the window's aliases are read already.
func (l *Ledger) effective(ctx context.Context, e *Entry, names aliases) (eff *Entry, atBaseline func(Look) bool, err error) {
	e = l.canonical(e)
	if e.ResourceKey == (Key{}) {
		return e, func(Look) bool { return false }, nil
	}
	e = names.rename(e)
	if !e.Late {
		return e, func(seen Look) bool { return l.atBaseline(ctx, e, seen) }, nil
	}
	same, err := l.sameResource(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	eff, atBaseline = effective(e, same)
	return eff, atBaseline, nil
}

// atBaseline reports whether a drifted entry is at home all the same. If that cannot be read it is not: a
// person decides.
func (l *Ledger) atBaseline(ctx context.Context, e *Entry, seen Look) bool {
	same, err := l.sameResource(ctx, e)
	if err != nil {
		return false
	}
	_, home := effective(e, same)
	return home(seen)
}

// TurnedUp reports whether a look shows the effect of an entry that was judged void, or was undone. What the
// resource's baseline explains, or another entry whose effect is still there, is not this one's.
func (l *Ledger) TurnedUp(ctx context.Context, e *Entry, seen Look) (bool, error) {
	if !seen.Known || seen.Now.IsAbsent() && !seen.Proven {
		return false, nil
	}
	if c := Compare(e.Before, e.After, seen.Now, seen.Scope); !c.After || c.Before {
		return false, nil
	}
	if e.ResourceKey == (Key{}) {
		return true, nil
	}
	same, err := l.sameResource(ctx, e)
	return err == nil && !explained(e, same, seen), err
}

// explained reports whether what a resource shows comes from another entry, or is its baseline.
func explained(e *Entry, same []Entry, seen Look) bool {
	shows := func(i Image) bool { return Compare(i, Image{}, seen.Now, seen.Scope).Before }
	base, _, _ := baseline(e, same)
	if base != nil && shows(base.Before) {
		return true
	}
	return slices.ContainsFunc(same, func(o Entry) bool {
		switch o.State {
		case EntryApplied, EntryUndoing, EntryStuck, EntryWaived:
			return o.ID != e.ID && shows(o.After)
		case EntryIntended, EntryVoid, EntryUndone:
			return false
		default:
			return false
		}
	})
}

func (l *Ledger) sameResource(ctx context.Context, e *Entry) ([]Entry, error) {
	list, err := l.store.ListEntries(ctx, EntryQuery{WindowID: e.WindowID, Resource: e.ResourceKey, Limit: maxSame})
	for i := range list {
		list[i] = *l.canonical(&list[i])
	}
	return list, err
}

// maxSame bounds the history of one resource that is looked at; the earliest ones come first.
const maxSame = 1000
