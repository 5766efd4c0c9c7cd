package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sideledger/api/wire"
)

// nextSchema is a migration of a version to come: a column in each table that records and rollbacks write, a table and an index.
const nextSchema = `ALTER TABLE windows ADD COLUMN ahead text NOT NULL DEFAULT '';
--bun:split
ALTER TABLE entries ADD COLUMN ahead text;
--bun:split
ALTER TABLE attempts ADD COLUMN ahead integer NOT NULL DEFAULT 1;
--bun:split
ALTER TABLE rollbacks ADD COLUMN ahead text;
--bun:split
ALTER TABLE journal ADD COLUMN ahead integer NOT NULL DEFAULT 0;
--bun:split
CREATE TABLE ahead (name text PRIMARY KEY);
--bun:split
CREATE INDEX entries_ahead ON entries (window_id) WHERE ahead IS NOT NULL;
`

// buildNext returns the next version of ledgerd: the project's own source, with another version and one migration more.
func buildNext(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "next.sql")
	if err := os.WriteFile(file, []byte(nextSchema), 0o600); err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for _, dialect := range []string{"postgres", "sqlite"} {
		at, err := filepath.Abs(filepath.Join("../../migrations", dialect, "29991231000000_next.tx.up.sql"))
		if err != nil {
			t.Fatal(err)
		}
		replace[at] = file
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := buildInto(dir, "-ldflags=-s -w -X main.version=next", "-overlay="+overlay, "."); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "ledgerd")
}

// terminate ends the server as systemd and Kubernetes do, and waits for it.
func (s *server) terminate() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("SIGTERM: %v", err)
	}
	s.cmd = nil
}

// A recording goes on at a fleet whatever becomes of its replicas: what one does not answer is asked of the next one, with the
// same id, as a script does behind a load balancer.
type recording struct {
	f      *fleet
	window string
	stop   chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	acked  map[string]bool
}

func (f *fleet) keepRecording(window string, clients int) *recording {
	r := &recording{f: f, window: window, stop: make(chan struct{}), acked: map[string]bool{}}
	for c := range clients {
		r.wg.Go(func() { r.client(c) })
	}
	return r
}

func (r *recording) client(c int) {
	for i := 0; ; i++ {
		select {
		case <-r.stop:
			return
		default:
		}
		at := fmt.Sprintf("/%s/%d-%d", r.window, c, i)
		r.f.third.set(at, `{"v":"new"}`)
		draft := putDraft(at)
		ctx, cancel := context.WithTimeout(r.f.Context(), time.Minute)
		var err error
		for try := 0; try == 0 || err != nil && ctx.Err() == nil; try++ {
			_, err = r.f.list[(c+i+try)%len(r.f.list)].client.Record(ctx, r.window, draft)
		}
		cancel()
		if err != nil {
			r.f.Errorf("nobody takes a record: %v", err)
			return
		}
		r.mu.Lock()
		r.acked[draft.ID] = true
		r.mu.Unlock()
	}
}

// more waits until n more records are answered.
func (r *recording) more(n int) {
	r.f.Helper()
	r.mu.Lock()
	want := len(r.acked) + n
	r.mu.Unlock()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		have := len(r.acked)
		r.mu.Unlock()
		if have >= want {
			return
		}
		if time.Now().After(limit) {
			r.f.Fatalf("%d records in a minute, want %d", n-want+have, n)
		}
	}
}

func (r *recording) end() map[string]bool {
	close(r.stop)
	r.wg.Wait()
	return r.acked
}

// callsOf returns the changing calls at a window's paths, in order.
func (c *counting) callsOf(window string) (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.calls {
		if strings.HasPrefix(at, "/"+window+"/") {
			list = append(list, at)
		}
	}
	return list
}

// Three replicas are replaced by those of a version with a newer schema, one after the other, while four clients record and a
// rollback runs: nothing that was answered is lost, nothing is undone twice, the run goes to its end, and replicas of the older version
// work on beside the newer schema. One of these that is started again says why it does not.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	next := buildNext(t)
	f := newFleet(t, postgres.Database(t))
	old := f.list[0].binary
	back, live := f.open("goes back"), f.open("is recorded")
	f.record(back, "c", 12)
	reached, answer := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(answer) })
	defer release() // else a test that fails would not end
	f.third.holdPut(4, reached, answer)
	run, err := f.list[0].client.StartRollback(t.Context(), back, wire.RollbackRequest{Reason: "r"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	busy := f.holder(run.ID)
	records := f.keepRecording(live, 4)
	for i, s := range f.busyLast(busy) {
		s.terminate() // the one that has the run leaves an undo whose answer nobody has
		s.binary = next
		s.start()
		records.more(12)
		if i == 0 {
			f.rollBackBeside(busy)
		}
	}
	if r := f.over(f.list[0], run.ID); !r.Complete {
		t.Errorf("%+v", r)
	}
	release()
	f.list[2].checkUndone(back, f.third.callsOf(back), f.list[1].checkRecorded(back, map[string]bool{}))
	acked := records.end()
	all := f.list[0].checkRecorded(live, acked)
	for id := range f.trigger(live, 3) {
		f.over(f.list[1], id)
	}
	f.list[2].checkUndone(live, f.third.callsOf(live), all)
	f.list[0].run("verify")
	f.refusesOld(old)
}

// busyLast is the order in which replicas are replaced.
func (f *fleet) busyLast(busy *server) []*server {
	list := slices.DeleteFunc(slices.Clone(f.list), func(s *server) bool { return s == busy })
	return append(list, busy)
}

// rollBackBeside records and rolls back at a fleet of two versions.
func (f *fleet) rollBackBeside(old *server) {
	f.Helper()
	window := f.open("by two versions")
	f.record(window, "c", 6)
	for id := range f.trigger(window, 3) {
		f.over(old, id)
	}
	old.checkUndone(window, f.third.callsOf(window), old.checkRecorded(window, map[string]bool{}))
}

// refusesOld starts the older version on the newer schema.
func (f *fleet) refusesOld(old string) {
	f.Helper()
	s := f.list[0]
	s.terminate()
	ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, old, "serve", "--config", s.config)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil || !strings.Contains(string(out), "newer version of this program") {
		f.Errorf("the older version starts on the newer schema: %v\n%s", err, out)
	}
}
