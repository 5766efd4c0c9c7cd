package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

var promotions = flag.Int("standby.promotions", 5, "how often TestSynchronousStandby loses the primary and promotes the standby")

// A paired is a real ledgerd on a PostgreSQL with a standby, and one third party.
type paired struct {
	*testing.T
	pair   *ledgertest.Pair
	third  *counting
	server *server
}

// newPaired starts one. more: lines of configuration.
func newPaired(t *testing.T, synchronous bool, more string) *paired {
	t.Helper()
	return newPairedOn(t, ledgertest.StartPair(t, synchronous), more)
}

func newPairedOn(t *testing.T, pair *ledgertest.Pair, more string) *paired {
	t.Helper()
	c := &paired{T: t, pair: pair, third: &counting{state: map[string]string{}}}
	web := httptest.NewServer(c.third)
	t.Cleanup(web.Close)
	c.server = newServerAt(t, buildServer(t), web.URL, site{t.TempDir(), c.pair.URL()}, more)
	c.server.start()
	return c
}

// patience is how long something may take before it counts as never: no test is about how fast it is.
const patience = 2 * time.Minute

// await asks until something is so.
func (c *paired) await(what string, isFunc func() bool) {
	c.Helper()
	for limit := time.Now().Add(patience); !isFunc(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			c.Fatalf("never: %s", what)
		}
	}
}

// durability is what /readyz and an answer to a record say.
func (c *paired) durability() (ready, answer string) {
	c.Helper()
	a, err := c.server.client.Send(c.Context(), client.Call{Method: "GET", Path: "/readyz"})
	if err != nil {
		c.Fatal(err)
	}
	for _, d := range []ledger.Durability{ledger.DurabilityLocal, ledger.DurabilityReplicated} {
		if strings.Contains(string(a.Body), fmt.Sprintf(`"durability":%q`, d)) {
			ready = string(d)
		}
	}
	body, err := json.Marshal(putDraft("/durable"))
	if err != nil {
		c.Fatal(err)
	}
	a, err = c.server.client.Send(c.Context(), client.Call{Method: "POST", Path: "/v1/windows/" + c.open("durable") + "/entries", Body: body})
	if err != nil {
		c.Fatal(err)
	}
	return ready, a.Header.Get(wire.HeaderDurability)
}

func (c *paired) open(name string) string {
	c.Helper()
	w, err := c.server.client.OpenWindow(c.Context(), wire.WindowDraft{Name: name})
	if err != nil {
		c.Fatal(err)
	}
	return w.ID
}

// Recorders record into one window, each entry until it is answered, and keep what was.
type recorders struct {
	*paired
	window string
	end    chan struct{}
	wg     sync.WaitGroup

	mu    sync.Mutex
	acked map[string]bool
	again int // records that were sent once more
}

func (c *paired) startRecording(window string, clients int) *recorders {
	r := &recorders{paired: c, window: window, end: make(chan struct{}), acked: map[string]bool{}}
	for n := range clients {
		r.wg.Go(func() {
			for i := 0; ; i++ {
				d := putDraft(fmt.Sprintf("/%s/%d-%d", window, n, i))
				d.ID = ledger.NewID().String()
				select {
				case <-r.end:
					return
				case <-time.After(5 * time.Millisecond):
				}
				r.record(d)
			}
		})
	}
	return r
}

// record sends one entry until it is answered, or nobody wants to know.
func (r *recorders) record(d wire.EntryDraft) {
	for {
		e, err := r.server.client.Record(r.Context(), r.window, d)
		r.mu.Lock()
		if err == nil {
			r.acked[e.ID] = true
		} else {
			r.again++
		}
		r.mu.Unlock()
		if err == nil {
			return
		}
		select {
		case <-r.end:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *recorders) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.acked)
}

// more waits until n more records were answered.
func (r *recorders) more(n int) {
	r.Helper()
	want := r.count() + n
	r.await("more records are answered", func() bool { return r.count() >= want })
}

// With a synchronous standby the primary is lost, again and again, while clients record and a rollback is in the middle of an undo:
// no record that was answered is lost, the rollback ends, and nothing is undone twice.
func TestSynchronousStandby(t *testing.T) {
	t.Parallel()
	newPaired(t, true, "").losesPrimaries(*promotions)
}

// The same through a PgBouncer in transaction mode, which is told after each promotion where the primary is. Connections do not break
// then, and nobody tells ledgerd.
func TestSynchronousStandbyBehindPgBouncer(t *testing.T) {
	t.Parallel()
	pair := ledgertest.StartPair(t, true)
	pair.Bounce()
	newPairedOn(t, pair, "").losesPrimaries(min(2, *promotions))
}

func (c *paired) losesPrimaries(times int) {
	c.Helper()
	window := c.open("recorded")
	c.await("replicated", func() bool {
		ready, answer := c.durability()
		return ready == "replicated" && answer == "replicated"
	})
	r := c.startRecording(window, 4)
	for n := range times {
		c.promote(n, r)
	}
	close(r.end)
	r.wg.Wait()
	c.Logf("%d records answered, %d sent again", len(r.acked), r.again)
	c.server.checkRecorded(window, r.acked)
	c.server.run("verify")
}

