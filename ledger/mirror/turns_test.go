package mirror

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sideledger/ledger/journal"
)

// A slow sink hangs for a while at each write, whatever its context says, and remembers what came.
type slow struct {
	hangs []time.Duration // of the next writes
	deaf  bool            // it does not end with its context
	got   []int64
}

func (s *slow) Name() string { return "slow" }
func (s *slow) Close() error { return nil }
func (s *slow) Write(ctx context.Context, _ []journal.WrappedKey, records []journal.Mirrored) error {
	for _, r := range records {
		s.got = append(s.got, r.Number)
	}
	return s.wait(ctx)
}
func (s *slow) WriteSigned(ctx context.Context, _ journal.SignedHead) error { return s.wait(ctx) }

func (s *slow) wait(ctx context.Context) error {
	if len(s.hangs) == 0 {
		return nil
	}
	hang := time.After(s.hangs[0])
	s.hangs = s.hangs[1:]
	if s.deaf {
		<-hang
		return nil
	}
	select {
	case <-hang:
		return nil
	case <-ctx.Done():
		return errors.New("killed")
	}
}

// A write that waits for a slow one before it has its own time, whole, when its turn comes.
func TestTurnsOfASlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{hangs: []time.Duration{8 * time.Second, 8 * time.Second}}
		k, records := InTurn(s), chain("w", 1)
		signed := make(chan error, 1)
		go func() { signed <- k.WriteSigned(t.Context(), journal.SignedHead{}) }()
		synctest.Wait()
		if err := k.Write(t.Context(), nil, records); err != nil {
			t.Error(err)
		}
		if err := <-signed; err != nil {
			t.Error(err)
		}
	})
}

// A sink that hangs is given up in time, and so is whoever waits for it; when it has ended the next write is made. None
// overtakes another.
func TestTurnsOfASinkThatHangs(t *testing.T) {
	for name, deaf := range map[string]bool{"killed": false, "deaf": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slow{hangs: []time.Duration{time.Hour}, deaf: deaf}
				k, records, start := InTurn(s), chain("w", 3), time.Now()
				if err := k.Write(t.Context(), nil, records[:1]); err == nil {
					t.Error("a write that hung was answered")
				}
				if took := time.Since(start); took < Within || took > 2*Within {
					t.Errorf("it took %s", took)
				}
				start = time.Now()
				err := k.Write(t.Context(), nil, records[:2])
				if deaf != (err != nil) || deaf && !strings.Contains(err.Error(), "has not ended") || time.Since(start) > 2*Within {
					t.Errorf("%v after %s", err, time.Since(start))
				}
				if err := k.Close(); deaf != (err != nil) {
					t.Errorf("closed: %v", err)
				}
				time.Sleep(time.Hour)
				if err := k.Write(t.Context(), nil, records); err != nil {
					t.Error(err)
				}
				if want := 4 + 2*map[bool]int{false: 1, true: 0}[deaf]; len(s.got) != want {
					t.Errorf("%v", s.got)
				}
			})
		})
	}
}

// Whoever goes away while it waits for its turn is let go.
func TestTurnsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := InTurn(&slow{hangs: []time.Duration{5 * time.Second}})
		go func() { _ = k.WriteSigned(context.Background(), journal.SignedHead{}) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := k.Write(ctx, nil, chain("w", 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(Within) // the write that waits for nobody ends
	})
}
