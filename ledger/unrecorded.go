package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
)

// clockSlack is how far a third party's clock may be behind ours before a resource that it made in the window looks
// older than the window.
const clockSlack = 5 * time.Minute

// An UnrecordedRequest asks what nobody recorded.
type UnrecordedRequest struct {
	WindowID uuid.UUID
	System   string          // empty: all that the window's entries name
	Kinds    []string        // empty: those of the window's entries or, where it has none there, all of the system
	Place    json.RawMessage // where; it goes before what the entries say
	All      bool            // also what the third party says is older than the window
}

// Unrecorded is what systems hold that no entry of any window names.
type Unrecorded struct {
	Since time.Time
	Items []Foreign
	Lists []Enumeration // what was looked through
}

// A Foreign is one resource that nobody recorded.
type Foreign struct {
	System   string
	Kind     string
	Resource json.RawMessage
	Created  time.Time // by the third party's clock; zero: it does not say
	Changed  time.Time
	Sign     ForeignSign
	Canary   bool // it says that a rehearsal made it
}

// A ForeignSign says why a resource is shown.
type ForeignSign string

// The signs.
const (
	ForeignCreated ForeignSign = "created" // since the window opened
	ForeignChanged ForeignSign = "changed" // since the window opened
	ForeignUndated ForeignSign = "undated" // nobody knows when
	ForeignOlder   ForeignSign = "older"   // than the window
)

// An Enumeration is one list that was read, or could not be.
type Enumeration struct {
	System, Kind string
	Place        json.RawMessage
	Held         int    // resources that it shows
	Older        int    // of those that nobody recorded, as many are left out as older than the window
	Part         bool   // there may be more than it shows
	Why          string // why it could not be read; empty: it was
}

// Unrecorded lists the resources of systems that no entry of any window names. It changes nothing.
// Codes: not_found, invalid.
func (l *Ledger) Unrecorded(ctx context.Context, r UnrecordedRequest) (*Unrecorded, error) {
	w, err := l.store.FindWindow(ctx, r.WindowID)
	if err != nil {
		return nil, err
	}
	if len(r.Place) > 0 && !isObject(r.Place) {
		return nil, Invalid("place", "want an object with members of resources")
	}
	since := w.CreatedAt
	if !w.OpensAt.IsZero() && w.OpensAt.Before(since) {
		since = w.OpensAt
	}
	out := &Unrecorded{Since: since}
	systems, err := l.systemsOf(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, name := range systems {
		if err := l.enumerate(ctx, r, name, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// systemsOf lists the systems that are looked through.
func (l *Ledger) systemsOf(ctx context.Context, r UnrecordedRequest) ([]string, error) {
	if r.System != "" {
		if _, _, err := l.systems.Find(r.System); err != nil {
			return nil, Invalid("system", "there is no such system")
		}
		return []string{r.System}, nil
	}
	var out []string
	err := l.eachEntry(ctx, EntryQuery{WindowID: r.WindowID}, func(e *Entry) {
		if !slices.Contains(out, e.System) {
			out = append(out, e.System)
		}
	})
	slices.Sort(out)
	return out, err
}

// enumerate reads the lists of one system, and keeps what no entry names.
func (l *Ledger) enumerate(ctx context.Context, r UnrecordedRequest, system string, out *Unrecorded) error {
	_, rem, err := l.systems.Find(system)
	if err != nil { // entries name it, and it is configured no more
		out.Lists = append(out.Lists, Enumeration{System: system, Why: "it is not configured"})
		return nil
	}
	places, err := l.placesOf(ctx, RehearsalRequest{System: system, WindowID: r.WindowID, Kinds: r.Kinds, Place: r.Place}, rem)
	if err != nil {
		return err
	}
	known, err := l.namedKeys(ctx, system, rem)
	if err != nil {
		return err
	}
	lister, _ := rem.(Lister)
	seen := map[string]bool{}
	for _, p := range places {
		where := p.kind
		if lister != nil {
			where += "\x00" + string(lister.Place(p.kind, p.place))
		}
		if seen[where] {
			continue // of a thousand entries in one place its list is read once
		}
		seen[where] = true
		list, err := listOne(ctx, lister, p)
		e := Enumeration{System: system, Kind: p.kind, Place: list.Place, Held: len(list.Items), Part: list.Part, Why: list.Why}
		if err != nil {
			e.Why = lookDetail(err)
		}
		out.take(&e, list.Items, r.All, func(resource json.RawMessage) bool {
			key, ok := keyAt(rem, system, p.kind, resource)
			return ok && known[key]
		})
	}
	return nil
}

func listOne(ctx context.Context, lister Lister, p placedKind) (Listing, error) {
	if lister == nil {
		return Listing{Why: "its remediator does not list what is there"}, nil
	}
	return lister.List(ctx, p.kind, p.place)
}

// take keeps those of a list that nobody recorded.
func (u *Unrecorded) take(e *Enumeration, items []Listed, all bool, recordedFunc func(json.RawMessage) bool) {
	for _, item := range items {
		if recordedFunc(item.Resource) {
			continue
		}
		f := Foreign{
			System: e.System, Kind: e.Kind, Resource: item.Resource, Created: item.Created, Changed: item.Changed,
			Sign: signOf(item, u.Since.Add(-clockSlack)), Canary: bytes.Contains(item.Shows, []byte(rehearsalPrefix)),
		}
		if f.Sign == ForeignOlder && !all && !f.Canary {
			e.Older++
			continue
		}
		u.Items = append(u.Items, f)
	}
	u.Lists = append(u.Lists, *e)
}

func signOf(i Listed, since time.Time) ForeignSign {
	switch {
	case !i.Created.IsZero() && !i.Created.Before(since):
		return ForeignCreated
	case !i.Changed.IsZero() && !i.Changed.Before(since):
		return ForeignChanged
	case i.Created.IsZero() && i.Changed.IsZero():
		return ForeignUndated
	default:
		return ForeignOlder
	}
}

// namedKeys are the keys of all resources of a system that an entry of any window names, under the name that it had and
// the one that it has. A void entry says that there is nothing.
func (l *Ledger) namedKeys(ctx context.Context, system string, rem Remediator) (map[Key]bool, error) {
	keys, renamed, err := l.store.Named(ctx, system)
	if err != nil {
		return nil, err
	}
	out := map[Key]bool{}
	for _, k := range keys {
		out[k] = true
	}
	for i := range renamed {
		if key, ok := keyAt(rem, system, renamed[i].Kind, renamed[i].Where()); ok {
			out[key] = true
		}
	}
	return out, nil
}

// keyAt is the key of a resource as an entry of the kind would have it; false: it names nothing.
func keyAt(rem Remediator, system, kind string, resource json.RawMessage) (Key, bool) {
	d := Draft{System: system, Kind: kind, Action: ActionUpdate, State: EntryIntended, Resource: resource}
	g, err := rem.Check(&d)
	if err != nil {
		return Key{}, false
	}
	key := keyOf(&d, g)
	return key, key != Key{}
}
