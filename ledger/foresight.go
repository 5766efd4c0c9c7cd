package ledger

import (
	"context"

	"github.com/google/uuid"
)

// A Foresight says what a unit of work is about to read, so that a store may read it all at once. It changes nothing of what
// the unit sees.
type Foresight struct {
	Rollback uuid.UUID   // zero: none
	Entries  []uuid.UUID // of the unit's window
	Live     bool        // the other windows too, as [RivalTx] asks for them
}

type foresightKey struct{}

// Foresee says what the unit that is begun under ctx reads.
func Foresee(ctx context.Context, f Foresight) context.Context {
	return context.WithValue(ctx, foresightKey{}, f)
}

// ForesightOf returns what was said; nothing, where nobody did.
func ForesightOf(ctx context.Context) Foresight {
	f, _ := ctx.Value(foresightKey{}).(Foresight)
	return f
}
