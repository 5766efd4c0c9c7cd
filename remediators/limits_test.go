package remediators

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sideledger/ledger"
)

// A fakeTurns is limits that several lanes share, in memory.
type fakeTurns struct {
	mu    sync.Mutex
	next  time.Time
	held  int
	fails bool
	lost  bool // slots do not stand

	calls, returned, wanted int
}

func (f *fakeTurns) call() error {
	f.calls++
	if f.fails {
		return errors.New("away")
	}
	return nil
}

func (f *fakeTurns) Turn(_ context.Context, _ string, p ledger.Pace) (ledger.Turn, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call(); err != nil {
		return ledger.Turn{}, false, err
	}
	now := time.Now()
	t := ledger.Turn{Asked: now, Wait: max(0, f.next.Sub(now)), Every: p.Every}
	if p.AtMost > 0 && t.Wait > p.AtMost {
		return t, false, nil
	}
	f.next = now.Add(t.Wait + p.Every)
	return t, true, nil
}

func (f *fakeTurns) ReturnTurn(_ context.Context, _ string, t ledger.Turn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.returned++
	f.next = f.next.Add(-t.Every)
	return f.call()
}

func (f *fakeTurns) Slot(_ context.Context, _ string, n int) (ledger.Slot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call(); err != nil {
		return nil, err
	}
	if f.held >= n {
		f.wanted++
		return nil, nil
	}
	f.held++
	return fakeSlot{f}, nil
}

type fakeSlot struct{ *fakeTurns }

func (s fakeSlot) Stands() bool { return !s.lost }

func (s fakeSlot) Free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
}

// sharing returns n lanes of one system that share their limits.
func sharing(n int, c RateConfig) (*fakeTurns, []*Lane) {
	f := &fakeTurns{}
	var lanes []*Lane
	for range n {
		l := newTestLane(SystemConfig{Rate: c})
		l.share(f)
		lanes = append(lanes, l)
	}
	return f, lanes
}

// through makes a call that takes no time.
func through(t *testing.T, l *Lane, changing bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	leave, err := l.Enter(ctx, changing)
	if err != nil {
		t.Error(err)
		return
	}
	leave(ResultAnswered)
}

// Two processes keep one pace, and one number of calls under way.
func TestSharedLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, lanes := sharing(2, RateConfig{PerSecond: 5, Concurrent: 3})
		var under, most atomic.Int32
		var wg sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		for i := range 21 {
			wg.Go(func() {
				leave, err := lanes[i%2].Enter(ctx, true)
				if err != nil {
					t.Error(err)
					return
				}
				if n := under.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(500 * time.Millisecond)
				under.Add(-1)
				leave(ResultAnswered)
			})
		}
		wg.Wait()
		if took := time.Since(began); took < 4*time.Second {
			t.Errorf("21 calls at 5 a second took %v", took)
		}
		if most.Load() > 3 || f.held != 0 {
			t.Errorf("%d at once of 3; %d are still held", most.Load(), f.held)
		}
		if f.wanted == 0 {
			t.Error("nobody had to wait for a slot of the other process")
		}
	})
}

// A slot that another process has is waited for: a read for ten seconds, a change as long as its context allows.
func TestSlotOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, lanes := sharing(1, RateConfig{Concurrent: 1})
		f.held = 1
		began := time.Now()
		if _, err := lanes[0].Enter(t.Context(), false); class(err) != "away" || time.Since(began) != patience {
			t.Errorf("a read: %v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		if _, err := lanes[0].Enter(ctx, true); class(err) != "away" || time.Since(began) != time.Minute {
			t.Errorf("a change: %v after %v", err, time.Since(began))
		}
		f.held = 0
		through(t, lanes[0], true) // nothing of this process's own was kept
	})
}

// Nothing is sent while the limits cannot be asked, and it is logged once.
func TestLimitsThatCannotBeAsked(t *testing.T) {
	for name, c := range map[string]RateConfig{"pace": {PerSecond: 1}, "slots": {Concurrent: 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, lanes := sharing(1, c)
				var log strings.Builder
				lanes[0].log = slog.New(slog.NewTextHandler(&log, nil))
				f.fails = true
				for range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					_, err := lanes[0].Enter(ctx, true)
					cancel()
					want := ledger.CallError{Class: ledger.CallAway, RetryAfter: time.Second, Detail: "the limits of the system cannot be asked"}
					if call := new(ledger.CallError); !errors.As(err, &call) || *call != want {
						t.Fatalf("%v", err)
					}
				}
				f.fails = false
				through(t, lanes[0], true)
				if n := strings.Count(log.String(), "cannot be asked"); n != 1 || !strings.Contains(log.String(), "can be asked again") {
					t.Errorf("%s", log.String())
				}
				if w := lanes[0].status(ledger.System{}).Waiting; w != 0 {
					t.Errorf("%d wait", w)
				}
			})
		})
	}
}

// A slot that was lost while its call waited for a turn sends nothing.
func TestLostSlot(t *testing.T) {
	f, lanes := sharing(1, RateConfig{Concurrent: 1})
	f.lost = true
	if _, err := lanes[0].Enter(t.Context(), true); class(err) != "away" || f.held != 0 {
		t.Fatalf("%v, %d held", err, f.held)
	}
	f.lost = false
	through(t, lanes[0], true)
}

// A system without rate asks nobody.
func TestNoLimitsAskNobody(t *testing.T) {
	f, lanes := sharing(1, RateConfig{})
	f.fails = true
	through(t, lanes[0], true)
	if f.calls != 0 {
		t.Errorf("%d calls", f.calls)
	}
	lanes[0].configure(SystemConfig{Rate: RateConfig{PerSecond: 1}}) // a reload
	if _, err := lanes[0].Enter(t.Context(), true); class(err) != "away" || f.calls != 1 {
		t.Errorf("%v, %d calls", err, f.calls)
	}
}

// A turn that is not used is given back, and a read that would wait for too long reserves none.
func TestUnusedSharedTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, lanes := sharing(2, RateConfig{PerSecond: 0.05})
		through(t, lanes[0], true)
		var call *ledger.CallError
		if _, err := lanes[1].Enter(t.Context(), false); !errors.As(err, &call) || call.Class != ledger.CallAway || call.RetryAfter != 20*time.Second {
			t.Errorf("a read: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := lanes[1].Enter(ctx, true); class(err) != "away" || f.returned != 1 {
			t.Errorf("%v, %d given back", err, f.returned)
		}
		began := time.Now()
		through(t, lanes[1], true)
		if took := time.Since(began); took != 19*time.Second {
			t.Errorf("the next turn came after %v", took)
		}
	})
}

// Every lane of a registry shares, also one that came with a reload.
func TestRegistryShares(t *testing.T) {
	c := SystemConfig{Remediator: "nothing", URL: "http://127.0.0.1:1", AllowPrivate: true, Rate: RateConfig{PerSecond: 1}}
	reg, _ := newRegistry(t, c, time.Now, nil)
	f := &fakeTurns{}
	reg.Share(f)
	if _, err := reg.Update(map[string]SystemConfig{"sys": c, "more": c}); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"sys", "more"} {
		through(t, reg.bound[name].lane, true)
		if f.calls != i+1 {
			t.Errorf("%s: %d calls", name, f.calls)
		}
		f.next = time.Time{}
	}
}
