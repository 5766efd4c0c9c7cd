package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/remediators"
)

var (
	simSeeds = flag.Int("sim.seeds", simDefault, "how many seeds TestSimulation runs")
	simFirst = flag.Uint64("sim.first", 1, "the first of them; with -sim.seeds 1 a failing one is played again")
)

// Simulated weekends: a real store, the real runner and the real outgoing client over connections in memory,
// in fake time, against third parties that lose answers, go away for hours, storm with 429, fail, are slow
// and lie about reads, while the process dies now and then and facts arrive late. After each the window,
// the journal and the third parties have to agree. A seed decides everything.
func TestSimulation(t *testing.T) {
	t.Parallel()
	for i := range *simSeeds {
		seed := *simFirst + uint64(i)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			url := emptyLedger(t)
			synctest.Test(t, func(t *testing.T) { newSim(t, seed, url).weekend() })
		})
	}
}

// A sim is one simulated weekend.
type sim struct {
	*testing.T
	rnd      *rand.Rand
	parties  []*simParty
	store    *mortalStore
	registry *remediators.Registry
	ledger   *ledger.Ledger
	waker    *runner.Waker
	window   uuid.UUID
	want     map[uuid.UUID]string // what has to become of an entry, by id
	late     []ledger.Draft
	recorded []uuid.UUID // for depends_on
	order    atomic.Int64
}

func newSim(t *testing.T, seed uint64, url string) *sim {
	t.Helper()
	s := &sim{T: t, rnd: rand.New(rand.NewPCG(seed, 1)), waker: runner.NewWaker(), want: map[uuid.UUID]string{}}
	quiet := slog.New(slog.DiscardHandler)
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: url, Clock: time.Now, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	s.store = &mortalStore{Store: store}
	systems := map[string]remediators.SystemConfig{}
	for i := range 1 + s.rnd.IntN(3) {
		p := newSimParty(s.rnd.Uint64(), fmt.Sprintf("party%d", i))
		p.orderFunc = func() int64 { return s.order.Add(1) }
		s.parties = append(s.parties, p)
		systems[p.name] = remediators.SystemConfig{Remediator: "http", URL: "http://" + p.name + ".test"}
	}
	s.registry, _, err = remediators.NewRegistry(remediators.Options{
		Systems: systems, Factories: factories(), Clock: time.Now, Log: quiet, Getenv: func(string) string { return "" }, DialFunc: s.dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.ledger = ledger.New(ledger.Config{Store: s.store, Systems: s.registry, Clock: time.Now, Log: quiet, Waker: s.waker})
	w, err := s.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "sim"})
	if err != nil {
		t.Fatal(err)
	}
	s.window = w.ID
	return s
}

// weekend records, rolls back under trouble, lets the trouble end, and checks.
func (s *sim) weekend() {
	defer s.close()
	for i := range 3 + s.rnd.IntN(8) {
		s.entry(i)
	}
	for _, p := range s.parties {
		p.trouble(s.rnd)
	}
	run, err := s.ledger.StartRollback(s.Context(), s.window, ledger.RollbackRequest{Reason: "sim", Parallel: s.rnd.IntN(5)})
	if err != nil {
		s.Fatal(err)
	}
	var facts sync.WaitGroup
	when := rand.New(rand.NewPCG(s.rnd.Uint64(), 9))
	facts.Go(func() { s.postLate(when) })
	for range s.rnd.IntN(4) {
		s.live(run.ID, time.Duration(s.rnd.Int64N(int64(40*time.Second))))
	}
	s.live(run.ID, 100*time.Hour)
	facts.Wait()
	s.live(run.ID, time.Hour) // what arrived at the very end
	s.check(run.ID)
}

func (s *sim) close() {
	for _, p := range s.parties {
		p.close()
	}
	s.registry.Close()
	if err := s.store.Store.(*sqlstore.Store).Close(); err != nil {
		s.Error(err)
	}
}

// live lets a process work on the run until it is over or the process dies after d: from then on nothing it
// does reaches the store.
func (s *sim) live(id uuid.UUID, d time.Duration) {
	ctx, cancel := context.WithTimeout(s.Context(), d)
	defer cancel()
	life := s.store.revive()
	defer context.AfterFunc(ctx, func() { s.store.die(life) })()
	term := ledger.LeaseTime
	if d > time.Hour { // which is spent waiting: renewing a lease every 2 s all the while takes most of the test's time
		term = 5 * time.Minute
	}
	r := runner.New(runner.Config{
		Ledger: s.ledger, Waker: s.waker, Clock: time.Now, Log: slog.New(slog.DiscardHandler), Grace: callGrace, Sole: true, Term: term,
		JitterFunc: func(d time.Duration) time.Duration { return d },
	})
	r.RunOne(ctx, id)
	s.store.revive()
}

