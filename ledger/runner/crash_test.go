package runner_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

var errDied = errors.New("the process died here")

// deathly is a store whose n-th write fails, and every one after it until it is revived: as if the
// process had died there. With after set the n-th write happens all the same.
type deathly struct {
	ledger.Store
	mu    sync.Mutex
	n     int
	left  int // writes until death; < 0: immortal
	after bool
	dead  bool
}

func (d *deathly) Update(ctx context.Context, id uuid.UUID, fn func(ledger.Tx) error) error {
	d.mu.Lock()
	d.n++
	last := d.left == 0
	d.left--
	wasDead := d.dead
	d.dead = d.dead || last
	after := d.after
	d.mu.Unlock()
	switch {
	case wasDead, last && !after:
		return errDied
	case last:
		_ = d.Store.Update(ctx, id, fn)
		return errDied
	}
	return d.Store.Update(ctx, id, fn)
}

func (d *deathly) live(n int, after bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.after, d.dead, d.n = n, after, false, 0
}

// runUntilDeath works on the run until the store dies or the run is over.
func (b *bench) runUntilDeath(d *deathly, id uuid.UUID) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	watch := make(chan struct{})
	go func() {
		defer close(watch)
		for ctx.Err() == nil {
			d.mu.Lock()
			dead := d.dead
			d.mu.Unlock()
			if dead {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	b.runner().RunOne(ctx, id)
	cancel()
	<-watch
}

// dieAt works on a run until the store dies at its n-th write, and then, as the next process would, to the end. It
// reports whether the store died.
func (b *bench) dieAt(d *deathly, n int, after bool, run uuid.UUID) (died bool) {
	b.Helper()
	d.live(n, after)
	b.runUntilDeath(d, run)
	d.mu.Lock()
	died = d.dead
	d.mu.Unlock()
	d.live(-1, false)
	b.finish(run)
	return died
}

// scenario records what a crash test rolls back: updates, two changes of one resource, a create, an intent
// that never happened and one that did.
func (b *bench) scenario() (undone, void []*ledger.Entry) {
	undone = b.updates(3)
	undone = append(undone, b.record(draft("/twice", `{"v":1}`, `{"v":2}`), draft("/twice", `{"v":2}`, `{"v":3}`), draft("/made", "null", `{"v":1}`))...)
	for _, at := range []string{"/never", "/happened"} {
		d := draft(at, `{"v":1}`, `{"v":2}`)
		d.State, d.Perform = ledger.EntryIntended, time.Millisecond
		e := b.record(d)[0]
		if at == "/never" {
			b.third.Set(at, `{"v":1}`)
			void = append(void, e)
		} else {
			b.third.Set(at, `{"v":2}`)
			undone = append(undone, e)
		}
	}
	return undone, void
}

func (b *bench) checkScenario(undone, void []*ledger.Entry) {
	b.Helper()
	count := map[string]int{}
	for _, at := range b.third.Order() {
		count[at]++
	}
	for at, n := range count {
		if want := 1 + map[string]int{"/twice": 1}[at]; n != want {
			b.Errorf("%s was undone %d times, want %d", at, n, want)
		}
	}
	for _, e := range undone {
		if got := b.entry(e.ID); got.State != ledger.EntryUndone {
			b.Errorf("entry %d is %s %s (%s)", got.Seq, got.State, got.Reason, got.Detail)
		}
	}
	for _, e := range void {
		b.wantState(e, "void")
	}
	if b.state() != ledger.WindowRolledBack {
		b.Errorf("window %s", b.state())
	}
	want := []string{"/happened", "/made", "/twice", "/twice", "/r/3", "/r/2", "/r/1"}
	if !slices.Equal(b.third.Order(), want) {
		b.Errorf("order %v", b.third.Order())
	}
	b.checkJournal()
}

// The process dies at every write of a rollback, before and after it took effect; the next one finishes.
func TestDeathAtEveryWrite(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n, fired := 0, true; fired; n += step(t) {
			t.Run(fmt.Sprintf("write %d after=%v", n, after), func(t *testing.T) {
				d := &deathly{Store: openStore(t), left: -1}
				b := newBenchOn(t, d)
				undone, void := b.scenario()
				run := b.start(ledger.RollbackRequest{})
				fired = b.dieAt(d, n, after, run.ID)
				b.checkScenario(undone, void)
			})
		}
	}
}

// The n-th answer of the third party is lost, before or after its effect, for every n.
func TestEveryAnswerLost(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; n <= 7; n += step(t) {
			t.Run(fmt.Sprintf("answer %d after=%v", n, after), func(t *testing.T) {
				b := newBench(t)
				undone, void := b.scenario()
				b.third.OnUndo = func(i int, _ string) (bool, error) {
					if i == n {
						return after, &ledger.CallError{Class: ledger.CallAmbiguous}
					}
					return false, nil
				}
				b.rollback(ledger.RollbackRequest{})
				b.checkScenario(undone, void)
			})
		}
	}
}

