package runner

import (
	"context"
	"errors"

	"sideledger/ledger"
)

// An Observer is told of what a Runner does, for metrics and traces. Its methods are called from many goroutines at once,
// must not block, and decide nothing.
type Observer interface {
	// Claimed is told that the lease of a run was taken. What is done for the run is done under the context that it
	// returns. done is called when the runner lets go of it: with nil at its end or while it is paused, with an
	// [ledger.ErrFenced] when the lease was lost; the lease has the run as it was written last.
	Claimed(ctx context.Context, l *ledger.Lease) (under context.Context, done func(error))
	// Called is told that a remediator is about to be called for an entry, which is done under the context that it
	// returns. done is called with what came back: "seen" for a look that brought something, the class of a
	// [ledger.CallError], or what the attempt keeps as its result.
	Called(ctx context.Context, e *ledger.Entry, c Call) (under context.Context, done func(result string))
	// Settled is told what became of an entry, once that is written.
	Settled(ctx context.Context, e *ledger.Entry)
}

// A Call says what a remediator is asked for.
type Call string

// The two calls.
const (
	CallLook Call = "look" // before anything is sent
	CallUndo Call = "undo" // an attempt: the undo, and the look after it
)

// unobserved is the Observer of a runner that nobody watches.
type unobserved struct{}

func (unobserved) Claimed(ctx context.Context, _ *ledger.Lease) (context.Context, func(error)) {
	return ctx, func(error) {}
}

func (unobserved) Called(ctx context.Context, _ *ledger.Entry, _ Call) (context.Context, func(string)) {
	return ctx, func(string) {}
}

func (unobserved) Settled(context.Context, *ledger.Entry) {}

// lookResult names what a look brought.
func lookResult(err error) string {
	var call *ledger.CallError
	switch {
	case err == nil:
		return "seen"
	case errors.As(err, &call):
		return string(call.Class)
	default:
		return string(ledger.CallAmbiguous)
	}
}
