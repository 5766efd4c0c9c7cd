package runner_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/ledger/sqlstore/sqlstoretest"
)

// A freeze stops a replica as SIGSTOP does: whoever comes by waits until it goes on.
type freeze struct {
	mu     sync.Mutex
	left   int           // who comes by before it stops; negative: it does not
	frozen chan struct{} // closed once it has stopped
	thaw   chan struct{} // closed to let it go on
}

func newFreeze(left int) *freeze {
	return &freeze{left: left, frozen: make(chan struct{}), thaw: make(chan struct{})}
}

func (f *freeze) pass() {
	f.mu.Lock()
	if f.left == 0 {
		close(f.frozen)
	}
	f.left--
	stopped := f.left < 0
	f.mu.Unlock()
	if stopped {
		<-f.thaw
	}
}

// A frozenStore stops before and after every write, and before what a runner reads.
type frozenStore struct {
	ledger.Store
	*freeze
}

func (s frozenStore) Update(ctx context.Context, id uuid.UUID, fn func(ledger.Tx) error) error {
	s.pass()
	defer s.pass()
	return s.Store.Update(ctx, id, fn)
}

func (s frozenStore) ListEntries(ctx context.Context, q ledger.EntryQuery) ([]ledger.Entry, error) {
	s.pass()
	return s.Store.ListEntries(ctx, q)
}

// A frozenThird stops before and after every look, and after every undo. Before an undo it stops where its attempt is
// written: between the last check of the lease and the first byte that is sent nobody can.
type frozenThird struct {
	*ledgertest.Third
	*freeze
}

func (p frozenThird) Find(name string) (ledger.System, ledger.Remediator, error) {
	sys, _, err := p.Third.Find(name)
	return sys, p, err
}

func (p frozenThird) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	p.pass()
	defer p.pass()
	return p.Third.Look(ctx, e)
}

func (p frozenThird) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	defer p.pass()
	return p.Third.Undo(ctx, e, seen)
}

// shortTerm is the lease of replicas that die often.
const shortTerm = 600 * time.Millisecond

// Whoever runs a rollback is stopped for longer than its lease, at a hundred moments: another replica goes on, nothing is
// undone twice, and what the stopped one writes when it wakes up is evidence and nothing else.
func TestPausedReplicas(t *testing.T) {
	url := migrated(t)
	rnd := rand.New(rand.NewPCG(20261128, 1))
	var wg sync.WaitGroup
	evidence := 0
	var mu sync.Mutex
	slots := make(chan struct{}, 10)
	stores := []*sqlstore.Store{sqlstoretest.Open(t, sqlstore.Config{URL: url}), sqlstoretest.Open(t, sqlstore.Config{URL: url})}
	for i := range pauseRounds {
		at := 1 + rnd.IntN(30) // a run of five entries comes by some forty times
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			n := pausedOnce(t, stores, at, i%2 == 0)
			mu.Lock()
			defer mu.Unlock()
			evidence += n
		})
	}
	wg.Wait()
	if evidence == 0 {
		t.Error("no replica was stopped with an answer in its hands")
	}
	t.Logf("%d pauses, %d with an answer in its hands", pauseRounds, evidence)
}

// pausedOnce stops one replica in the middle of one run, and returns how much evidence it has kept. post: an undo is not
// safe to send twice.
func pausedOnce(t *testing.T, stores []*sqlstore.Store, at int, post bool) int {
	b := newBenchOn(t, stores[0])
	b.third.Post = post
	for i := range 5 {
		b.record(draft(fmt.Sprintf("/%s/%d", b.window, i), `{"v":1}`, `{"v":2}`)) // no other window's resources
	}
	run := b.start(ledger.RollbackRequest{})
	stopped := newFreeze(at)
	first := b.replica(frozenStore{stores[0], stopped}, frozenThird{b.third, stopped})
	second := b.replica(stores[1], b.third)
	done := make(chan struct{})
	go func() {
		defer close(done)
		first.RunOne(t.Context(), run.ID)
	}()
	select {
	case <-stopped.frozen:
	case <-done: // it was through before
		close(stopped.thaw)
		return 0
	}
	second.RunOne(t.Context(), run.ID)
	if b.runState(run.ID) != ledger.RollbackFinished {
		t.Errorf("stopped at %d: the run is %s", at, b.runState(run.ID))
	}
	over := len(b.journal())
	close(stopped.thaw)
	<-done
	late := b.journal()[over:]
	for _, kind := range late {
		if kind != "evidence" {
			t.Errorf("stopped at %d: the stale replica wrote %v", at, late)
		}
	}
	b.wantUndoneOnce(at)
	return len(late)
}

