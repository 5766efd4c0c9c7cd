package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
)

type contextKey int

const (
	actorKey contextKey = iota
	onceKey
	expectKey
	traceKey
	logKey
)

// WithActor says who asks. Without it the actor is the server itself.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey, a)
}

// ActorOf returns who asks.
func ActorOf(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey).(Actor); ok {
		return a
	}
	return Actor{TokenID: "system", Role: RoleAdmin}
}

// Once makes one changing call of [Ledger] happen at most once for its key: the first answer is stored
// in the same transaction as the change, and a later call with the same key gets a [ReplayError].
type Once struct {
	Key         ReplyKey
	RequestHash [32]byte // of the request's body; see [Ledger.HashRequest]
	PlainHash   [32]byte // SHA-256 of it, which answers that were kept before there was a key have; zero: not asked
	// RenderFunc turns the call's result (what the method of Ledger returns first) into the answer that
	// is kept. It must be pure: a transaction may run it more than once.
	RenderFunc func(result any) (Reply, error)

	refusal ReplyKey // that a refusal is kept under; zero: Key
}

// A ReplayError carries the first answer of a call that was made before.
type ReplayError struct{ Reply Reply }

// Error says what happened; callers answer with Reply instead.
func (e *ReplayError) Error() string {
	return fmt.Sprintf("answered before with status %d", e.Reply.Status)
}

// WithOnce makes the one changing call under ctx happen at most once.
func WithOnce(ctx context.Context, o *Once) context.Context {
	return context.WithValue(ctx, onceKey, o)
}

func onceOf(ctx context.Context) *Once {
	o, _ := ctx.Value(onceKey).(*Once)
	return o
}

// WithExpected makes a changing call fail with CodeStale unless the thing it changes (a window, an
// entry or a rollback) was last touched by one of these journal records: If-Match, checked under the
// fence. None at all expects what cannot be.
func WithExpected(ctx context.Context, numbers ...int64) context.Context {
	return context.WithValue(ctx, expectKey, numbers)
}

func checkExpected(ctx context.Context, op, id string, head Head) error {
	want, ok := ctx.Value(expectKey).([]int64)
	if !ok || slices.Contains(want, head.Number) {
		return nil
	}
	return &Error{Code: CodeStale, Op: op, ID: id, Msg: "it has moved since; read it again and decide anew"}
}

// WithLogAttrs adds what every line that is logged under ctx has to carry: a request's id, a run's window. A handler
// that knows of it puts it there; see [LogAttrs].
func WithLogAttrs(ctx context.Context, attrs ...slog.Attr) context.Context {
	return context.WithValue(ctx, logKey, append(slices.Clip(LogAttrs(ctx)), attrs...))
}

// LogAttrs returns what every line that is logged under ctx has to carry.
func LogAttrs(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(logKey).([]slog.Attr)
	return attrs
}
