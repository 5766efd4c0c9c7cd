package alertmanager

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

const (
	silencesPath = "/api/v2/silences"
	silencePath  = "/api/v2/silence/"
)

// volatile are the members that change by themselves, or with the name.
var volatile = []string{"/id", "/updatedAt", "/status"}

// images are the two of an entry, read; nil: absence, or not known.
type images struct{ before, after *silence }

func imagesOf(e *ledger.Entry) (images, error) {
	before, err := parseImage("/before", e.Before)
	if err != nil {
		return images{}, remediators.Denied("its before-image cannot be read")
	}
	after, err := parseImage("/after", e.After)
	if err != nil {
		return images{}, remediators.Denied("its after-image cannot be read")
	}
	return images{before, after}, nil
}

// Look implements [ledger.Remediator]. An expired silence is absent, with its tombstone as the proof; one that
// is not known any more is absent with proof if the list can be read. What is not under its id is looked for
// by what it says: an undo whose answer was lost brought it back under an id that nobody has seen.
func (r *Remediator) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	img, err := imagesOf(e)
	if err != nil {
		return ledger.Look{}, err
	}
	out := ledger.Look{Known: true, Now: ledger.Absent, Scope: scopeOf(e, img, r.clock()), Lost: r.lost(e, img)}
	id := r.nameOf(e)
	if id != "" {
		found, tombstone, err := r.read(ctx, id)
		if err != nil {
			return ledger.Look{}, err
		}
		if found != nil {
			return found.seenIn(out, r.clock()), nil
		}
		if out.Proven = tombstone; tombstone && e.Action == ledger.ActionCreate {
			return out, nil
		}
	}
	return r.lookElsewhere(ctx, e, img, out)
}

// scopeOf is what the entry answers for. A start that is past says nothing any more: the server moves it to the
// moment of the call.
func scopeOf(e *ledger.Entry, img images, now time.Time) ledger.Scope {
	s := ledger.Scope{
		Owned: e.Owned, Masked: e.Masked, Volatile: slices.Concat(e.Volatile, volatile),
		Unordered: slices.Concat(e.Unordered, []string{"/matchers"}),
	}
	if !slices.ContainsFunc([]*silence{img.before, img.after}, func(i *silence) bool { return i != nil && i.StartsAt.After(now) }) {
		s.Volatile = append(s.Volatile, "/startsAt")
	}
	return s
}

// seenIn is a look at the silence.
func (s *silence) seenIn(out ledger.Look, now time.Time) ledger.Look {
	if i := slices.Index(out.Scope.Volatile, "/startsAt"); i >= 0 && s.StartsAt.After(now) {
		out.Scope.Volatile = slices.Delete(out.Scope.Volatile, i, i+1) // somebody moved it to the future
	}
	out.Now = ledger.Image{JSON: object(s.canonical())}
	return out
}

// lost says why the before-image cannot come back any more; "" if it can.
func (r *Remediator) lost(e *ledger.Entry, img images) string {
	if e.Action == ledger.ActionCreate || img.before == nil || img.before.EndsAt.IsZero() || img.before.EndsAt.After(r.clock()) {
		return ""
	}
	return "its before-image ended at " + img.before.EndsAt.UTC().Format(time.RFC3339) + ", and Alertmanager takes no silence whose end is past"
}

// read reads a silence by its id; nil if it is expired (a tombstone) or not known.
func (r *Remediator) read(ctx context.Context, id string) (s *silence, tombstone bool, err error) {
	reply, err := r.client.Do(ctx, get(silencePath+id, ""))
	switch {
	case err != nil:
		return nil, false, err
	case reply.Status == http.StatusNotFound:
		return nil, false, nil
	case reply.Status != http.StatusOK:
		return nil, false, remediators.Unusable(reply, "")
	}
	doc, why := remediators.Document(reply)
	if why != "" {
		return nil, false, remediators.Unusable(reply, why)
	}
	if s, err = parse(doc); err != nil || s.Status.State == "" {
		return nil, false, remediators.Unusable(reply, "the answer is no silence")
	}
	if s.expired() {
		return nil, true, nil
	}
	return s, false, nil
}

