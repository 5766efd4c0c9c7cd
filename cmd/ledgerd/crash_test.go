package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger/ledgertest"
)

// crashRounds is how often the server is killed while it records, and once more while it rolls back.
// With the race detector, which does not look into the real binary, a few do; and on PostgreSQL, where the lease of a killed
// server stands for 6 s.
func crashRounds(t *testing.T) int {
	switch {
	case ledgertest.OnPostgres(t):
		return 8
	case raceDetector:
		return 10
	}
	return 100
}

// A server is the real ledgerd, killed and started again on the same ledger.
type server struct {
	t      *testing.T
	binary string
	dir    string
	config string
	url    string
	client *client.Client
	cmd    *exec.Cmd
	log    *os.File

	parallel int               // at how many systems at once its runs undo; 0: at one
	systems  map[string]string // by path, of the entries that checkRecorded saw
}

// built is both commands as they are shipped, built once for all tests; TestMain removes them.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	m.Run()
	if err := errors.Join(postgres.Stop(), os.RemoveAll(built.dir)); err != nil {
		panic(err)
	}
}

// postgres is one cluster for all tests of this package that are not about its disk; TestMain stops it.
var postgres ledgertest.Postgres

// buildServer returns ledgerd as it is shipped.
func buildServer(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "ledgerd"); built.err == nil { //nolint:usetesting // outlives the test
			built.err = buildInto(built.dir, ".", "../rollback")
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "ledgerd")
}

// buildTool returns the rollback command as it is shipped.
func buildTool(t *testing.T) string {
	t.Helper()
	return filepath.Join(filepath.Dir(buildServer(t)), "rollback")
}

// buildChanged returns ledgerd built with a flag of go build.
func buildChanged(t *testing.T, flag string) string {
	t.Helper()
	dir := t.TempDir()
	if err := buildInto(dir, flag, "."); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "ledgerd")
}

