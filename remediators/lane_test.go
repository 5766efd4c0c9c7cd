package remediators

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sideledger/ledger"
)

// wall is a clock that stands still until it is moved.
type wall struct{ now time.Time }

func (w *wall) clock() ledger.Clock { return func() time.Time { return w.now } }

func TestBreaker(t *testing.T) {
	var silent atomic.Bool
	var calls atomic.Int32
	silent.Store(true)
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		if silent.Load() {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(500)
	})
	w := &wall{now: time.Now()}
	reg, client := newRegistry(t, SystemConfig{URL: url, AllowPrivate: true, Retry: RetryConfig{Base: time.Second, Cap: 20 * time.Second}}, w.clock(), io.Discard)
	do := func() error {
		_, err := client.Do(t.Context(), Call{Method: "PUT", Path: "/", Body: []byte("{}")})
		return err
	}
	for i := range silentLimit {
		if st := reg.List()[0]; st.Breaker != "closed" {
			t.Fatalf("open after %d", i)
		}
		if err := do(); class(err) != "ambiguous" {
			t.Fatal(err)
		}
	}
	var call *ledger.CallError
	if err := do(); !errors.As(err, &call) || call.Class != ledger.CallAway || call.RetryAfter != 20*time.Second {
		t.Errorf("open: %+v", call)
	}
	if st := reg.List()[0]; st.Breaker != "open" || !st.OpenUntil.Equal(w.clock().Now().Add(20*time.Second)) {
		t.Errorf("status %+v", st)
	}
	if n := calls.Load(); n != silentLimit {
		t.Errorf("%d calls arrived, want %d", n, silentLimit)
	}
	w.now = w.now.Add(20 * time.Second)
	if err := do(); class(err) != "ambiguous" || calls.Load() != silentLimit+1 {
		t.Errorf("one probe goes out: %v, %d calls", err, calls.Load())
	}
	if err := do(); class(err) != "away" || calls.Load() != silentLimit+1 {
		t.Errorf("a silent probe keeps it open: %v, %d calls", err, calls.Load())
	}
	w.now = w.now.Add(20 * time.Second)
	silent.Store(false)
	if err := do(); err != nil { // 500 is an answer
		t.Error(err)
	}
	if st := reg.List()[0]; st.Breaker != "closed" || !st.OpenUntil.IsZero() {
		t.Errorf("any answer closes it: %+v", st)
	}
	silent.Store(true)
	if err := do(); class(err) != "ambiguous" {
		t.Error(err)
	}
	if st := reg.List()[0]; st.Breaker != "closed" {
		t.Errorf("an answer sets the count back: %+v", st)
	}
}

func newTestLane(c SystemConfig) *Lane {
	return newLane("sys", time.Now, slog.New(slog.DiscardHandler), c)
}

func TestOneProbeAtATime(t *testing.T) {
	w := &wall{now: time.Now()}
	l := newLane("sys", w.clock(), slog.New(slog.DiscardHandler), SystemConfig{})
	for range silentLimit {
		leave, err := l.Enter(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		leave(ResultSilent)
	}
	w.now = w.now.Add(31 * time.Second)
	leave, err := l.Enter(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Enter(t.Context(), false); class(err) != "away" {
		t.Errorf("a second probe: %v", err)
	}
	leave(ResultNothing) // it was cancelled: nobody knows yet
	if leave, err = l.Enter(t.Context(), false); err != nil {
		t.Fatalf("the next probe: %v", err)
	}
	leave(ResultAnswered)
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLane(SystemConfig{Rate: RateConfig{PerSecond: 5}})
		begin := time.Now()
		for range 6 {
			leave, err := l.Enter(t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			leave(ResultAnswered)
		}
		if took := time.Since(begin); took < 999*time.Millisecond || took > 1001*time.Millisecond {
			t.Errorf("6 calls at 5 a second took %s, want 1 s", took)
		}
	})
}

// A read that would have to wait long says "away"; a changing call waits for its turn, or an undo at a slow
// pace would never come after its look.
func TestSlowPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLane(SystemConfig{Rate: RateConfig{PerSecond: 0.05}})
		leave, err := l.Enter(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		leave(ResultAnswered)
		var call *ledger.CallError
		if _, err := l.Enter(t.Context(), false); !errors.As(err, &call) || call.Class != ledger.CallAway || call.RetryAfter != 20*time.Second {
			t.Errorf("a second read: %v", err)
		}
		begin := time.Now()
		if leave, err = l.Enter(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		leave(ResultAnswered)
		if took := time.Since(begin).Round(time.Millisecond); took != 20*time.Second {
			t.Errorf("the change waited %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Enter(ctx, true); class(err) != "away" {
			t.Errorf("out of time: %v", err)
		}
	})
}

func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLane(SystemConfig{Rate: RateConfig{Concurrent: 1}})
		leave, err := l.Enter(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Enter(t.Context(), false); class(err) != "away" {
			t.Errorf("a second at once: %v", err)
		}
		entered := make(chan error)
		go func() {
			leave, err := l.Enter(t.Context(), true)
			if err == nil {
				leave(ResultAnswered)
			}
			entered <- err
		}()
		synctest.Wait()
		leave(ResultAnswered)
		if err := <-entered; err != nil {
			t.Error(err)
		}
	})
}

func TestParkedAndDisabled(t *testing.T) {
	calls := 0
	url := serve(t, func(http.ResponseWriter, *http.Request) { calls++ })
	reg, client := newRegistry(t, SystemConfig{URL: url, AllowPrivate: true}, time.Now, io.Discard)
	do := func() error {
		_, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"})
		return err
	}
	reg.Park("sys", true)
	reg.Park("nobody", true)
	// Parking is the run's own affair: whoever else asks is answered.
	if err := do(); err != nil || calls != 1 || !reg.List()[0].Parked {
		t.Errorf("parked: %v, %d calls", err, calls)
	}
	reg.Park("sys", false)
	if reg.List()[0].Parked {
		t.Error("still parked")
	}
	if _, err := reg.Update(map[string]SystemConfig{"sys": {Remediator: "nothing", URL: url, AllowPrivate: true, Disabled: true}}); err != nil {
		t.Fatal(err)
	}
	if err := do(); class(err) != "denied" || calls != 1 {
		t.Errorf("disabled: %v, %d calls", err, calls)
	}
	if sys, _, err := reg.Find("sys"); err != nil || !sys.Disabled {
		t.Errorf("%+v, %v", sys, err)
	}
}
