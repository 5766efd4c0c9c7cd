package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sideledger/api"
	"sideledger/api/client"
	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/ledger/sqlstore/sqlstoretest"
	"sideledger/remediators"
)

// machineLimits are how many examples TestMachine draws, how long they are on average and from which seed, unless the flags
// say otherwise: `make machine` draws more, and others each time.
func machineLimits(t *testing.T) {
	t.Helper()
	for name, n := range map[string]int{"rapid.checks": 30 / map[bool]int{false: 1, true: 5}[raceDetector], "rapid.steps": 70, "rapid.seed": 1} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			if err := f.Value.Set(strconv.Itoa(n)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Random operations of the API, of third parties, of the clock and of the runner, each beside a model that says what
// the answer and the states have to be. A failing example is made small and kept in testdata/rapid; it is played again
// with -rapid.failfile=FILE, or -rapid.seed=N.
func TestMachine(t *testing.T) {
	t.Parallel()
	machineLimits(t)
	file := filepath.Join(ledgertest.MemoryDir(t), "l.db")
	rapid.Check(t, func(rt *rapid.T) {
		url := "sqlite:" + file
		if ledgertest.OnPostgres(t) {
			url = migratedPostgres(rt)
		} else {
			for _, suffix := range []string{"-wal", "-shm"} {
				_ = os.Remove(file + suffix)
			}
			sqlstoretest.Write(t, file)
		}
		rapid.SyncTest(rt, func(rt *rapid.T) {
			m := newMachine(rt, url)
			defer m.close()
			m.openWindow()
			rt.Repeat(m.actions())
			m.end()
		})
	})
}

// A machine is a ledger with its API, its runner and two third parties, all in one bubble of simulated time, and the
// model beside them.
type machine struct {
	*rapid.T
	model    *model
	parties  []*simParty
	store    *mortalStore
	registry *remediators.Registry
	ledger   *ledger.Ledger
	waker    *runner.Waker
	api      *api.API
	server   *http.Server
	client   *client.Client
	values   int             // made so far: no two effects leave the same behind
	touched  map[string]bool // resources that were changed behind the ledger's back, or are meant to stay as they are
	whims    whims
	parallel int    // of the rollback that is asked for
	beside   bool   // some rollback has undone at several systems at once
	stop     func() // ends the runner's life
}

// whims say what goes wrong with the calls to the third parties.
type whims struct {
	mu     sync.Mutex
	away   map[string]bool // those that do not answer
	loses  int             // answers that are still lost
	shaken bool            // something has to be tried again after a while
	dies   string          // the runner, at the next undo: "before" or "after" that had its effect; empty: it does not
	stop   func()          // makes it die
}

func (w *whims) set(fn func(*whims)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn(w)
}

// next says what goes wrong with a call.
func (w *whims) next(name, method string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.away[name]:
		return "gone"
	case method == http.MethodPut && w.dies != "":
		w.stop()
		return map[string]string{"before": "drop", "after": "lost"}[w.dies]
	case w.loses > 0:
		w.loses--
		w.shaken = true
		return "lost"
	}
	return ""
}

func newMachine(t *rapid.T, url string) *machine {
	m := &machine{
		T: t, waker: runner.NewWaker(), touched: map[string]bool{}, stop: func() {},
		model: &model{shows: map[string]string{}, away: map[string]bool{}}, whims: whims{away: map[string]bool{}},
	}
	quiet := slog.New(slog.DiscardHandler)
	store, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: url, Clock: time.Now, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	m.store = &mortalStore{Store: store}
	systems := map[string]remediators.SystemConfig{}
	for _, name := range []string{"party0", "party1"} {
		p := newSimParty(1, name)
		p.whimFunc = func(method string) string { return m.whims.next(name, method) }
		m.parties = append(m.parties, p)
		systems[name] = remediators.SystemConfig{Remediator: "http", URL: "http://" + name + ".test", Retry: remediators.RetryConfig{Cap: 2 * time.Second}}
	}
	m.registry, _, err = remediators.NewRegistry(remediators.Options{
		Systems: systems, Factories: factories(), Clock: time.Now, Log: quiet, Getenv: func(string) string { return "" },
		DialFunc: func(ctx context.Context, _, address string) (net.Conn, error) {
			return dialParty(ctx, m.parties, address)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.ledger = ledger.New(ledger.Config{Store: m.store, Systems: m.registry, Clock: time.Now, Log: quiet, Waker: m.waker})
	m.serve(quiet)
	m.liveRunner()
	return m
}

// serve starts the API over connections in memory, and the client.
func (m *machine) serve(quiet *slog.Logger) {
	var err error
	if m.api, err = api.New(api.Config{Ledger: m.ledger, Log: quiet, Clock: time.Now}); err != nil {
		m.Fatal(err)
	}
	m.server = m.api.Server()
	m.server.BaseContext = func(net.Listener) context.Context { // it outlives the runner
		return context.WithValue(context.Background(), postingKey{}, true)
	}
	listener := newPipeListener()
	go func() { _ = m.server.Serve(listener) }()
	secret, _, err := m.ledger.CreateToken(m.Context(), ledger.Token{Role: ledger.RoleAdmin})
	if err != nil {
		m.Fatal(err)
	}
	m.client, err = client.New(client.Config{URL: "http://ledger.test", Token: secret, Tries: 1, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.dial(ctx) },
	}})
	if err != nil {
		m.Fatal(err)
	}
}

// liveRunner starts a runner, whose life ends at m.stop: from then on nothing it does reaches the store.
func (m *machine) liveRunner() {
	life := m.store.revive()
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = func() {
		m.store.die(life)
		cancel()
	}
	r := runner.New(runner.Config{
		Ledger: m.ledger, Waker: m.waker, Clock: time.Now, Log: slog.New(slog.DiscardHandler), Sole: true,
		JitterFunc: func(d time.Duration) time.Duration { return d },
	})
	go r.Run(ctx)
	m.model.alive = true
	m.whims.set(func(w *whims) { w.stop = m.stop })
}

func (m *machine) close() {
	m.stop()
	_ = m.api.Shutdown(context.Background(), m.server)
	for _, p := range m.parties {
		p.close()
	}
	m.registry.Close()
	synctest.Wait()
	if err := m.store.Store.(*sqlstore.Store).Close(); err != nil {
		m.Error(err)
	}
}

// settle lets everything that can happen now happen, here and in the model.
func (m *machine) settle() {
	synctest.Wait()
	m.wakePartial()
	alive, shaken := m.model.alive, false
	m.whims.set(func(w *whims) { shaken, w.shaken, w.loses, w.dies = w.shaken, false, 0, "" })
	if shaken {
		m.sleep(20 * time.Second)
	}
	m.model.work(time.Now())
	if m.model.dies = ""; alive && !m.model.alive {
		m.die()
	}
}

// wakePartial lets partial runs look again. What scripts record beside them does not wake them, though it may hold what
// they wait for; they find out within half a minute.
func (m *machine) wakePartial() {
	list, err := m.ledger.Unfinished(m.Context())
	if err != nil {
		m.Fatal(err)
	}
	for _, r := range list {
		if r.Partial() {
			m.waker.Wake(r)
		}
	}
	synctest.Wait()
}

func (m *machine) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// die ends the runner for good, and lets its lease run out.
func (m *machine) die() {
	m.stop()
	m.model.alive = false
	m.sleep(2 * ledger.LeaseTime)
}

// send makes a call and holds its status to what the model says. Answered is read into out, unless it is nil.
func (m *machine) send(path string, body any, want int, out any) {
	m.Helper()
	raw, err := client.Encode(body)
	if err != nil {
		m.Fatal(err)
	}
	call := client.Call{Method: http.MethodPost, Path: path, Key: client.NewKey(), Body: raw}
	got, answer := m.ask(call)
	if got != want {
		m.failf("POST %s %s answered %d %s, the model says %d", path, raw, got, answer.Body, want)
	}
	if got < 300 && out != nil {
		if err := json.Unmarshal(answer.Body, out); err != nil {
			m.Fatal(err)
		}
	}
	kept := got < 300 || got == http.StatusConflict || got == http.StatusUnprocessableEntity
	if kept && rapid.IntRange(0, 5).Draw(m.T, "again") == 5 {
		m.again(call, got, answer)
	}
}

// ask makes a call and returns the status of its answer.
func (m *machine) ask(call client.Call) (int, *client.Answer) {
	m.Helper()
	answer, err := m.client.Send(m.Context(), call)
	var refused *client.Error
	switch {
	case err == nil:
		return answer.Status, answer
	case errors.As(err, &refused):
		return refused.Status, &client.Answer{Body: []byte(refused.Error())}
	}
	m.failf("%s %s: %v", call.Method, call.Path, err)
	return 0, nil
}

// again makes a call a second time under its key, which brings the first answer, and with another body, which is
// refused. Neither changes anything, as the next look at everything will show.
func (m *machine) again(call client.Call, want int, first *client.Answer) {
	m.Helper()
	got, second := m.ask(call)
	if got != want || got < 300 && !second.Replayed {
		m.failf("%s again answered %d, replayed: %v, at first %d", call.Path, got, second.Replayed, want)
	}
	if waits := filepath.Base(call.Path) == "resolve"; got < 300 && !waits && !bytes.Equal(first.Body, second.Body) {
		m.failf("%s answered %s, and again %s", call.Path, first.Body, second.Body)
	}
	call.Body = json.RawMessage(`{"reason":"another"}`)
	if got, _ := m.ask(call); got != http.StatusUnprocessableEntity {
		m.failf("%s with its key and another body answered %d", call.Path, got)
	}
}

var anyID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// failf fails the example, with no id in what it says: a failure has to look the same when it is played again.
func (m *machine) failf(format string, args ...any) {
	m.Helper()
	m.Fatal(anyID.ReplaceAllString(fmt.Sprintf(format, args...), "ID"))
}

func (m *machine) get(path string, out any) {
	m.Helper()
	status, answer := m.ask(client.Call{Method: http.MethodGet, Path: path})
	if status != http.StatusOK {
		m.failf("GET %s answered %d", path, status)
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		m.Fatal(err)
	}
}

// put changes a resource at its third party, and in the model.
func (m *machine) put(e *modelEntry, v string) {
	for _, p := range m.parties {
		if p.name == e.system {
			p.put(e.at, v)
		}
	}
	m.model.shows[e.at] = v
}

func (m *machine) value() string {
	m.values++
	return fmt.Sprintf("v%d", m.values)
}
