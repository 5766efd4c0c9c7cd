package ledger

import (
	"context"

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
// entries on one resource the newest that is in effect says what it should show, else the oldest.
// It changes nothing. With an Idempotency-Key the answer is stored. Codes: not_found.
func (l *Ledger) Verify(ctx context.Context, windowID uuid.UUID) ([]Checked, error) {
	if _, err := l.store.FindWindow(ctx, windowID); err != nil {
		return nil, err
	}
	v := &verifier{ledger: l, byKey: map[Key]*expectation{}}
	if err := v.collect(ctx, windowID); err != nil {
		return nil, err
	}
	out := make([]Checked, 0, len(v.list))
	for _, x := range v.list {
		x.want.check(ctx, l)
		out = append(out, Checked{EntryID: x.id, Seq: x.seq, Verdict: x.want.verdict, Detail: x.want.detail})
	}
	if onceOf(ctx) == nil {
		return out, nil
	}
	return update(ctx, l, "verify window", windowID, func(*unit) ([]Checked, error) { return out, nil })
}

type verifier struct {
	ledger *Ledger
	byKey  map[Key]*expectation
	list   []expected
}

type expected struct {
	id   uuid.UUID
	seq  int
	want *expectation
}

// An expectation is what one resource should show; it is looked at once.
type expectation struct {
	entry    *Entry
	inEffect bool
	verdict  string
	detail   string
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
	inEffect := e.State == EntryApplied || e.State == EntryWaived
	if !inEffect && !e.Closed() {
		return
	}
	want := v.byKey[e.ResourceKey]
	switch {
	case want == nil:
		want = &expectation{entry: e, inEffect: inEffect}
		if e.ResourceKey != (Key{}) {
			v.byKey[e.ResourceKey] = want
		}
	case !want.inEffect:
		want.entry, want.inEffect = e, inEffect
	}
	v.list = append(v.list, expected{id: e.ID, seq: e.Seq, want: want})
}

// check looks at the resource once.
func (x *expectation) check(ctx context.Context, l *Ledger) {
	if x.verdict != "" {
		return
	}
	s := l.see(ctx, x.entry)
	if s.err != nil {
		x.verdict, x.detail = CheckUnknown, lookDetail(s.err)
		return
	}
	want := x.entry.Before
	if x.inEffect {
		want = x.entry.After
	}
	x.verdict, x.detail = x.compare(want, s.seen)
	if x.entry.Outcome == OutcomeUnverified && x.verdict == CheckDrifted {
		x.verdict, x.detail = CheckUnknown, "its undo could not be verified when it was sent either"
	}
}

func (x *expectation) compare(want Image, seen Look) (verdict, detail string) {
	switch {
	case !seen.Known:
		return CheckUnknown, "it cannot be read back"
	case !want.Known():
		return CheckUnknown, "the recorded image is unknown"
	case want.IsAbsent() && seen.Now.IsAbsent() && !seen.Proven && x.entry.Outcome != OutcomeUndone:
		return CheckUnknown, "not found, without proof that its parent is visible to this credential"
	case x.shows(want, seen):
		return CheckSame, ""
	case seen.Now.IsAbsent():
		return CheckDrifted, "not found"
	default:
		return CheckDrifted, "the third party shows something else"
	}
}

func (x *expectation) shows(want Image, seen Look) bool {
	return Compare(x.entry.Before, x.entry.After, seen.Now, seen.Scope).matches(want, x.entry)
}

// matches reports whether the comparison found the wanted image of e.
func (c Comparison) matches(want Image, e *Entry) bool {
	return c.Before && want.Equal(e.Before) || c.After && want.Equal(e.After)
}