func TestLostAnswersOfWhatMayNotBeRepeated(t *testing.T) {
	b := newBench(t)
	b.third.Post = true
	list := b.updates(2)
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		return at == "/r/2", &ledger.CallError{Class: ledger.CallAmbiguous}
	}
	b.rollback(ledger.RollbackRequest{})
	b.wantState(list[1], "undone undone")
	b.wantState(list[0], "stuck in_doubt")
	if _, undos := b.third.Calls(); undos != 2 {
		t.Errorf("%d calls", undos)
	}
	// A new rollback does not send it again either; a person's word does.
	b.rollback(ledger.RollbackRequest{})
	b.wantState(list[0], "stuck in_doubt")
	b.third.OnUndo = nil
	if _, err := b.ledger.Resolve(t.Context(), list[0].ID, ledger.Resolution{Decision: ledger.DecideRetry, Reason: "checked the logs"}); err != nil {
		t.Fatal(err)
	}
	b.finishLast()
	b.wantState(list[0], "undone undone")
}

// Three in ten answers are lost after their effect.
func TestThirtyPercentOfAnswersLost(t *testing.T) {
	b := newBench(t)
	b.updates(200)
	rnd := rand.New(rand.NewPCG(7, 7))
	lost := 0
	b.third.OnUndo = func(int, string) (bool, error) {
		if rnd.IntN(10) < 3 {
			lost++
			return true, &ledger.CallError{Class: ledger.CallAmbiguous}
		}
		return false, nil
	}
	run := b.rollback(ledger.RollbackRequest{})
	if lost < 30 || !run.Complete || len(b.third.Order()) != 200 {
		t.Errorf("%d answers lost, %d effects, run %+v", lost, len(b.third.Order()), run.Counts)
	}
}

func TestFiftyTriggersOneRun(t *testing.T) {
	b := newBench(t)
	b.updates(3)
	ids := make([]uuid.UUID, 50)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			r, err := b.ledger.StartRollback(t.Context(), b.window, ledger.RollbackRequest{})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = r.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatal("two runs")
		}
	}
	if run := b.finish(ids[0]); !run.Complete || len(b.third.Order()) != 3 {
		t.Errorf("%+v", run)
	}
}

// A runner whose lease was taken over in the middle of a call writes nothing; what it knew is evidence.
func TestStaleRunnerWritesNothing(t *testing.T) {
	b := newBench(t)
	list := b.updates(2)
	run := b.start(ledger.RollbackRequest{})
	taken := false
	b.third.OnUndo = func(_ int, _ string) (bool, error) {
		if !taken {
			taken = true
			if _, err := b.ledger.Claim(t.Context(), run.ID, ledger.Claimant{Holder: "another", Force: true}); err != nil {
				t.Error(err)
			}
		}
		return false, nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	b.runner().RunOne(ctx, run.ID)
	e := b.entry(list[1].ID)
	if e.State != ledger.EntryUndoing || !e.Attempts[0].Open() {
		t.Errorf("the stale runner moved its entry to %s", e.State)
	}
	records, err := b.ledger.Records(t.Context(), ledger.RecordQuery{WindowID: b.window, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if last := records[len(records)-1]; last.Kind != "evidence" || last.EntryID != e.ID.String() {
		t.Errorf("the last record is %s", last.Kind)
	}
	b.finish(run.ID)
	b.wantState(list[1], "undone undone")
	if len(b.third.Order()) != 2 || b.state() != ledger.WindowRolledBack {
		t.Errorf("%v, window %s", b.third.Order(), b.state())
	}
	b.checkJournal()
}
