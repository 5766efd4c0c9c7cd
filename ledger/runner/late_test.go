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

const (
	lateWindows   = 10
	lateResources = 10 // in a window that older entries have changed; and as many that only facts change
	weekendStart  = 5 * time.Minute
	lastFact      = 9 * time.Minute // a run ends when the last intent is judged, before that
)

// pacedThird is a third party whose calls take a moment, so that facts arrive between any two of them.
type pacedThird struct {
	*ledgertest.Third
	mu  sync.Mutex
	rnd *rand.Rand
}

func (p *pacedThird) Find(name string) (ledger.System, ledger.Remediator, error) {
	sys, _, err := p.Third.Find(name)
	return sys, p, err
}

func (p *pacedThird) takeTime() {
	p.mu.Lock()
	d := time.Duration(p.rnd.IntN(250)) * time.Millisecond
	p.mu.Unlock()
	time.Sleep(d)
}

func (p *pacedThird) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	p.takeTime()
	return p.Third.Look(ctx, e)
}

func (p *pacedThird) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	p.takeTime()
	return p.Third.Undo(ctx, e, seen)
}

// A lateWindow is one window into which facts are posted at random moments of its whole life.
type lateWindow struct {
	*bench
	n     int
	rnd   *rand.Rand
	died  map[uuid.UUID]string // intents whose script died, and what has to become of each without a person's word
	waits bool                 // the run said in the open that it waits for a perform_by

	mu    *sync.Mutex
	facts map[uuid.UUID]ledger.WindowState // and the state of the window when each was posted, as it was just before
}

func newLateWindow(b *bench, n int) *lateWindow {
	b.Helper()
	opened, err := b.ledger.OpenWindow(b.Context(), ledger.WindowDraft{Name: "late"})
	if err != nil {
		b.Fatal(err)
	}
	own := *b
	own.window = opened.ID
	w := &lateWindow{
		bench: &own, n: n, rnd: rand.New(rand.NewPCG(uint64(n), 4)), mu: &sync.Mutex{},
		died: map[uuid.UUID]string{}, facts: map[uuid.UUID]ledger.WindowState{},
	}
	for i := range lateResources {
		w.third.Set(w.fresh(i), base)
		w.record(draft(w.old(i), base, `{"v":"first"}`), draft(w.old(i), `{"v":"first"}`, `{"v":"second"}`))
	}
	w.announce("happened", `{"v":"x"}`, "undone undone")
	w.announce("never", base, "void")
	if n%2 == 0 { // without these the window can be rolled back
		w.announce("neither", `{"v":"half"}`, "stuck in_doubt")
		w.announce("blind", `{"v":"x"}`, "stuck in_doubt")
		w.third.Blind[w.at("blind")] = true
	}
	return w
}

const base = `{"v":"base"}`

func (w *lateWindow) at(name string) string { return fmt.Sprintf("/w%d/%s", w.n, name) }
func (w *lateWindow) old(i int) string      { return w.at(fmt.Sprintf("old/%d", i)) }
func (w *lateWindow) fresh(i int) string    { return w.at(fmt.Sprintf("fresh/%d", i)) }

// announce records an intent whose script dies before it reports, and what the third party shows since.
func (w *lateWindow) announce(name, shows, want string) {
	w.Helper()
	d := draft(w.at(name), base, `{"v":"x"}`)
	d.State, d.Perform = ledger.EntryIntended, weekendStart+time.Duration(1+w.rnd.IntN(240))*time.Second
	e := w.record(d)[0]
	w.third.Set(w.at(name), shows)
	w.died[e.ID] = want
}

// dawdle is what a script does now and then between reading, acting and telling.
func dawdle(rnd *rand.Rand) {
	if rnd.IntN(4) == 0 {
		time.Sleep(time.Duration(rnd.IntN(2000)) * time.Millisecond)
	}
}

