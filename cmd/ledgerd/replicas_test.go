package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger"
)

// A fleet is three real ledgerd on one PostgreSQL, with one third party and one mirror.
type fleet struct {
	*testing.T
	third  *counting
	list   []*server
	system string // that entries are recorded at
}

// newFleet starts three replicas over a database, with more systems than the one. They run in one folder, which stands for the key files that an operator
// gives to each.
func newFleet(t *testing.T, database string, systems ...string) *fleet {
	t.Helper()
	return newFleetWith(t, database, func(*counting) string { return strings.Join(systems, "") })
}

// newFleetWith starts them with more systems in their configuration.
func newFleetWith(t *testing.T, database string, systemsFunc func(third *counting) string) *fleet {
	t.Helper()
	f := &fleet{T: t, third: &counting{state: map[string]string{}}, system: "sys"}
	web := httptest.NewServer(f.third)
	t.Cleanup(web.Close)
	at := site{t.TempDir(), database}
	more := systemsFunc(f.third) + "mirror: {folder: " + filepath.Join(t.TempDir(), "mirror") + "}\n"
	for range 3 {
		f.list = append(f.list, newServerAt(t, buildServer(t), web.URL, at, more))
	}
	var wg sync.WaitGroup
	for _, s := range f.list {
		wg.Go(func() { s.start() }) // at once: what a first start makes is made once
	}
	wg.Wait()
	return f
}

func (f *fleet) open(name string) string {
	f.Helper()
	w, err := f.list[0].client.OpenWindow(f.Context(), wire.WindowDraft{Name: name})
	if err != nil {
		f.Fatal(err)
	}
	return w.ID
}

// record records n entries of one client, the i-th at replica i modulo three, and returns their paths in order.
func (f *fleet) record(window, who string, n int) []string {
	var list []string
	for i := range n {
		at := fmt.Sprintf("/%s/%s-%d", window, who, i)
		f.third.set(at, `{"v":"new"}`)
		d := putDraft(at)
		d.System = f.system
		if _, err := f.list[i%len(f.list)].client.Record(f.Context(), window, d); err != nil {
			f.Error(err)
			return list
		}
		list = append(list, at)
	}
	return list
}

// A claim is a rollback that a replica has taken, and the lease that it got.
type claim struct {
	rollback string
	epoch    int64
}

// claims returns what a replica has claimed, in order, as its log tells.
func (s *server) claims() []claim {
	raw, err := os.ReadFile(s.log.Name())
	if err != nil {
		s.t.Fatal(err)
	}
	var out []claim
	for in := bufio.NewScanner(bytes.NewReader(raw)); in.Scan(); {
		var line struct {
			Msg        string `json:"msg"`
			RollbackID string `json:"rollback_id"`
			Epoch      int64  `json:"epoch"`
		}
		if json.Unmarshal(in.Bytes(), &line) == nil && line.Msg == "rollback claimed" {
			out = append(out, claim{line.RollbackID, line.Epoch})
		}
	}
	return out
}

// claimed reports whether a replica has claimed a run.
func (s *server) claimed(run string) bool {
	return slices.ContainsFunc(s.claims(), func(c claim) bool { return c.rollback == run })
}

// holder returns the replica that has claimed a run, but not one of these; it waits for that.
func (f *fleet) holder(run string, but ...*server) *server {
	f.Helper()
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		for _, s := range f.list {
			if !slices.Contains(but, s) && s.claimed(run) {
				return s
			}
		}
	}
	f.Fatal("nobody claims the run")
	return nil
}

// over waits for the end of a run at some replica.
func (f *fleet) over(s *server, id string) *wire.Rollback {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
	defer cancel()
	err := s.client.RollbackEvents(ctx, id, client.Watch{}, func(wire.Event) error { return nil })
	if err != nil {
		f.Fatalf("the run does not end: %v", err)
	}
	run, err := s.client.Rollback(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	return run
}

// Three replicas take records into one window: the numbers have no gaps, each client's order is kept, every replica tells the
// same, the chains and the mirror are whole, and fifty triggers at all of them are one run.
func TestReplicasShareAWindow(t *testing.T) {
	t.Parallel()
	newFleet(t, postgres.Database(t)).shareAWindow()
}

// The same with a PgBouncer in transaction mode between.
func TestReplicasBehindPgBouncer(t *testing.T) {
	t.Parallel()
	f := newFleet(t, postgres.Bouncer(t)(postgres.Database(t)))
	f.shareAWindow()
	f.dies(syscall.SIGKILL)
}

func (f *fleet) shareAWindow() {
	f.Helper()
	window := f.open("shared")
	const clients, each = 8, 12
	order := make([][]string, clients)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() { order[c] = f.record(window, fmt.Sprint(c), each) })
	}
	wg.Wait()
	var seqs map[string]int
	for _, s := range f.list {
		seqs = s.checkRecorded(window, map[string]bool{})
		if len(seqs) != clients*each {
			f.Fatalf("%d entries, want %d", len(seqs), clients*each)
		}
	}
	for _, paths := range order {
		if !slices.IsSortedFunc(paths, func(a, b string) int { return seqs[a] - seqs[b] }) {
			f.Errorf("the order of one client was not kept: %v", paths)
		}
	}
	runs := f.trigger(window, 50)
	if len(runs) != 1 {
		f.Fatalf("%d runs", len(runs))
	}
	for id := range runs {
		f.over(f.list[2], id)
	}
	f.list[1].checkUndone(window, f.third.take(), seqs)
	for _, s := range f.list {
		if _, err := s.client.Head(f.Context()); err != nil { // each signs when it is asked
			f.Errorf("head: %v", err)
		}
	}
	f.list[0].run("verify")
	if made, _ := filepath.Glob(filepath.Join(f.list[0].dir, "*.admin-token")); len(made) != 0 { // newServerAt made one before
		f.Errorf("tokens were made that nobody asked for: %v", made)
	}
}

