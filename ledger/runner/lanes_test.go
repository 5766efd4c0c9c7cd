package runner_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// A watched is a third party whose calls call a function first, outside of its lock, and are counted.
type watched struct {
	*ledgertest.Third
	callFunc func(what string, e *ledger.Entry)

	mu     sync.Mutex
	flying map[string]int // calls under way, by system
	most   int            // systems with a call under way at once
}

func (p *watched) Find(name string) (ledger.System, ledger.Remediator, error) {
	sys, _, err := p.Third.Find(name)
	return sys, p, err
}

func (p *watched) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	defer p.begin("look", e)()
	return p.Third.Look(ctx, e)
}

func (p *watched) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	defer p.begin("undo", e)()
	return p.Third.Undo(ctx, e, seen)
}

func (p *watched) begin(what string, e *ledger.Entry) (end func()) {
	p.mu.Lock()
	p.flying[e.System]++
	n := 0
	for _, calls := range p.flying {
		n += calls
	}
	p.most = max(p.most, n)
	p.mu.Unlock()
	p.callFunc(what, e)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.flying[e.System]--
	}
}

// watch puts a watched third party in the place of the bench's.
func (b *bench) watch(callFunc func(what string, e *ledger.Entry)) *watched {
	p := &watched{Third: b.third, callFunc: callFunc, flying: map[string]int{}}
	b.ledger = ledger.New(ledger.Config{Store: b.store, Systems: p, Clock: time.Now, Log: quiet(), Waker: b.waker})
	return p
}

// at puts a draft on a system.
func at(system string, d ledger.Draft, on ...*ledger.Entry) ledger.Draft {
	d.System = system
	for _, e := range on {
		d.DependsOn = append(d.DependsOn, e.ID)
	}
	return d
}

// update is a draft that changes a resource of a system.
func update(system, path string, on ...*ledger.Entry) ledger.Draft {
	return at(system, draft("/"+system+"/"+path, `{"v":1}`, `{"v":2}`), on...)
}

// Calls of as many systems as were asked for are under way at once, and of no more; of one system never two.
func TestSystemsSideBySide(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				p := b.watch(func(string, *ledger.Entry) { time.Sleep(time.Second) })
				for i := range 20 {
					b.record(update(fmt.Sprintf("s%d", i%5), fmt.Sprint(i)))
				}
				began := time.Now()
				run := b.play(ledger.RollbackRequest{Parallel: n})
				if want := min(n, 5); p.most != want || !run.Complete {
					t.Errorf("%d calls at once, want %d; %+v", p.most, want, run.Counts)
				}
				// 20 entries of 3 calls each, n at once.
				if took, want := time.Since(began), time.Minute/time.Duration(min(n, 5)); took > want*3/2 {
					t.Errorf("it took %s, want about %s", took, want)
				}
			})
		})
	}
}

// Whatever takes how long: nothing is undone before what depends on it, in any system, and each system newest first.
// While a call takes so long that the walk goes on without it, what is held for it is all that waits, as always.
func TestNothingIsOvertaken(t *testing.T) {
	for seed := range uint64(fewer(t, 20, 6)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			slow := seed%2 == 1
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 22))
				b := newBench(t)
				var mu sync.Mutex
				b.watch(func(string, *ledger.Entry) {
					mu.Lock()
					d := time.Duration(rnd.IntN(1900)) * time.Millisecond
					if slow && rnd.IntN(10) == 0 {
						d *= 10
					}
					mu.Unlock()
					time.Sleep(d)
				})
				list := b.web(rnd, 30)
				b.play(ledger.RollbackRequest{Parallel: 2 + rnd.IntN(4)})
				b.wantNothingOvertaken(list, slow)
			})
		})
	}
}

// web records n entries at four systems, some on one resource, that depend on each other at random.
func (b *bench) web(rnd *rand.Rand, n int) []*ledger.Entry {
	var list []*ledger.Entry
	versions := map[string]int{}
	for i := range n {
		system, path := fmt.Sprintf("s%d", rnd.IntN(4)), fmt.Sprint(i)
		if rnd.IntN(4) == 0 {
			path = "shared"
		}
		v := versions[system+path]
		versions[system+path]++
		d := at(system, draft("/"+system+"/"+path, fmt.Sprintf(`{"v":%d}`, v), fmt.Sprintf(`{"v":%d}`, v+1)))
		for i > 0 && rnd.IntN(2) == 0 {
			d.DependsOn = append(d.DependsOn, list[rnd.IntN(i)].ID)
		}
		list = append(list, b.record(d)...)
	}
	return list
}

func (b *bench) wantNothingOvertaken(list []*ledger.Entry, slow bool) {
	b.Helper()
	undone := map[uuid.UUID]time.Time{}
	sent := map[uuid.UUID]time.Time{}
	for _, e := range list {
		got := b.entry(e.ID)
		if got.State != ledger.EntryUndone || len(got.Attempts) != 1 {
			b.Fatalf("entry %d is %s after %d attempts: %s", got.Seq, got.State, len(got.Attempts), got.Detail)
		}
		undone[e.ID], sent[e.ID] = got.Attempts[0].EndedAt, got.Attempts[0].StartedAt
	}
	for i, older := range list {
		for _, newer := range list[i+1:] {
			before := newer.ResourceKey == older.ResourceKey || slices.Contains(newer.DependsOn, older.ID) || !slow && newer.System == older.System
			if before && sent[older.ID].Before(undone[newer.ID]) {
				b.Errorf("entry %d (%s) was sent before entry %d (%s) was undone", older.Seq, older.System, newer.Seq, newer.System)
			}
		}
	}
}