// post makes the facts of one resource, one after the other at random moments. What a script says was there before
// may be a middle state, or out of date.
func (w *lateWindow) post(at string, rnd *rand.Rand) {
	moments := make([]time.Duration, fewer(w.T, lateFacts, 2))
	for i := range moments {
		moments[i] = time.Duration(rnd.Int64N(int64(lastFact)))
	}
	slices.Sort(moments)
	begin := time.Now()
	for i, m := range moments {
		time.Sleep(m - time.Since(begin))
		after := fmt.Sprintf(`{"v":"late-%d"}`, i)
		before := w.third.Get(at)
		if i > 0 && rnd.IntN(3) == 0 {
			before = fmt.Sprintf(`{"v":"late-%d"}`, i-1) // as it left it: it did not read
		}
		dawdle(rnd)
		w.third.Set(at, after)
		dawdle(rnd)
		state := w.state()
		got, err := w.ledger.Record(w.Context(), w.window, []ledger.Draft{draft(at, before, after)})
		if err != nil {
			w.Errorf("a fact was refused in a window that is %s: %v", state, err)
			return
		}
		w.mu.Lock()
		w.facts[got[0].Entry.ID] = state
		w.mu.Unlock()
	}
}

// live takes the window through its states while facts arrive, to the end of its rollback and of the facts.
func (w *lateWindow) live() {
	var scripts sync.WaitGroup
	for i := range lateResources {
		for _, at := range []string{w.old(i), w.fresh(i)} {
			rnd := rand.New(rand.NewPCG(w.rnd.Uint64(), 5))
			scripts.Go(func() { w.post(at, rnd) })
		}
	}
	for _, turn := range []func(context.Context, uuid.UUID, string) (*ledger.WindowView, error){w.ledger.Seal, w.ledger.Keep, w.ledger.Reopen} {
		time.Sleep(weekendStart / 4)
		if _, err := turn(w.Context(), w.window, ""); err != nil {
			w.Error(err)
		}
	}
	time.Sleep(weekendStart / 4)
	run, err := w.ledger.StartRollback(w.Context(), w.window, ledger.RollbackRequest{Reason: "late"})
	if err != nil {
		w.Error(err)
		return
	}
	for ; !run.State.Over(); time.Sleep(5 * time.Second) {
		if run, err = w.ledger.Rollback(w.Context(), run.ID); err != nil {
			w.Error(err)
			return
		}
		w.waits = w.waits || run.State == ledger.RollbackWaiting && run.Waiting.Why == "perform_by"
	}
	scripts.Wait()
}

func (w *lateWindow) entries() []ledger.Entry {
	w.Helper()
	list, err := w.ledger.Entries(w.Context(), ledger.EntryQuery{WindowID: w.window, Desc: true, Limit: 1000})
	if err != nil {
		w.Fatal(err)
	}
	return list
}

// checkListed holds the window, before any person's word, to this: every fact is undone or listed as stuck, or an entry
// that is listed holds it; no script that died is forgotten; and what is closed is home.
func (w *lateWindow) checkListed() {
	w.Helper()
	if !w.waits {
		w.Errorf("window %d: the run never said that it waits for a perform_by", w.n)
	}
	stuck := map[string]bool{} // resources, from the newest entry on
	open := map[string]bool{}
	for _, e := range w.entries() {
		at := ledgertest.Path(e.Resource)
		stuck[at] = stuck[at] || e.State == ledger.EntryStuck
		open[at] = open[at] || !e.Closed()
		if want, died := w.died[e.ID]; died {
			w.wantState(&e, want)
		} else {
			w.checkFact(&e, stuck[at])
		}
	}
	want := ledger.WindowRolledBack
	for at, open := range open {
		if open {
			want = ledger.WindowStuck
		} else if now := w.third.Get(at); now != base {
			w.Errorf("%s shows %s, and nothing there is open", at, now)
		}
	}
	if got := w.state(); got != want {
		w.Errorf("window %d is %s, want %s", w.n, got, want)
	}
	w.checkJudged()
}

// checkJudged holds the run to this: nothing is written of an intent whose script died before its time is over.
func (w *lateWindow) checkJudged() {
	w.Helper()
	records, err := w.ledger.Records(w.Context(), ledger.RecordQuery{WindowID: w.window, Limit: 10_000})
	if err != nil {
		w.Fatal(err)
	}
	for _, r := range records {
		id, err := uuid.Parse(r.EntryID)
		if err != nil || w.died[id] == "" || r.Kind == "entry.recorded" {
			continue
		}
		if e := w.entry(id); r.At.Before(e.PerformBy) {
			w.Errorf("%s of %s at %s, and it had time until %s", r.Kind, e.Resource, r.At, e.PerformBy)
		}
	}
}

