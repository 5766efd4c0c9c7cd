package sqlstore

import (
	"slices"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// A foreseen is what a transaction read together with its fence row, as [ledger.Foresight] said. It is right until
// the transaction itself writes; nobody else writes rows of the window meanwhile.
type foreseen struct {
	ids      []uuid.UUID // of entries, and of the rollback
	entries  *entryReads
	rollback *rollbackRow
	live     []liveWindow // nil: not read
}

// foresee returns the reads that were foreseen, and where they come to.
func (b *batch) foresee(f ledger.Foresight) []step {
	b.ahead = foreseen{entries: &entryReads{}}
	var steps []step
	if f.Rollback != uuid.Nil {
		b.ahead.ids = append(b.ahead.ids, f.Rollback)
		steps = append(steps, readRollback(f.Rollback, &b.ahead.rollback))
	}
	if len(f.Entries) > 0 {
		b.ahead.ids = append(b.ahead.ids, f.Entries...)
		steps = append(steps, b.ahead.entries.steps(f.Entries)...)
	}
	if f.Live {
		b.ahead.live = []liveWindow{}
		steps = append(steps, readLiveWindows(&b.ahead.live))
	}
	return steps
}

// has reports whether all of these were read.
func (f *foreseen) has(ids ...uuid.UUID) bool {
	return len(ids) > 0 && !slices.ContainsFunc(ids, func(id uuid.UUID) bool { return !slices.Contains(f.ids, id) })
}
