package ledgertest

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sideledger/ledger"
)

// Limits are what processes of a ledger share.
type Limits interface {
	ledger.Turns
	ledger.Deletions
}

// TestLimits runs the suite that every [ledger.Turns] and [ledger.Deletions] passes. Each part gets its own from open: three
// processes of one new ledger.
func TestLimits(t *testing.T, open func(t *testing.T) [3]Limits) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, ps [3]Limits)
	}{
		{"Distances", testDistances},
		{"TooLate", testTooLate},
		{"Returned", testReturned},
		{"OtherPace", testOtherPace},
		{"Slots", testSlots},
		{"SlotsAtOnce", testSlotsAtOnce},
		{"Deletions", testDeletions},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, open(t)) })
	}
}

// asked reserves a turn that may be waited for as long as it takes.
func asked(t *testing.T, of ledger.Turns, system string, every time.Duration) ledger.Turn {
	t.Helper()
	turn, ok, err := of.Turn(t.Context(), system, ledger.Pace{Every: every})
	if err != nil || !ok {
		t.Errorf("%v, %v", ok, err)
	}
	return turn
}

// moment is when a turn is.
func moment(turn ledger.Turn) time.Time { return turn.Asked.Add(turn.Wait) }

// Turns of all processes together are never nearer to each other than the pace says, and none of those that somebody waits for is
// left out; systems do not wait for each other.
func testDistances(t *testing.T, ps [3]Limits) {
	const every, each = 7 * time.Millisecond, 40
	var mu sync.Mutex
	var wg sync.WaitGroup
	got := map[string][]ledger.Turn{}
	for i := range 12 {
		system := []string{"a", "b"}[i/6]
		wg.Go(func() {
			for range each {
				turn := asked(t, ps[i%3], system, every)
				mu.Lock()
				got[system] = append(got[system], turn)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for system, list := range got {
		slices.SortFunc(list, func(a, b ledger.Turn) int { return moment(a).Compare(moment(b)) })
		for i := 1; i < len(list); i++ {
			if d := moment(list[i]).Sub(moment(list[i-1])); d < every || list[i].Wait > 0 && d != every {
				t.Fatalf("%s: two turns are %v apart, and the second was waited for %v", system, d, list[i].Wait)
			}
		}
		if list[len(list)-1].Wait == 0 {
			t.Errorf("%s: nobody had to wait", system)
		}
	}
}

// A turn that would come too late is not reserved, and costs the next one nothing.
func testTooLate(t *testing.T, ps [3]Limits) {
	const every = time.Hour
	if first := asked(t, ps[0], "a", every); first.Wait != 0 {
		t.Errorf("the first turn comes after %v", first.Wait)
	}
	for i := range 3 {
		turn, ok, err := ps[i].Turn(t.Context(), "a", ledger.Pace{Every: every, AtMost: time.Minute})
		if ok || err != nil || turn.Wait < every-time.Minute || turn.Wait > every {
			t.Errorf("%+v, %v, %v", turn, ok, err)
		}
	}
	if turn := asked(t, ps[1], "a", every); turn.Wait > every {
		t.Errorf("the second turn comes after %v", turn.Wait)
	}
}

// A turn that is given back is used again, unless somebody has asked since.
func testReturned(t *testing.T, ps [3]Limits) {
	const every = time.Hour
	asked(t, ps[0], "a", every)
	second := asked(t, ps[0], "a", every)
	third := asked(t, ps[1], "a", every)
	for _, r := range []struct {
		turn ledger.Turn
		want time.Time // of the next one
	}{{second, moment(third).Add(every)}, {third, moment(third).Add(2 * every)}} {
		must(t, ps[2].ReturnTurn(t.Context(), "a", r.turn))
		next := asked(t, ps[0], "a", every)
		if got := moment(next); !got.Equal(r.want) {
			t.Errorf("the next turn is %v later than wanted", got.Sub(r.want))
		}
	}
	last := asked(t, ps[0], "a", every)
	must(t, ps[1].ReturnTurn(t.Context(), "a", last))
	must(t, ps[1].ReturnTurn(t.Context(), "a", last)) // once is all
	must(t, ps[1].ReturnTurn(t.Context(), "nobody", last))
	if again := asked(t, ps[2], "a", every); !moment(again).Equal(moment(last)) {
		t.Errorf("the turn that was given back is passed over: %v", moment(again).Sub(moment(last)))
	}
}

// Turns that wait at one pace wait at another one once it is configured.
func testOtherPace(t *testing.T, ps [3]Limits) {
	for range 11 {
		asked(t, ps[0], "a", 100*time.Second)
	}
	turn := asked(t, ps[1], "a", 10*time.Second)
	if turn.Wait > 110*time.Second || turn.Wait < 100*time.Second {
		t.Errorf("eleven turns at 10 s each take %v", turn.Wait)
	}
}

func taken(t *testing.T, of ledger.Turns, system string, n int) ledger.Slot {
	t.Helper()
	s, err := of.Slot(t.Context(), system, n)
	if err != nil {
		t.Errorf("slot: %v", err)
	}
	return s
}

// Slots are as many as asked for, and systems have their own.
func testSlots(t *testing.T, ps [3]Limits) {
	a, b := taken(t, ps[0], "a", 2), taken(t, ps[1], "a", 2)
	if a == nil || b == nil || !a.Stands() || !b.Stands() {
		t.Fatalf("%v, %v", a, b)
	}
	for _, p := range ps {
		if s := taken(t, p, "a", 2); s != nil {
			t.Error("a third of two slots")
		}
	}
	other := taken(t, ps[0], "b", 1)
	if other == nil {
		t.Fatal("systems share slots")
	}
	more := taken(t, ps[2], "a", 3)
	if more == nil {
		t.Fatal("a limit that was raised does not hold")
	}
	for _, s := range []ledger.Slot{a, b, other, more} {
		s.Free()
	}
	s := taken(t, ps[0], "b", 1)
	if s == nil {
		t.Fatal("a slot that was given back is not to be had")
	}
	s.Free()
}

// However many ask at once, no more than n have a slot, and everybody gets one.
func testSlotsAtOnce(t *testing.T, ps [3]Limits) {
	for n, system := range map[int]string{1: "one", 3: "three"} {
		var under, most atomic.Int32
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				for range 8 {
					s := taken(t, ps[i%3], system, n)
					for s == nil && !t.Failed() {
						s = taken(t, ps[i%3], system, n)
					}
					now := under.Add(1)
					for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
					}
					asked(t, ps[i%3], system, time.Second) // the others ask meanwhile
					under.Add(-1)
					if s != nil {
						s.Free()
					}
				}
			})
		}
		wg.Wait()
		if int(most.Load()) != n {
			t.Errorf("%d had a slot at once, of %d", most.Load(), n)
		}
	}
}

// Deletions are counted over all processes, and no two get the last place.
func testDeletions(t *testing.T, ps [3]Limits) {
	const limit = 20
	count := func(system string, asks int, anyway bool) int32 {
		var n atomic.Int32
		var wg sync.WaitGroup
		for i := range asks {
			wg.Go(func() {
				ok, err := ps[i%3].CountDeletion(t.Context(), system, limit, anyway)
				if err != nil {
					t.Error(err)
				}
				if ok {
					n.Add(1)
				}
			})
		}
		wg.Wait()
		return n.Load()
	}
	if n := count("a", 60, false); n != limit {
		t.Errorf("%d deletions were let through, of %d", n, limit)
	}
	if n := count("b", limit-1, false); n != limit-1 {
		t.Errorf("%d of %d", n, limit-1)
	}
	if n := count("b", 2*limit, true); n != 2*limit {
		t.Errorf("%d of %d that count anyway", n, 2*limit)
	}
	if n := count("b", 3, false); n != 0 {
		t.Errorf("%d beyond the limit", n)
	}
	if ok, err := ps[0].CountDeletion(t.Context(), "a", limit+1, false); !ok || err != nil {
		t.Errorf("a limit that was raised: %v, %v", ok, err)
	}
}