// trigger starts rollbacks of one window at all replicas at once, and returns the ids of the runs.
func (f *fleet) trigger(window string, n int) map[string]bool {
	var mu sync.Mutex
	var wg sync.WaitGroup
	ids := map[string]bool{}
	for i := range n {
		wg.Go(func() {
			r, err := f.list[i%len(f.list)].client.StartRollback(f.Context(), window, wire.RollbackRequest{Reason: "r"}, 0)
			if err != nil {
				f.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[r.ID] = true
		})
	}
	wg.Wait()
	return ids
}

// What one replica records reaches a reader who follows the window at another one; a word that is said at another replica reaches
// the run.
func TestReplicasTellEachOther(t *testing.T) {
	t.Parallel()
	f := newFleet(t, postgres.Database(t))
	window := f.open("told")
	seen := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = f.list[2].client.WindowEvents(ctx, window, client.Watch{}, func(e wire.Event) error {
			seen <- e.Kind
			return nil
		})
	}()
	if first := <-seen; first != "window.opened" {
		t.Fatalf("%s", first)
	}
	if _, err := f.list[0].client.Record(t.Context(), window, intent("/later")); err != nil {
		t.Fatal(err)
	}
	if next := <-seen; !strings.HasPrefix(next, "entry.") {
		t.Errorf("%s", next)
	}
	// The run waits for the word on the intent, and its walk sleeps. The word is said at each of the others.
	run, err := f.list[0].client.StartRollback(t.Context(), window, wire.RollbackRequest{Reason: "r"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	busy := f.holder(run.ID)
	for kind := range seen {
		if kind == "rollback.waiting" {
			break
		}
	}
	list, err := f.list[0].client.Entries(t.Context(), window, client.EntryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	other := f.list[(slices.Index(f.list, busy)+1)%len(f.list)]
	said := time.Now()
	if _, err := other.client.Void(t.Context(), list.Items[0].ID, "it never happened"); err != nil {
		t.Fatal(err)
	}
	if r := f.over(other, run.ID); !r.Complete || r.Counts.Void != 1 {
		t.Errorf("%+v", r)
	}
	t.Logf("a word at another replica: the run is over after %v", time.Since(said).Round(time.Millisecond))
}

// intent is an entry whose effect was announced for an hour.
func intent(at string) wire.EntryDraft {
	d := putDraft(at)
	d.State, d.PerformWithin = "intended", "1h"
	return d
}

// The replica that runs a rollback is killed, or stopped, in the middle of an undo that has reached the third party:
// another one goes on, looks before it sends, and sends nothing twice. The one that was stopped wakes up and
// writes nothing but its evidence.
func TestReplicaDies(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			newFleet(t, postgres.Database(t)).dies(sig)
		})
	}
}

// dies lets the replica die that runs a rollback.
func (f *fleet) dies(sig syscall.Signal) {
	f.Helper()
	window := f.open("taken over")
	f.record(window, "c", 6)
	reached, answer := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(answer) })
	defer release() // a test that fails ends too
	f.third.holdPut(3, reached, answer)
	run, err := f.list[0].client.StartRollback(f.Context(), window, wire.RollbackRequest{Reason: "r"}, 0)
	if err != nil {
		f.Fatal(err)
	}
	<-reached
	first := f.holder(run.ID)
	died := time.Now()
	if err := first.cmd.Process.Signal(sig); err != nil {
		f.Fatal(err)
	}
	second := f.holder(run.ID, first)
	took := time.Since(died)
	f.Logf("%v: another replica has the run after %v", sig, took.Round(time.Millisecond))
	if took > 3*ledger.LeaseTime { // 10 s are promised; a loaded machine has some more
		f.Errorf("it took %v", took)
	}
	if r := f.over(second, run.ID); !r.Complete {
		f.Errorf("%+v", r)
	}
	head := f.headOf(second, window)
	release()
	if sig == syscall.SIGSTOP {
		f.wakes(first, second, window, head)
	}
	if calls := f.third.take(); len(calls) != 6 {
		f.Errorf("%d undos of 6 entries: %v", len(calls), calls)
	}
	second.run("verify")
}

// errEnough ends a stream.
var errEnough = errors.New("enough")

// headOf returns the number of the last record of a window's journal.
func (f *fleet) headOf(s *server, window string) int64 {
	f.Helper()
	w, err := s.client.Window(f.Context(), window)
	if err != nil {
		f.Fatal(err)
	}
	return w.Head.Number
}

// wakes lets a replica that was stopped go on, and holds it to writing what it knew as evidence, and nothing else.
func (f *fleet) wakes(first, second *server, window string, head int64) {
	f.Helper()
	if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
	defer cancel()
	var kinds []string
	_ = second.client.WindowEvents(ctx, window, client.Watch{After: head}, func(e wire.Event) error {
		kinds = append(kinds, e.Kind)
		return errEnough
	})
	if !slices.Equal(kinds, []string{"evidence"}) {
		f.Errorf("the replica that woke up wrote %v", kinds)
	}
	// It is a replica as any other again.
	again := f.open("after")
	if _, err := first.client.Record(f.Context(), again, putDraft("/after")); err != nil {
		f.Error(err)
	}
	if now := f.headOf(second, window); now != head+1 {
		f.Errorf("%d records were written since, want 1", now-head)
	}
}