// promote loses the primary in the middle of an undo and of records, and promotes the standby.
func (c *paired) promote(n int, r *recorders) {
	c.Helper()
	const undos = 6
	window := c.open(fmt.Sprint("promotion ", n))
	for i := range undos {
		at := fmt.Sprintf("/%s/%d", window, i)
		c.third.set(at, `{"v":"new"}`)
		if _, err := c.server.client.Record(c.Context(), window, putDraft(at)); err != nil {
			c.Fatal(err)
		}
	}
	reached, answer := make(chan struct{}), make(chan struct{})
	c.third.holdPut(3, reached, answer)
	run, err := c.server.client.StartRollback(c.Context(), window, wire.RollbackRequest{Reason: "r"}, 0)
	if err != nil {
		c.Fatal(err)
	}
	<-reached
	r.more(8)
	lost := time.Now()
	c.pair.Lose()
	c.pair.Promote()
	promoted := time.Since(lost)
	c.pair.Rejoin() // until then every commit waits
	rejoined := time.Since(lost)
	r.more(8)
	c.Logf("promotion %d: promoted after %v, a standby again after %v, records again after %v", n, promoted.Round(time.Millisecond),
		rejoined.Round(time.Millisecond), time.Since(lost).Round(time.Millisecond))
	close(answer)
	c.await("the rollback ends", func() bool {
		now, err := c.server.client.Rollback(c.Context(), run.ID)
		return err == nil && now.Over() && now.Complete
	})
	calls := c.third.take()
	seen := map[string]bool{}
	for _, at := range calls {
		if seen[at] {
			c.Errorf("%s was undone twice", at)
		}
		seen[at] = true
	}
	if len(calls) != undos {
		c.Errorf("%d undos of %d entries: %v", len(calls), undos, calls)
	}
	c.await("replicated again", func() bool { ready, _ := c.durability(); return ready == "replicated" })
}

// An asynchronous standby lacks the last records when it is promoted. The ledger finds out by itself, or by what a client kept, and takes
// nothing more; `ledgerd recover` brings it back.
func TestAsynchronousStandby(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		mirror  bool
		restart bool // ledgerd is started anew between: its memory is gone too
	}{{"mirror", true, false}, {"memory", false, false}, {"restarted with the mirror", true, true}, {"restarted without", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			more := ""
			if c.mirror {
				more = "mirror: {folder: " + filepath.Join(t.TempDir(), "mirror") + "}\n"
			}
			newPaired(t, false, more).losesTheTail(c.mirror, c.restart)
		})
	}
}

// keeping returns a client that keeps heads, as the rollback command does.
func (c *paired) keeping() *client.Client {
	c.Helper()
	token := c.server.run("token", "create", "--role", "admin")
	k, err := client.New(client.Config{URL: c.server.url, Token: token, Tries: 1, Heads: &keptHeads{}})
	if err != nil {
		c.Fatal(err)
	}
	return k
}

const kept, tail = 3, 4 // records that the standby has, and has not

func (c *paired) losesTheTail(mirror, restart bool) {
	c.Helper()
	k := c.keeping()
	window := c.open("tail")
	acked := map[string]bool{}
	record := func(n int) {
		for range n {
			at := fmt.Sprintf("/%d", len(acked))
			c.third.set(at, `{"v":"new"}`)
			e, err := k.Record(c.Context(), window, putDraft(at))
			if err != nil {
				c.Fatal(err)
			}
			acked[e.ID] = true
		}
	}
	record(kept)
	if ready, answer := c.durability(); ready != "local" || answer != "local" {
		c.Errorf("/readyz says %s, an answer %s", ready, answer)
	}
	c.pair.Followed()
	c.pair.Hold()
	record(tail)
	if restart {
		c.server.kill()
	}
	lost := time.Now()
	c.pair.Lose()
	c.pair.Promote()
	promoted := time.Now()
	if restart {
		c.server.launch()
	}
	c.await("safe mode", func() bool {
		if restart && !mirror { // nobody but the client knows
			_, _ = k.Window(c.Context(), window)
		}
		return inSafeMode(c.server.client.Ready(c.Context()))
	})
	c.Logf("promoted after %v, safe mode %v later", promoted.Sub(lost).Round(time.Millisecond), time.Since(promoted).Round(time.Millisecond))
	if _, err := k.Record(c.Context(), window, intent("/refused")); !inSafeMode(err) {
		c.Errorf("an intent in safe mode: %v", err)
	}
	c.server.kill()
	c.recovered(window, mirror, acked)
}

// recovered runs ledgerd recover and holds the ledger to what can be there.
func (c *paired) recovered(window string, mirror bool, acked map[string]bool) {
	c.Helper()
	status, talk := c.server.ends("recover")
	want := kept + tail
	if !mirror {
		if status != exitPerson || !strings.Contains(talk, "nothing was changed") {
			c.Fatalf("recovered what is lost: %d %s", status, talk)
		}
		status, talk = c.server.ends("recover", "--accept-loss")
		want = kept
	}
	if status != 0 {
		c.Fatalf("recover ended with %d: %s", status, talk)
	}
	c.server.start()
	if !mirror {
		acked = map[string]bool{}
	}
	if seqs := c.server.checkRecorded(window, acked); len(seqs) != want {
		c.Errorf("%d entries, want %d", len(seqs), want)
	}
	c.server.finish(window)
	if calls := c.third.take(); len(calls) != want {
		c.Errorf("%d undos of %d entries: %v", len(calls), want, calls)
	}
	c.server.run("verify")
}

// ends runs a subcommand and returns its exit status and what it said.
func (s *server) ends(args ...string) (status int, talk string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary, append(args, "--config", s.config)...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stderr = s.dir, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}