// buildInto runs go build with more arguments, without what debuggers need, which half of the time to link goes into.
func buildInto(dir string, args ...string) error {
	args = append([]string{"build", "-ldflags=-s -w", "-o", dir + "/"}, args...)
	if out, err := exec.CommandContext(context.Background(), "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// newServer writes a configuration with one system and makes a token; the server is not started.
func newServer(t *testing.T, binary, thirdURL string) *server {
	t.Helper()
	return newServerIn(t, binary, thirdURL, t.TempDir(), "")
}

// newServerIn is newServer with the ledger in folder, or, below TestOnPostgres, in a database there, and with more lines of
// configuration.
func newServerIn(t *testing.T, binary, thirdURL, folder, more string) *server {
	t.Helper()
	database := "sqlite:" + filepath.Join(folder, "ledger.db")
	if ledgertest.OnPostgres(t) {
		database = migratedPostgres(t)
	}
	return newServerAt(t, binary, thirdURL, site{t.TempDir(), database}, more)
}

// A site is the folder that a server runs in, and where its ledger is.
type site struct{ dir, database string }

// newServerAt is newServerIn with the ledger anywhere.
func newServerAt(t *testing.T, binary, thirdURL string, at site, more string) *server {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	own := at.dir
	if _, err := os.Stat(filepath.Join(own, "ledgerd.yaml")); err == nil {
		own = t.TempDir() // of another replica in one folder
	}
	s := &server{t: t, binary: binary, dir: at.dir, config: filepath.Join(own, "ledgerd.yaml")}
	text := fmt.Sprintf("listen: %s\noutside_snapshot: true\ndatabase: %s\nsystems:\n  sys: {remediator: http, url: %q, allow_private: true, retry: {base: 10ms, cap: 200ms}}\n%s",
		address, at.database, thirdURL, more)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.log, err = os.Create(filepath.Join(own, "log")); err != nil {
		t.Fatal(err)
	}
	token := s.run("token", "create", "--role", "admin")
	s.url = "http://" + address
	if s.client, err = client.New(client.Config{URL: s.url, Token: token, Tries: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			raw, _ := os.ReadFile(s.log.Name())
			t.Logf("the server's log ends:\n%s", raw[max(0, len(raw)-4000):])
		}
	})
	return s
}

// run runs a subcommand to its end and returns its stdout.
func (s *server) run(args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.binary, append(args, "--config", s.config)...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stderr = s.dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("ledgerd %v: %v\n%s", args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// start starts the server and waits until it is ready.
func (s *server) start(args ...string) {
	s.t.Helper()
	s.launch(args...)
	limit := time.Now().Add(30 * time.Second)
	for s.client.Ready(s.t.Context()) != nil {
		if time.Now().After(limit) {
			s.t.Fatal("the server did not become ready")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// launch starts the server and does not wait for it.
func (s *server) launch(args ...string) {
	s.t.Helper()
	s.cmd = exec.Command(s.binary, append([]string{"serve", "--config", s.config}, args...)...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// kill ends the server as a power button does, and waits for the process to be gone.
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// A counting third party: documents by path, and every changing call in its order.
type counting struct {
	mu    sync.Mutex
	state map[string]string
	calls []string
	onPut func(at string) // called before a changing call has its effect; nil: nothing

	holdFunc func(calls int) // called once a changing call has had its effect, before it is answered; nil: nothing
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Method == http.MethodPut && c.onPut != nil {
		c.onPut(r.URL.Path)
	}
	doc, ok := c.effect(r, string(body))
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, doc)
}

// effect does what a call asks for and returns what is there then.
func (c *counting) effect(r *http.Request, body string) (doc string, ok bool) {
	c.mu.Lock()
	if r.Method == http.MethodPut {
		c.calls = append(c.calls, r.URL.Path)
		c.state[r.URL.Path] = body
	}
	doc, ok = c.state[r.URL.Path]
	hold, calls := c.holdFunc, len(c.calls)
	c.mu.Unlock()
	if hold != nil && r.Method == http.MethodPut {
		hold(calls)
	}
	return doc, ok
}

func (c *counting) set(at, doc string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state[at] = doc
}

// take returns the changing calls so far and forgets them.
func (c *counting) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.calls
	c.calls = nil
	return out
}

func putDraft(at string) wire.EntryDraft {
	doc := func(format string) json.RawMessage { return json.RawMessage(fmt.Sprintf(format, at)) }
	return wire.EntryDraft{
		ID: uuid.Must(uuid.NewV7()).String(), System: "sys", Kind: "http.request", Action: "update", State: "applied",
		Resource: doc(`{"path":%q}`), Before: json.RawMessage(`{"v":"old"}`), After: json.RawMessage(`{"v":"new"}`),
		Undo: doc(`{"method":"PUT","path":%q,"body":{"v":"old"},"success":{"status":[200]}}`),
		Read: doc(`{"method":"GET","path":%q,"present":[200],"absent":[404]}`),
	}
}

// ledgerd is killed at random moments while eight clients record, and again while it rolls back: nothing
// that was acknowledged is lost, nothing is undone twice, the order is kept, and every run finishes.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	third := &counting{state: map[string]string{}}
	web := httptest.NewServer(third)
	t.Cleanup(web.Close)
	newServerIn(t, buildServer(t), web.URL, t.TempDir(), sideSystems(web.URL)).killedAtRandom(third, crashRounds(t))
}

// crashSystems are the systems of a server that dies, which may undo at all of them at once.
var crashSystems = []string{"sys", "second", "third"}

// sideSystems configures those of them that are not there anyway. All are one third party.
func sideSystems(url string) (lines string) {
	for _, name := range crashSystems[1:] {
		lines += fmt.Sprintf("  %s: {remediator: http, url: %q, allow_private: true, retry: {base: 10ms, cap: 200ms}}\n", name, url)
	}
	return lines
}

func (s *server) killedAtRandom(third *counting, rounds int) {
	t := s.t
	rnd := rand.New(rand.NewPCG(20261122, 3))
	s.start()
	for round := range rounds {
		w, err := s.client.OpenWindow(t.Context(), wire.WindowDraft{Name: fmt.Sprintf("round %d", round)})
		if err != nil {
			t.Fatal(err)
		}
		acked := s.recordUntilKilled(third, w.ID, time.Duration(rnd.IntN(40))*time.Millisecond)
		s.start()
		seqs := s.checkRecorded(w.ID, acked)
		s.parallel = 1 + rnd.IntN(len(crashSystems))
		s.rollBackKilled(w.ID, time.Duration(rnd.IntN(60))*time.Millisecond)
		s.checkUndone(w.ID, third.take(), seqs)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// recordUntilKilled lets eight clients record until the server is killed after d, and returns the ids that
// were acknowledged.
func (s *server) recordUntilKilled(third *counting, window string, d time.Duration) map[string]bool {
	var mu sync.Mutex
	var wg sync.WaitGroup
	acked := map[string]bool{}
	for c := range 8 {
		wg.Go(func() {
			for i := range 8 {
				at := fmt.Sprintf("/%s/%d-%d", window, c, i)
				third.set(at, `{"v":"new"}`)
				draft := putDraft(at)
				draft.System = crashSystems[(c+i)%len(crashSystems)]
				e, err := s.client.Record(s.t.Context(), window, draft)
				if err != nil {
					return // killed: whether this one is there, nobody knows
				}
				mu.Lock()
				acked[e.ID] = true
				mu.Unlock()
			}
		})
	}
	time.Sleep(d)
	s.kill()
	wg.Wait()
	return acked
}

// checkRecorded holds the window to what was acknowledged and returns each path's number.
func (s *server) checkRecorded(window string, acked map[string]bool) map[string]int {
	s.t.Helper()
	seqs := map[string]int{}
	s.systems = map[string]string{}
	n := 0
	for e, err := range s.client.AllEntries(s.t.Context(), window, client.EntryQuery{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		n++
		if e.Seq != n {
			s.t.Errorf("entry %d has number %d", n, e.Seq)
		}
		delete(acked, e.ID)
		var r struct{ Path string }
		if err := json.Unmarshal(e.Resource, &r); err != nil {
			s.t.Fatal(err)
		}
		seqs[r.Path], s.systems[r.Path] = e.Seq, e.System
	}
	if len(acked) > 0 {
		s.t.Errorf("%d acknowledged records are lost", len(acked))
	}
	return seqs
}

// rollBackKilled starts a rollback, kills the server after d, starts it again and waits for the end.
func (s *server) rollBackKilled(window string, d time.Duration) {
	s.t.Helper()
	request := wire.RollbackRequest{Reason: "crash", Parallel: s.parallel}
	run, err := s.client.StartRollback(s.t.Context(), window, request, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	time.Sleep(d)
	s.kill()
	s.start()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	for run.State != "finished" {
		if run, err = s.client.StartRollback(ctx, window, request, 10*time.Second); err != nil {
			s.t.Fatalf("the run did not finish: %v", err)
		}
	}
	if !run.Complete {
		s.t.Errorf("the run is not complete: %+v", run.Counts)
	}
}

// checkUndone holds the changing calls to the order of the window: each once, newest first, in each system where several were
// undone at once.
func (s *server) checkUndone(window string, calls []string, seqs map[string]int) {
	s.t.Helper()
	last := map[string]int{}
	for _, at := range calls {
		in := ""
		if s.parallel > 1 {
			in = s.systems[at]
		}
		if before, ok := last[in]; ok && seqs[at] >= before {
			s.t.Errorf("entry %d was undone after entry %d, or twice", seqs[at], before)
		}
		last[in] = seqs[at]
	}
	if len(calls) != len(seqs) {
		s.t.Errorf("%d entries, %d undos", len(seqs), len(calls))
	}
	w, err := s.client.Window(s.t.Context(), window)
	if err != nil {
		s.t.Fatal(err)
	}
	if w.State != "rolled_back" || w.Counts.Undone != len(seqs) {
		s.t.Errorf("window %s, %+v", w.State, w.Counts)
	}
}

// holdPut lets the n-th changing call from now on have its effect, says that it has come, and answers it once told.
func (c *counting) holdPut(n int, reached, answer chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holdFunc = func(calls int) {
		if calls == n {
			close(reached)
			<-answer
		}
	}
}

// holdAll lets changing calls have their effect, says when n have come, and answers none before it is told.
func (c *counting) holdAll(n int, reached, answer chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holdFunc = func(calls int) {
		if calls == n {
			close(reached)
		}
		<-answer
	}
}
