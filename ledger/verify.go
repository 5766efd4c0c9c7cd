package ledger

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// Checked is the comparison of one entry with its recorded state.
type Checked struct {
	EntryID uuid.UUID
	Seq     int
	Verdict string // CheckSame, CheckDrifted or CheckUnknown
	Detail  string
}

// What Verify says of an entry.
const (
	CheckSame    = "same"    // the third party shows the recorded state
	CheckDrifted = "drifted" // it shows another one
	CheckUnknown = "unknown" // nobody can tell: no look, no image, no answer
)

// Verify looks at the third parties and compares every closed or applied entry with its recorded state:
// what is still in effect with its after-image, what was taken back with its before-image. Of several
// entries on one resource each answers for what it owns, as far as no other has changed it since.
// It changes nothing. With an Idempotency-Key the answer is stored. Codes: not_found.
func (l *Ledger) Verify(ctx context.Context, windowID uuid.UUID) ([]Checked, error) {
	if _, err := l.store.FindWindow(ctx, windowID); err != nil {
		return nil, err
	}
	names, err := l.aliases(ctx, windowID)
	if err != nil {
		return nil, err
	}
	v := &verifier{ledger: l, names: names, byKey: map[Key][]*Entry{}}
	if err := v.collect(ctx, windowID); err != nil {
		return nil, err
	}
	out := make([]Checked, 0, len(v.list))
	for _, e := range v.list {
		verdict, detail := v.check(ctx, e)
		out = append(out, Checked{EntryID: e.ID, Seq: e.Seq, Verdict: verdict, Detail: detail})
	}
	if onceOf(ctx) == nil {
		return out, nil
	}
	return update(ctx, l, "verify window", windowID, func(*unit) ([]Checked, error) { return out, nil })
}

type verifier struct {
	ledger *Ledger
	names  aliases
	list   []*Entry         // what is compared, newest first
	byKey  map[Key][]*Entry // the same, by resource
}

func (v *verifier) collect(ctx context.Context, windowID uuid.UUID) error {
	for from := 0; ; {
		page, err := v.ledger.store.ListEntries(ctx, EntryQuery{WindowID: windowID, Desc: true, From: from, Limit: planPage})
		if err != nil {
			return err
		}
		for i := range page {
			v.add(&page[i])
		}
		if len(page) < planPage {
			return nil
		}
		from = page[len(page)-1].Seq
	}
}

// add takes in the next older entry.
func (v *verifier) add(e *Entry) {
	if !inEffect(e) && !e.Closed() {
		return
	}
	kept := *v.ledger.canonical(e)
	v.list = append(v.list, &kept)
	if e.ResourceKey != (Key{}) {
		v.byKey[e.ResourceKey] = append(v.byKey[e.ResourceKey], &kept)
	}
}

func inEffect(e *Entry) bool { return e.State == EntryApplied || e.State == EntryWaived }

// expected returns what the parts that e owns should show now. A newer entry on the resource that is in
// effect too has its say over what it owns; of entries that were taken back, the older one has.
func (v *verifier) expected(e *Entry) Image {
	same := v.byKey[e.ResourceKey] // newest first
	at := slices.Index(same, e)
	if inEffect(e) {
		want := e.After
		for i := at - 1; i >= 0; i-- {
			if inEffect(same[i]) {
				want = laidOver(want, same[i].After, same[i])
			}
		}
		return want
	}
	want := e.Before
	for _, older := range same[at+1:] {
		if !inEffect(older) && older.State == EntryUndone {
			want = laidOver(want, older.Before, older)
		}
	}
	return want
}

// laidOver returns image with the parts that by owns as they are in over.
func laidOver(image, over Image, by *Entry) Image {
	if !image.Known() || !over.Known() {
		return image
	}
	return overlay(image, over, Scope{Owned: by.Owned}.ownedOf(by.Before, by.After))
}

// check compares one entry with its resource.
func (v *verifier) check(ctx context.Context, e *Entry) (verdict, detail string) {
	s := v.ledger.see(ctx, e, v.names, uuid.Nil)
	if s.err != nil {
		return CheckUnknown, lookDetail(s.err)
	}
	want := e.Before
	if inEffect(e) {
		want = e.After
	}
	if e.ResourceKey != (Key{}) {
		want = v.expected(e)
	}
	verdict, detail = compareRecorded(e, want, s.seen)
	if e.Outcome == OutcomeUnverified && verdict == CheckDrifted {
		return CheckUnknown, "its undo could not be verified when it was sent either"
	}
	return verdict, detail
}

func compareRecorded(e *Entry, want Image, seen Look) (verdict, detail string) {
	scope := seen.Scope
	scope.Owned = seen.Scope.ownedOf(e.Before, e.After)
	c := Compare(want, Image{}, seen.Now, scope)
	switch {
	case !seen.Known:
		return CheckUnknown, "it cannot be read back"
	case !want.Known():
		return CheckUnknown, "the recorded image is unknown"
	case c.Blind || len(scope.Owned) == 0 && present(want, seen.Now):
		return CheckUnknown, "nothing of it can be compared: what the entry owns is empty, masked or volatile"
	case want.IsAbsent() && seen.Now.IsAbsent() && !seen.Proven && e.Outcome != OutcomeUndone:
		return CheckUnknown, "not found, without proof that its parent is visible to this credential"
	case c.Before:
		return CheckSame, ""
	case seen.Now.IsAbsent():
		return CheckDrifted, "not found"
	default:
		return CheckDrifted, "the third party shows something else"
	}
}

// present reports whether a resource is there, as it should be.
func present(want, now Image) bool { return !want.IsAbsent() && now.Known() && !now.IsAbsent() }
