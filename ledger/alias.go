package ledger

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// An Alias is the name that a resource got after its entry was written: by the effect itself (an update
// after which the third party knows it by another id) or by the undo that brought it back. It stands on the
// entry whose effect or undo gave it, is written in the transaction that reports or closes that entry, and
// holds for every entry of the window with the same [Entry.ResourceKey].
type Alias struct {
	Resource json.RawMessage // the members of the resource that have other values now: {"id":"…"}
	At       time.Time       // when the ledger learned of it; the latest of a resource's aliases holds
}

// A Renamer is a [Remediator] at whose third party an effect may give a resource another name.
type Renamer interface {
	// Renamed returns the members of the resource's name that the effect changed, from what the draft says of
	// it before and since; nil if it kept its name or the draft does not tell. It makes no call.
	Renamed(d *Draft) json.RawMessage
}

// Where returns the entry's resource under the name that it has now.
func (e *Entry) Where() json.RawMessage {
	if e.Alias == nil {
		return e.Resource
	}
	now, err := mergeResource(e.Resource, e.Alias.Resource)
	if err != nil {
		return e.Resource // an alias that is no object renames nothing
	}
	return now
}

// At returns the entry as a look or an undo under this name has to see it; an empty name changes nothing.
func (e *Entry) At(name json.RawMessage) *Entry {
	if len(name) == 0 {
		return e
	}
	out := *e
	out.Alias = &Alias{Resource: name}
	return &out
}

// takeAlias keeps the name under which an undo brought the resource back.
func (e *Entry) takeAlias(name json.RawMessage, at time.Time) {
	if len(name) > 0 {
		e.Alias = &Alias{Resource: name, At: at}
	}
}

// newAlias is an alias that the effect gave; nil for no name.
func newAlias(name json.RawMessage, at time.Time) *Alias {
	if len(name) == 0 {
		return nil
	}
	return &Alias{Resource: name, At: at}
}

// later reports whether o's alias holds over a, which stands on an entry with this seq. A walk goes from new
// to old, so of two at one time the older entry's is the later.
func (a *Alias) later(seq int, o *Entry) bool {
	return a == nil || o.Alias.At.After(a.At) || o.Alias.At.Equal(a.At) && o.Seq < seq
}

// aliases returns the window's entries that gave their resource another name. There are few.
func (l *Ledger) aliases(ctx context.Context, windowID uuid.UUID) (aliases, error) {
	return l.store.ListEntries(ctx, EntryQuery{WindowID: windowID, Aliased: true, Limit: maxSame})
}

// aliases are the entries of a window that gave their resource another name.
type aliases []Entry

// rename returns the entry under the name that its resource has now.
func (list aliases) rename(e *Entry) *Entry {
	alias, seq := e.Alias, e.Seq
	for i := range list {
		if o := &list[i]; o.ResourceKey == e.ResourceKey && alias.later(seq, o) {
			alias, seq = o.Alias, o.Seq
		}
	}
	if alias == e.Alias {
		return e
	}
	out := *e
	out.Alias = alias
	return &out
}

// A baptism finds the drafts of one batch that name a resource by an alias.
type baptism struct {
	ledger   *Ledger
	windowID uuid.UUID
	window   aliases        // the window's, once they were asked for
	asked    bool           // they were
	batch    []checkedDraft // the drafts before this one that give an alias
}

// identify finds out whether a draft names a resource by an alias: then it is the same resource as that of
// the entry which gave the alias, and has its key, so that order, plan and verify treat them as one.
func (b *baptism) identify(ctx context.Context, rem Remediator, c *checkedDraft) error {
	r, ok := rem.(Renamer)
	if !ok {
		return nil
	}
	if c.draft.State == EntryApplied {
		c.alias = r.Renamed(&c.draft)
	}
	if c.key != (Key{}) {
		if err := b.find(ctx, c); err != nil {
			return err
		}
	}
	if len(c.alias) > 0 {
		b.batch = append(b.batch, *c)
	}
	return nil
}