// checkFact holds one entry whose effect was reported to how it may have ended; held: it, or a newer one on its
// resource, is stuck.
func (w *lateWindow) checkFact(e *ledger.Entry, held bool) {
	w.Helper()
	switch {
	case e.State == ledger.EntryUndone:
	case e.State == ledger.EntryStuck && (e.Reason == ledger.ReasonLate || e.Reason == ledger.ReasonDrifted):
	case e.State == ledger.EntryApplied && held:
	default:
		w.Errorf("entry %d on %s is %s %s: %s", e.Seq, e.Resource, e.State, e.Reason, e.Detail)
	}
	state, posted := w.facts[e.ID]
	fenced := state == ledger.WindowRollingBack || state == ledger.WindowRolledBack || state == ledger.WindowStuck
	if posted && e.Late != fenced {
		w.Errorf("fact %d was posted in a window that was %s; late: %v", e.Seq, state, e.Late)
	}
}

// listen does what a person does with what is listed: says undo for each, newest first, until nothing is left. Then
// everything is home.
func (w *lateWindow) listen() (words int) {
	w.Helper()
	for ; w.state() != ledger.WindowRolledBack; words++ {
		if words > 2*lateResources*(lateFacts+2)+len(w.died) {
			w.Fatalf("window %d is %s after %d words", w.n, w.state(), words)
		}
		list, err := w.ledger.Entries(w.Context(), ledger.EntryQuery{WindowID: w.window, States: []ledger.EntryState{ledger.EntryStuck}, Desc: true, Limit: 1})
		if err != nil || len(list) == 0 {
			w.Fatalf("nothing is listed as stuck: %v", err)
		}
		if _, err := w.ledger.Resolve(w.Context(), list[0].ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "late"}); err != nil {
			w.Fatal(err)
		}
		opened, err := w.ledger.Window(w.Context(), w.window)
		if err != nil {
			w.Fatal(err)
		}
		w.finish(opened.RollbackID)
	}
	for _, e := range w.entries() {
		if at := ledgertest.Path(e.Resource); w.third.Get(at) != base {
			w.Errorf("%s is %s", at, w.third.Get(at))
		}
		if _, posted := w.facts[e.ID]; posted && e.State != ledger.EntryUndone {
			w.Errorf("fact %d is %s", e.Seq, e.State)
		}
	}
	w.checkJournal()
	return words
}

// Facts arrive at random moments before, during and after a rollback, in windows of every state, on fresh resources
// and on those of older entries, beside intents whose script died: all are taken in, and each ends at the baseline or
// is listed. Time is simulated.
func TestLateFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBenchOn(t, openStore(t))
		third := &pacedThird{Third: b.third, rnd: rand.New(rand.NewPCG(3, 4))}
		b.ledger = ledger.New(ledger.Config{Store: b.store, Systems: third, Clock: time.Now, Log: quiet(), Waker: b.waker})
		var windows []*lateWindow
		for n := range lateWindows {
			windows = append(windows, newLateWindow(b, n))
		}
		ctx, stop := context.WithCancel(t.Context())
		var runner, lives sync.WaitGroup
		r := b.runner()
		runner.Go(func() { r.Run(ctx) })
		for _, w := range windows {
			lives.Go(w.live)
		}
		lives.Wait()
		time.Sleep(time.Minute) // what arrived at the very end
		stop()
		runner.Wait()
		posted, words := map[ledger.WindowState]int{}, 0
		for _, w := range windows {
			for _, state := range w.facts {
				posted[state]++
			}
			w.checkListed()
			words += w.listen()
		}
		t.Logf("figure: facts by the state of their window: %v; %d words of a person", posted, words)
		if len(posted) != 6 {
			t.Errorf("there are states that no window was in when a fact arrived: %v", posted)
		}
	})
}
