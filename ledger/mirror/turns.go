package mirror

import (
	"context"
	"fmt"
	"time"

	"sideledger/ledger/journal"
)

// Within is how long a write to a mirror may take, and how long it may wait for the one before it.
const Within = 10 * time.Second

// A turns is a sink to which one write at a time is made, each bounded in time, whatever the sink itself does: storage
// that hangs answers to no context. A write that was given up keeps its turn until it has ended, so that none overtakes it.
type turns struct {
	Sink

	turn   chan struct{} // holds whoever's turn it is
	within time.Duration
}

// A readableTurns is a turns that can be read back.
type readableTurns struct {
	*turns

	reader Reader
}

// InTurn bounds the writes to a sink: each waits at most [Within] for the one before it, and then takes at most [Within].
func InTurn(s Sink) Sink { return inTurn(s, Within) }

func inTurn(s Sink, within time.Duration) Sink {
	t := &turns{Sink: s, turn: make(chan struct{}, 1), within: within}
	if r, ok := s.(Reader); ok {
		return readableTurns{turns: t, reader: r}
	}
	return t
}

// Write implements [Sink].
func (t *turns) Write(ctx context.Context, keys []journal.WrappedKey, records []journal.Mirrored) error {
	return t.do(ctx, func(ctx context.Context) error { return t.Sink.Write(ctx, keys, records) })
}

// WriteSigned implements [Sink].
func (t *turns) WriteSigned(ctx context.Context, s journal.SignedHead) error {
	return t.do(ctx, func(ctx context.Context) error { return t.Sink.WriteSigned(ctx, s) })
}

// Close implements [Sink]. Where a write hangs it does not wait for ever.
func (t *turns) Close() error {
	return t.do(context.Background(), func(context.Context) error { return t.Sink.Close() })
}

// Read implements [Reader].
func (t readableTurns) Read(ctx context.Context, each func(journal.Mirrored) error) (*journal.Mirror, error) {
	return t.reader.Read(ctx, each)
}

func (t *turns) do(ctx context.Context, fn func(context.Context) error) error {
	wait := time.NewTimer(t.within)
	defer wait.Stop()
	select {
	case t.turn <- struct{}{}:
	case <-wait.C:
		return fmt.Errorf("the write before this one has not ended in %s", t.within)
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, t.within)
	done := make(chan error, 1)
	go func() {
		defer func() { <-t.turn }()
		defer cancel()
		done <- fn(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select { // most sinks end with their context, and say what it was
	case err := <-done:
		return err
	case <-time.After(commandGrace + time.Second):
		return fmt.Errorf("it has not ended in %s", t.within)
	}
}