// lookElsewhere looks for a silence that is not under the id that the entry knows.
func (r *Remediator) lookElsewhere(ctx context.Context, e *ledger.Entry, img images, out ledger.Look) (ledger.Look, error) {
	wanted := img.before
	if e.Action == ledger.ActionCreate && r.nameOf(e) == "" {
		wanted = img.after // nobody has said its id yet
	}
	twin, listed, err := r.findTwin(ctx, e, wanted, img)
	if err != nil {
		return ledger.Look{}, err
	}
	out.Proven = out.Proven || listed
	switch {
	case twin != nil:
		out = twin.seenIn(out, r.clock())
		out.Alias = named(twin.ID)
	case e.Action == ledger.ActionUpdate && !e.After.Known():
		return ledger.Look{}, remediators.Denied("the silence is expired: if the update gave it another id, say so: rollback applied ENTRY --resource '{\"id\":\"…\"}'")
	case r.nameOf(e) == "" && wanted == nil && e.Seq > 0: // of one that is being recorded, nothing is there yet
		return ledger.Look{}, nil // neither its id nor what it says is known
	}
	return out, nil
}

// findTwin returns the one silence that says what is wanted or, of an update that gave it another id without
// anybody saying so, what the after-image says; nil if there is none.
func (r *Remediator) findTwin(ctx context.Context, e *ledger.Entry, wanted *silence, img images) (found *silence, listed bool, err error) {
	list, listed, err := r.list(ctx, wanted, img.after)
	if err != nil {
		return nil, false, err
	}
	found, err = r.twin(list, wanted)
	if found == nil && err == nil && e.Action == ledger.ActionUpdate {
		found, err = r.twin(list, img.after)
	}
	return found, listed, err
}

// list lists the silences that are not expired and may be one of the wanted. proof reports that the list could
// be read, so that what is not there is gone.
func (r *Remediator) list(ctx context.Context, wanted ...*silence) (list []*silence, proof bool, err error) {
	reply, err := r.client.Do(ctx, get(silencesPath, filter(wanted)))
	switch {
	case err != nil:
		return nil, false, err
	case reply.Status == http.StatusNotFound:
		return nil, false, nil // nothing of this API is visible here
	case reply.Status != http.StatusOK:
		return nil, false, remediators.Unusable(reply, "")
	}
	doc, why := remediators.Document(reply)
	var raws []json.RawMessage
	if why != "" || json.Unmarshal(doc, &raws) != nil {
		return nil, false, remediators.Unusable(reply, "the list of silences cannot be read")
	}
	for _, raw := range raws {
		s, err := parse(raw)
		if err != nil || !uuidLike(s.ID) {
			return nil, false, remediators.Unusable(reply, "the list of silences cannot be read")
		}
		if !s.expired() {
			list = append(list, s)
		}
	}
	return list, true, nil
}

// labelName is what may stand in a filter without quotes.
var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// filter asks for the silences with a matcher that all the wanted have, as a list is answered whole otherwise.
// An answer holds 1 MiB.
func filter(wanted []*silence) string {
	wanted = slices.DeleteFunc(slices.Clone(wanted), func(s *silence) bool { return s == nil })
	if len(wanted) == 0 {
		return ""
	}
	for _, m := range wanted[0].Matchers {
		everywhere := !slices.ContainsFunc(wanted, func(s *silence) bool { return !slices.ContainsFunc(s.Matchers, m.same) })
		if everywhere && labelName.MatchString(m.Name) && !strings.ContainsAny(m.Value, "\"\\\n") {
			return "filter=" + url.QueryEscape(m.Name+`="`+m.Value+`"`)
		}
	}
	return ""
}

// twin returns the one silence that says what the wanted one says; nil if there is none. Two are an error:
// nobody knows which is meant.
func (r *Remediator) twin(list []*silence, wanted *silence) (found *silence, err error) {
	if wanted == nil || wanted.lacks() != "" {
		return nil, nil // too little to recognize it by
	}
	for _, s := range list {
		if !s.shows(wanted, r.clock()) {
			continue
		}
		if found != nil {
			return nil, &ledger.CallError{Class: ledger.CallAnswered, Detail: "two silences say the same: nobody knows which is meant"}
		}
		found = s
	}
	return found, nil
}