// wantUndoneOnce holds five entries to having been undone once. Some may wait for a person: where the undo is not safe to send
// twice, and nobody can know whether the stopped replica had sent it.
func (b *bench) wantUndoneOnce(at int) {
	b.Helper()
	once := map[string]bool{}
	for _, path := range b.third.Order() {
		if once[path] {
			b.Errorf("stopped at %d: undone twice: %s", at, path)
		}
		once[path] = true
	}
	list, err := b.ledger.Entries(b.Context(), ledger.EntryQuery{WindowID: b.window, States: []ledger.EntryState{ledger.EntryStuck}, Limit: 10})
	if err != nil {
		b.Error(err)
	}
	for _, e := range list {
		if e.Reason != ledger.ReasonInDoubt {
			b.Errorf("stopped at %d: entry %d is stuck, %s: %s", at, e.Seq, e.Reason, e.Detail)
		}
	}
	if len(once)+len(list) < 5 {
		b.Errorf("stopped at %d: undone %v, stuck %d", at, b.third.Order(), len(list))
	}
}

// replica is a runner of another process.
func (b *bench) replica(s ledger.Store, systems ledger.Systems) *runner.Runner {
	w := runner.NewWaker()
	return runner.New(runner.Config{
		Ledger: ledger.New(ledger.Config{Store: s, Systems: systems, Clock: time.Now, Log: quiet(), Waker: w}),
		Waker:  w, Clock: time.Now, Log: quiet(), Term: shortTerm, JitterFunc: func(d time.Duration) time.Duration { return d },
	})
}

// journal returns the kinds of the window's records.
func (b *bench) journal() []string {
	b.Helper()
	list, err := b.ledger.Records(b.Context(), ledger.RecordQuery{WindowID: b.window, Limit: 1000})
	if err != nil {
		b.Fatal(err)
	}
	var kinds []string
	for _, r := range list {
		kinds = append(kinds, r.Kind)
	}
	return kinds
}

// A word that was said at another replica is acted on within a moment, though nobody wakes the walk that waits for it.
func TestWordAtAnotherReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		d := draft("/a", `{"v":1}`, `{"v":2}`)
		d.State, d.Perform = ledger.EntryIntended, time.Hour
		e := b.record(d)[0]
		run := b.start(ledger.RollbackRequest{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.replica(b.store, b.third).RunOne(t.Context(), run.ID)
		}()
		time.Sleep(10*time.Minute + 300*time.Millisecond)
		if b.runState(run.ID) != ledger.RollbackWaiting {
			t.Errorf("the run is %s", b.runState(run.ID))
		}
		said := time.Now()
		if _, err := b.ledger.Void(t.Context(), e.ID, "it never happened"); err != nil {
			t.Error(err)
		}
		<-done
		if took := time.Since(said); took > 2*time.Second || b.runState(run.ID) != ledger.RollbackFinished {
			t.Errorf("it took %v, and the run is %s", took, b.runState(run.ID))
		}
	})
}

// Clocks of replicas may differ by more than a lease: a replica whose clock is ahead takes nothing from a living one.
func TestClocksOfReplicasDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.updates(1)
		run := b.start(ledger.RollbackRequest{})
		held := make(chan struct{})
		b.third.OnUndo = func(int, string) (bool, error) {
			<-held
			return false, nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.replica(b.store, b.third).RunOne(t.Context(), run.ID)
		}()
		ahead := func() time.Time { return time.Now().Add(24 * time.Hour) }
		w := runner.NewWaker()
		other := runner.New(runner.Config{
			Ledger: ledger.New(ledger.Config{Store: b.store, Systems: b.third, Clock: ahead, Log: quiet(), Waker: w}),
			Waker:  w, Clock: ahead, Log: quiet(), Term: shortTerm, JitterFunc: func(d time.Duration) time.Duration { return d },
		})
		ctx, stop := context.WithCancel(t.Context())
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			other.Run(ctx)
		}()
		time.Sleep(time.Minute)
		got, err := b.ledger.Run(t.Context(), run.ID)
		if err != nil || got.Epoch != 1 {
			t.Errorf("epoch %d, %v", got.Epoch, err)
		}
		close(held)
		<-done
		stop()
		<-watched
		if b.state() != ledger.WindowRolledBack {
			t.Errorf("the window is %s", b.state())
		}
	})
}