// find gives a draft the key of the resource that its name is an alias of.
func (b *baptism) find(ctx context.Context, c *checkedDraft) error {
	for _, o := range slices.Backward(b.batch) {
		if o.draft.System == c.draft.System && names(&o.draft, o.alias, c.key) {
			c.key = o.key
			return nil
		}
	}
	if !b.asked {
		list, err := b.ledger.aliases(ctx, b.windowID)
		if err != nil {
			return err
		}
		b.window, b.asked = list, true
	}
	for i := range b.window {
		if o := &b.window[i]; o.System == c.draft.System && names(&o.Draft, o.Alias.Resource, c.key) {
			c.key = o.ResourceKey
			return nil
		}
	}
	return nil
}

// names reports whether a resource under an alias has this key.
func names(d *Draft, alias json.RawMessage, key Key) bool {
	if len(alias) == 0 {
		return false
	}
	whole, err := mergeResource(d.Resource, alias)
	return ResourceKey(d.System, alias) == key || err == nil && ResourceKey(d.System, whole) == key
}

// rename takes from a report the name that the effect gave. What a report says of the name of a resource
// that was updated is an alias: the entry keeps the name that older entries know.
func (c *completion) rename(rem Remediator, e, full *Entry, reported json.RawMessage) {
	r, ok := rem.(Renamer)
	switch {
	case !ok || e.Alias != nil: // the first report wins
	case e.Action == ActionUpdate && e.ResourceKey != (Key{}) && replaces(e.Resource, reported):
		c.alias, c.resource, c.key = reported, nil, e.ResourceKey
	default:
		d := full.Draft
		if c.after.Known() {
			d.After = c.after
		}
		c.alias = r.Renamed(&d)
	}
}

// replaces reports whether more gives a member that the resource has another value.
func replaces(resource, more json.RawMessage) bool {
	old, err1 := membersOf(resource)
	list, err2 := membersOf(more)
	return err1 == nil && err2 == nil && slices.ContainsFunc(list, func(n member) bool {
		return slices.ContainsFunc(old, func(o member) bool {
			return string(o.name) == string(n.name) && string(o.value) != string(n.value)
		})
	})
}

// residue says what somebody has to be told of an undo that worked; "" for nothing.
func residue(told []string, alias json.RawMessage) string {
	if len(told) == 0 && len(alias) > 0 {
		return "it came back as " + string(alias) + ": whoever knows it by its old name has to be told"
	}
	return strings.Join(told, "; ")
}

// Found is the settlement of an entry whose resource a look found at its before-image: under another name
// if the look, or what an undo of ours was answered before, says one.
func (s Settlement) Found(e *Entry, seen Look) Settlement {
	s.Alias = seen.Alias
	if name := e.brought(seen.Alias); s.Outcome == OutcomeUndone && len(name) > 0 {
		s.Outcome, s.Detail = OutcomeCompensated, residue(nil, name)
	}
	return s
}

// brought returns the name under which an undo of ours brought the resource back: the one that was found just
// now, or the one that the entry has got since its first attempt.
func (e *Entry) brought(found json.RawMessage) json.RawMessage {
	if len(found) == 0 && e.Alias != nil && len(e.Attempts) > 0 && !e.Alias.At.Before(e.Attempts[0].StartedAt) {
		return e.Alias.Resource
	}
	return found
}

// Remembered is what an attempt that was left open had been answered, as far as the ledger kept it.
func (e *Entry) Remembered(a Attempt) Answer {
	out := Answer{Class: AnswerClass(a.Result), Status: a.Status, Detail: a.Detail, Alias: e.brought(nil)}
	if out.Class == AnswerAccepted && a.Detail != "" {
		out.Residue = []string{a.Detail} // the one detail that an accepted undo has; see describe
	}
	return out
}

// lost says why nothing can take the entry back; "" if something can.
func (e *Entry) lost(seen Look) string {
	if e.Reversible == ReversibleNone {
		return "nothing can take this back"
	}
	return seen.Lost
}