// The first system waits for a pause of the second one: not its entries alone that depend on it wait.
func TestStuckDependentHoldsOverSystems(t *testing.T) {
	b := newBench(t)
	base := b.record(update("a", "base"))[0]
	free := b.record(update("a", "free"))[0]
	dependent := b.record(update("b", "dependent", base))[0]
	b.third.Set("/b/dependent", `{"v":"somebody else's"}`)
	run := b.play(ledger.RollbackRequest{Parallel: 2})
	b.wantState(dependent, "stuck drifted")
	b.wantState(base, "applied")
	b.wantState(free, "undone undone")
	if len(run.Held) != 1 || run.Held[0].Seq != base.Seq {
		t.Errorf("held %+v", run.Held)
	}
}

// Once an entry is stuck nothing that is older begins any more (on_stuck: halt); what is newer is undone, and what is under way
// is let be answered.
func TestHaltStopsAllSystems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for i := range 5 {
			b.record(update("a", fmt.Sprint(i)))
		}
		bad := b.record(update("b", "bad"))[0]
		newer := []*ledger.Entry{b.record(update("c", "1"))[0], b.record(update("c", "2"))[0]}
		b.third.Set("/b/bad", `{"v":"somebody else's"}`)
		b.watch(func(_ string, e *ledger.Entry) {
			d := time.Second
			if e.System == "c" {
				d = 2 * time.Second
			}
			time.Sleep(d)
		})
		run := b.play(ledger.RollbackRequest{Parallel: 3, OnStuck: ledger.OnStuckHalt})
		b.wantState(bad, "stuck drifted")
		for _, e := range newer {
			b.wantState(e, "undone undone")
		}
		// Its look took as long as that of the first of the older ones: at most that one was begun.
		if run.Counts.Undone > 3 || run.Counts.Remaining < 4 {
			t.Errorf("%+v", run.Counts)
		}
	})
}

// Pausing, or cancelling, stops every system: what was sent is let be answered and written, nothing else is sent.
func TestStoppingStopsAllSystems(t *testing.T) {
	for name, stop := range map[string]func(*bench, uuid.UUID) error{
		"pause":  func(b *bench, id uuid.UUID) error { _, err := b.ledger.Pause(b.Context(), id); return err },
		"cancel": func(b *bench, id uuid.UUID) error { _, err := b.ledger.Cancel(b.Context(), id); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				var mu sync.Mutex
				begun, stopped := map[string]int{}, false
				var id uuid.UUID
				b.watch(func(what string, e *ledger.Entry) {
					mu.Lock()
					first := what == "undo" && !stopped
					if what == "undo" {
						begun[e.System]++
						stopped = true
					}
					mu.Unlock()
					if first {
						time.Sleep(time.Second) // the others have sent theirs
						if err := stop(b, id); err != nil {
							t.Error(err)
						}
					}
					time.Sleep(time.Second)
				})
				for i := range 12 {
					b.record(update(fmt.Sprintf("s%d", i%3), fmt.Sprint(i)))
				}
				id = b.start(ledger.RollbackRequest{Parallel: 3}).ID
				b.runner().RunOne(t.Context(), id)
				run := b.finishCounts(id)
				if len(begun) != 3 || run.Undone != 3 || run.Remaining != 9 {
					t.Errorf("%v were sent, %+v", begun, run)
				}
				b.checkJournal()
			})
		})
	}
}

// play starts a run and works on it to its end, however long that takes in simulated time.
func (b *bench) play(r ledger.RollbackRequest) *ledger.RollbackView {
	b.Helper()
	id := b.start(r).ID
	b.runner().RunOne(b.Context(), id)
	b.checkJournal()
	run, err := b.ledger.Rollback(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	return run
}

func (b *bench) finishCounts(id uuid.UUID) ledger.Counts {
	b.Helper()
	run, err := b.ledger.Rollback(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	return run.Counts
}

// While an intent may still become an effect nothing older goes first, whatever its system.
func TestIntentHoldsAllSystems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var mu sync.Mutex
		calls := map[string]time.Time{}
		b.watch(func(_ string, e *ledger.Entry) {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			calls[string(e.Resource)] = time.Now()
		})
		older := b.record(update("a", "older"))[0]
		d := update("b", "intent")
		d.State, d.Perform = ledger.EntryIntended, 20*time.Second
		intent := b.record(d)[0]
		b.third.Set("/b/intent", `{"v":2}`)
		newer := b.record(update("a", "newer"), update("c", "newer"))
		run := b.play(ledger.RollbackRequest{Parallel: 4})
		if !run.Complete || run.Counts.Undone != 4 {
			t.Errorf("%+v", run.Counts)
		}
		for _, e := range newer {
			if got := b.entry(e.ID).UndoneAt; !got.Before(intent.PerformBy) {
				t.Errorf("entry %d was undone at %s: what is newer does not wait", e.Seq, got)
			}
		}
		if at := b.entry(older.ID).Attempts[0].StartedAt; at.Before(intent.PerformBy) {
			t.Errorf("the older one was sent %s before the intent was judged", intent.PerformBy.Sub(at))
		}
	})
}