// mortalStore is a store that a dead process cannot reach.
type mortalStore struct {
	ledger.Store
	mu   sync.Mutex
	life int
	dead bool
}

// revive begins a new life and returns its number.
func (m *mortalStore) revive() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life++
	m.dead = false
	return m.life
}

// die ends a life, unless it is over already.
func (m *mortalStore) die(life int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = m.dead || m.life == life
}

type postingKey struct{}

func (m *mortalStore) Update(ctx context.Context, id uuid.UUID, fn func(ledger.Tx) error) error {
	m.mu.Lock()
	dead := m.dead && ctx.Value(postingKey{}) == nil
	m.mu.Unlock()
	if dead {
		return errors.New("the process is dead")
	}
	return m.Store.Update(ctx, id, fn)
}

// entry records one side effect, of a random fate, at a random third party.
func (s *sim) entry(i int) {
	p := s.parties[s.rnd.IntN(len(s.parties))]
	at := fmt.Sprintf("/r/%d", i)
	d := simDraft(p.name, at, "old", "new")
	want := "undone"
	switch p.put(at, "new"); s.rnd.IntN(8) {
	case 0: // somebody else changes it
		p.put(at, "foreign")
		want = "stuck drifted"
	case 1: // a protection
		d.OnRollback, want = ledger.OnRollbackRetain, "applied"
	case 2: // announced, and it never happened
		p.put(at, "old")
		d.State, d.Perform, want = ledger.EntryIntended, time.Duration(1+s.rnd.IntN(90))*time.Second, "void"
	case 3: // announced, it happened, and nobody said so
		d.State, d.Perform = ledger.EntryIntended, time.Duration(1+s.rnd.IntN(90))*time.Second
	case 4: // a fact that arrives while the rollback runs
		s.late = append(s.late, d)
		return
	}
	if s.rnd.IntN(2) == 0 && len(s.recorded) > 0 && want != "stuck drifted" && want != "applied" {
		d.DependsOn = []uuid.UUID{s.recorded[s.rnd.IntN(len(s.recorded))]}
	}
	s.mustRecord(s.Context(), d, want)
}

func (s *sim) mustRecord(ctx context.Context, d ledger.Draft, want string) {
	got, err := s.ledger.Record(ctx, s.window, []ledger.Draft{d})
	if err != nil {
		s.Fatal(err)
	}
	s.want[got[0].Entry.ID] = want
	s.recorded = append(s.recorded, got[0].Entry.ID)
}

// postLate posts the late facts at random moments.
func (s *sim) postLate(rnd *rand.Rand) {
	for _, d := range s.late {
		time.Sleep(time.Duration(rnd.Int64N(int64(2 * time.Minute))))
		got, err := s.ledger.Record(context.WithValue(s.Context(), postingKey{}, true), s.window, []ledger.Draft{d})
		if err != nil {
			s.Errorf("a late fact was refused: %v", err)
			return
		}
		s.want[got[0].Entry.ID] = "undone or late"
	}
}

func simDraft(system, at, before, after string) ledger.Draft {
	doc := func(v string) ledger.Image { return ledger.Image{JSON: json.RawMessage(fmt.Sprintf(`{"v":%q}`, v))} }
	raw := func(format string) json.RawMessage { return json.RawMessage(fmt.Sprintf(format, at)) }
	return ledger.Draft{
		System: system, Kind: "http.request", Action: ledger.ActionUpdate, State: ledger.EntryApplied,
		Resource: raw(`{"path":%q}`), Before: doc(before), After: doc(after),
		Undo: raw(`{"method":"PUT","path":%q,"body":"{{before}}"}`), Read: raw(`{"method":"GET","path":%q}`),
	}
}

