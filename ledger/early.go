package ledger

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// Early collects which open entries of a window go before the restore of its snapshot: those that are marked
// before_restore, and the newer ones that depend on such an entry, by resource or by depends_on, since a dependency
// is never overtaken. The zero value has none. Its memory grows with what goes before the restore only.
type Early struct {
	Seqs []int // oldest first

	keys map[Key]bool
	ids  map[uuid.UUID]bool
}

// Add takes in the next newer entry of the window.
func (s *Early) Add(e *Entry) {
	depends := s.keys[e.ResourceKey] || slices.ContainsFunc(e.DependsOn, func(id uuid.UUID) bool { return s.ids[id] })
	if e.Closed() || !e.BeforeRestore && !e.Restore && !depends {
		return
	}
	if s.keys == nil {
		s.keys, s.ids = map[Key]bool{}, map[uuid.UUID]bool{}
	}
	if e.ResourceKey != (Key{}) {
		s.keys[e.ResourceKey] = true
	}
	s.ids[e.ID] = true
	if !e.Restore {
		s.Seqs = append(s.Seqs, e.Seq)
	}
}

// EarlyEntries returns the numbers of the open entries that go before the restore of the window's snapshot, oldest first;
// see [Early].
func (l *Ledger) EarlyEntries(ctx context.Context, windowID uuid.UUID) ([]int, error) {
	var early Early
	for from := 0; ; {
		page, err := l.store.ListEntries(ctx, EntryQuery{WindowID: windowID, OpenOnly: true, From: from, Limit: earlyPage})
		if err != nil {
			return nil, err
		}
		for i := range page {
			early.Add(&page[i])
		}
		if len(page) < earlyPage {
			return early.Seqs, nil
		}
		from = page[len(page)-1].Seq
	}
}

const earlyPage = 100 // entries read together

// NewestOf splits entry numbers, oldest first, into pages of entries, newest first, and calls each with what is open of
// them. It ends at the first error, or when each returns false.
func (l *Ledger) NewestOf(ctx context.Context, windowID uuid.UUID, seqs []int, each func([]Entry) (bool, error)) error {
	for end := len(seqs); end > 0; {
		begin := max(0, end-earlyPage)
		only := make([]Term, 0, end-begin)
		for _, seq := range seqs[begin:end] {
			only = append(only, Term{Seq: seq})
		}
		page, err := l.store.ListEntries(ctx, EntryQuery{
			WindowID: windowID, OpenOnly: true, Select: Selection{Only: only}, Desc: true, Limit: earlyPage,
		})
		if err != nil {
			return err
		}
		if more, err := each(page); err != nil || !more {
			return err
		}
		end = begin
	}
	return nil
}