// A system that has to be asked again later does not wait for the end of all the others.
func TestRetryGoesOnBesideTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		refused := false
		b.third.OnAnswer = func(_ int, path string) (ledger.Answer, bool) {
			if path != "/a/2" || refused {
				return ledger.Answer{}, false
			}
			refused = true
			return ledger.Answer{Class: ledger.AnswerRetry, Status: 429, RetryAfter: 5 * time.Second}, true
		}
		b.watch(func(string, *ledger.Entry) { time.Sleep(time.Second) })
		var first *ledger.Entry
		for i := range 3 {
			first = b.record(update("a", fmt.Sprint(i)))[0]
		}
		for i := range 30 {
			b.record(update("b", fmt.Sprint(i)))
		}
		began := time.Now()
		run := b.play(ledger.RollbackRequest{Parallel: 2})
		if !run.Complete {
			t.Errorf("%+v", run.Counts)
		}
		if took := b.entry(first.ID).UndoneAt.Sub(began); took > 15*time.Second {
			t.Errorf("the system that asked for 5 s was asked again after %s", took)
		}
	})
}

// A fact that arrives while an entry is looked at, and depends on it, goes first: at one system after the other too.
func TestFactBesideALookIsNotOvertaken(t *testing.T) {
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				base := b.record(update("a", "base"))[0]
				b.record(update("a", "newer"))
				var late *ledger.Entry
				b.watch(func(what string, e *ledger.Entry) {
					if what == "look" && e.ID == base.ID && late == nil {
						late = b.record(update("b", "late", base))[0]
						time.Sleep(time.Second) // what is not written yet is written meanwhile, and tells the run of the fact
					}
				})
				run := b.rollback(ledger.RollbackRequest{Parallel: n})
				if !run.Complete || !slices.Equal(b.third.Order(), []string{"/a/newer", "/b/late", "/a/base"}) {
					t.Errorf("%v, %+v", b.third.Order(), run.Counts)
				}
			})
		})
	}
}

// The process dies at every write of a run at three systems, before and after it took effect; the next one finishes, and
// nothing is undone twice or before what depends on it.
func TestDeathAtEveryWriteOfManySystems(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n, fired := 0, true; fired; n += step(t) {
			t.Run(fmt.Sprintf("write %d after=%v", n, after), func(t *testing.T) {
				d := &deathly{Store: openStore(t), left: -1}
				b := newBenchOn(t, d)
				b.watch(func(string, *ledger.Entry) { time.Sleep(time.Millisecond) })
				list := b.record(update("a", "1"), update("b", "1"), update("c", "1"))
				list = append(list, b.record(update("a", "2", list[1], list[2]), update("b", "2", list[0]), update("c", "2"))...)
				run := b.start(ledger.RollbackRequest{Parallel: 3})
				fired = b.dieAt(d, n, after, run.ID)
				b.wantUndoneOnceInOrder(list)
				b.checkJournal()
			})
		}
	}
}

// wantUndoneOnceInOrder holds the effects at the third party itself to the order.
func (b *bench) wantUndoneOnceInOrder(list []*ledger.Entry) {
	b.Helper()
	order := b.third.Order()
	place := func(e *ledger.Entry) int { return slices.Index(order, ledgertest.Path(e.Resource)) }
	for i, older := range list {
		b.wantState(older, "undone undone")
		for _, newer := range list[i+1:] {
			if before := newer.System == older.System || slices.Contains(newer.DependsOn, older.ID); before && place(older) < place(newer) {
				b.Errorf("entry %d was undone before entry %d: %v", older.Seq, newer.Seq, order)
			}
		}
	}
	if len(order) != len(list) {
		b.Errorf("%d effects of %d entries: %v", len(order), len(list), order)
	}
}

// The n-th answer of the third parties is lost, before or after its effect, for every n, beside the calls of others.
func TestEveryAnswerLostBesideOthers(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; n <= 6; n += step(t) {
			t.Run(fmt.Sprintf("answer %d after=%v", n, after), func(t *testing.T) {
				b := newBench(t)
				b.third.OnUndo = func(i int, _ string) (bool, error) {
					if i == n {
						return after, &ledger.CallError{Class: ledger.CallAmbiguous}
					}
					return false, nil
				}
				list := b.record(update("a", "1"), update("b", "1"), update("c", "1"))
				list = append(list, b.record(update("a", "2", list[1], list[2]), update("b", "2", list[0]), update("c", "2"))...)
				b.rollback(ledger.RollbackRequest{Parallel: 3})
				b.wantUndoneOnceInOrder(list)
			})
		}
	}
}