// check holds the end to the invariants.
func (s *sim) check(id uuid.UUID) {
	run, err := s.ledger.Rollback(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	if !run.State.Over() {
		s.Fatalf("the run is %s, %+v: it did not end after the trouble did", run.State, run.Waiting)
	}
	entries, err := s.ledger.Entries(s.Context(), ledger.EntryQuery{WindowID: s.window, Limit: 1000})
	if err != nil {
		s.Fatal(err)
	}
	open := false
	for i := range entries {
		open = open || !entries[i].Closed()
		s.checkEntry(&entries[i])
	}
	w, err := s.ledger.Window(s.Context(), s.window)
	if err != nil {
		s.Fatal(err)
	}
	if want := map[bool]ledger.WindowState{true: ledger.WindowStuck, false: ledger.WindowRolledBack}[open]; w.State != want {
		s.Errorf("the window is %s; something open: %v", w.State, open)
	}
	for _, p := range s.parties {
		p.checkOrder(s.T, entries)
	}
	s.checkDepends(entries)
	s.checkJournal(w, entries)
}

func (s *sim) checkEntry(e *ledger.Entry) {
	got := string(e.State)
	if e.State == ledger.EntryStuck {
		got += " " + string(e.Reason)
	}
	want, posted := s.want[e.ID]
	if !posted && e.Source == "final look" {
		want = "undone" // a lying read made it look as if an effect had turned up again
	}
	ok := got == want || want == "undone or late" && (got == "undone" || got == "stuck late")
	if !ok {
		s.Errorf("entry %d at %s is %s (%s), want %s", e.Seq, e.System, got, e.Detail, want)
	}
	i := slices.IndexFunc(s.parties, func(p *simParty) bool { return p.name == e.System })
	now, changes := s.parties[i].look(simPath(e))
	switch {
	case e.State == ledger.EntryUndone && (now != "old" || changes > 1):
		s.Errorf("entry %d is undone; the third party shows %s after %d changes", e.Seq, now, changes)
	case got == "stuck drifted" && (now != "foreign" || changes != 0), e.State == ledger.EntryApplied && changes != 0:
		s.Errorf("entry %d was to be left alone; the third party shows %s after %d changes", e.Seq, now, changes)
	}
}

// checkDepends holds the changes at all third parties to depends_on: what depends on an entry was undone before it.
func (s *sim) checkDepends(entries []ledger.Entry) {
	undone := func(id uuid.UUID) (seq int, at int64) {
		e := &entries[slices.IndexFunc(entries, func(e ledger.Entry) bool { return e.ID == id })]
		for _, p := range s.parties {
			if p.name == e.System {
				return e.Seq, p.changed(simPath(e))
			}
		}
		return e.Seq, 0
	}
	for i := range entries {
		for _, id := range entries[i].DependsOn {
			seq, first := undone(entries[i].ID)
			older, second := undone(id)
			if first > second && second > 0 && entries[i].Source != "final look" && !s.turnedUp(entries, &entries[i]) {
				s.Errorf("entry %d was undone before entry %d, which depends on it", older, seq)
			}
		}
	}
}

// turnedUp reports whether the effect of an entry was taken for one that had not happened, by a read that lied.
func (s *sim) turnedUp(entries []ledger.Entry, e *ledger.Entry) bool {
	return e.Late || slices.ContainsFunc(entries, func(o ledger.Entry) bool { return o.Source == "final look" && simPath(&o) == simPath(e) })
}

func simPath(e *ledger.Entry) string {
	var r struct{ Path string }
	_ = json.Unmarshal(e.Resource, &r)
	return r.Path
}

// checkJournal rebuilds the window from its journal alone.
func (s *sim) checkJournal(w *ledger.WindowView, entries []ledger.Entry) {
	records, err := s.ledger.Records(s.Context(), ledger.RecordQuery{WindowID: s.window, Limit: 100_000})
	if err != nil {
		s.Fatal(err)
	}
	var got ledger.Rebuilt
	for _, r := range records {
		if err := got.Apply(r); err != nil {
			s.Fatal(err)
		}
	}
	if got.Window.State != w.State || got.Window.Head != w.Head || len(got.Entries) != len(entries) {
		s.Errorf("the journal tells a window that is %s with %d entries", got.Window.State, len(got.Entries))
	}
	for i := range got.Entries {
		if g, e := &got.Entries[i], &entries[i]; g.State != e.State || g.Outcome != e.Outcome || len(g.Attempts) != len(e.Attempts) {
			s.Errorf("the journal tells that entry %d is %s", g.Seq, g.State)
		}
	}
}
