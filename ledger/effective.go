package ledger

import "context"

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
		late.Async, late.Verify = base.Async, base.Verify
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

// Effective reads what the entry's resource went through and returns the entry as a rollback has to see
// it; see effective. Entries without a resource key stand for themselves.
func (l *Ledger) Effective(ctx context.Context, e *Entry) (*Entry, func(Look) bool, error) {
	if e.ResourceKey == (Key{}) {
		return e, func(Look) bool { return false }, nil
	}
	same, err := l.store.ListEntries(ctx, EntryQuery{WindowID: e.WindowID, Resource: e.ResourceKey, Limit: maxSame})
	if err != nil {
		return nil, nil, err
	}
	eff, atBaseline := effective(e, same)
	return eff, atBaseline, nil
}

// maxSame bounds the history of one resource that is looked at; the earliest ones come first.
const maxSame = 1000
