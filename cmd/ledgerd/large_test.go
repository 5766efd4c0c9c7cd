package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger/journal"
)

var largeEntries = flag.Int("large.entries", 400, "how many entries the window of TestLargeWindow has")

const (
	largeBatch = 100
	largeLimit = 300 // MiB that the server may have resident, however large a window is
)

// A vast third party has every resource /r/N without keeping any: a bit says which were put back, each once.
type vast struct {
	mu    sync.Mutex
	back  []uint64
	twice int
	count int
}

func (v *vast) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/r/"))
	if err != nil || n < 0 || n >= len(v.back)*bits.UintSize {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	v.mu.Lock()
	word, bit := &v.back[n/bits.UintSize], uint64(1)<<(n%bits.UintSize)
	if r.Method == http.MethodPut {
		if *word&bit != 0 {
			v.twice++
		}
		*word |= bit
		v.count++
	}
	back := *word&bit != 0
	v.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if back {
		_, _ = io.WriteString(w, `{"v":"old"}`)
		return
	}
	_, _ = io.WriteString(w, `{"v":"new"}`)
}

func (v *vast) undone() (count, twice int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.count, v.twice
}

// A large window records, plans, rolls back with a kill -9 in the middle, exports, is verified, made again from its mirror and
// recovered from it, in memory that does not grow with it; and the lists answer meanwhile. `make large` has a million entries.
func TestLargeWindow(t *testing.T) {
	t.Parallel()
	for name, databaseFunc := range map[string]func(dir, name string) string{
		"SQLite":   func(dir, name string) string { return "sqlite:" + filepath.Join(dir, name+".db") },
		"Postgres": func(string, string) string { return postgres.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			third := &vast{back: make([]uint64, *largeEntries/bits.UintSize+1)}
			web := httptest.NewServer(third)
			t.Cleanup(web.Close)
			dir := t.TempDir()
			l := &large{third: third, n: *largeEntries, mirror: filepath.Join(dir, "mirror"), other: databaseFunc(dir, "again")}
			l.server = newServerAt(t, buildServer(t), web.URL, site{dir, databaseFunc(dir, "ledger")},
				fmt.Sprintf("log: {level: warn}\nmirror: [{folder: %q}]\n", l.mirror))
			l.start()
			before := l.backup()
			l.record()
			l.plan()
			l.rollBack()
			l.export()
			l.kill()
			l.command("OK", "verify")
			l.command("", "rebuild", "--from", l.mirror, "--database", l.other)
			l.command("OK", "verify", "--database", l.other)
			if before != "" {
				l.command("", "recover", "--database", before)
				l.command("OK", "verify", "--database", before)
			}
		})
	}
}

// A large window at a real server.
type large struct {
	*server
	third  *vast
	n      int
	mirror string // its folder
	other  string // database that is made again
	window string
	looked time.Time     // when the lists were last asked for
	slow   time.Duration // the longest that one took, since it was last told
}

// proc reads what the kernel tells of the server.
func (l *large) proc(file string) string {
	l.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", l.cmd.Process.Pid, file))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(raw)
}

// phase says how long something took, and what the server's memory came to until then.
func (l *large) phase(name string, began time.Time) {
	l.t.Helper()
	peak := peakOf(l.proc("status"))
	if peak == 0 {
		l.t.Error("the kernel does not say how much memory the server took")
	}
	_, rest, _ := strings.Cut(l.proc("stat"), ") ")
	var ticks int // of which the kernel shows a hundred a second, in user mode and in its own
	for _, field := range strings.Fields(rest)[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			l.t.Fatal(err)
		}
		ticks += n
	}
	l.t.Logf("%s of %d entries: %.1f s; the server since its start: %.1f s of processor time, at most %d MiB resident; a list took at most %d ms",
		name, l.n, time.Since(began).Seconds(), float64(ticks)/100, peak, l.slow.Milliseconds())
	l.slow = 0
	if peak > largeLimit {
		l.t.Errorf("%s: %d MiB resident, more than %d", name, peak, largeLimit)
	}
}

// backup keeps the ledger as it is before the window, with its keys; empty: it is not of a file. The key that heads are signed with is
// put beside the database that is made again too.
func (l *large) backup() (database string) {
	l.t.Helper()
	again, ok := strings.CutPrefix(l.other, "sqlite:")
	if !ok {
		return ""
	}
	own, before := filepath.Join(l.dir, "ledger.db"), filepath.Join(l.dir, "before.db")
	l.run("backup", before)
	for to, from := range map[string]string{
		before + ".note-key": own + ".note-key", before + ".secrets-key": own + ".secrets-key", again + ".note-key": own + ".note-key",
	} {
		key, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, key, 0o600)
		}
		if err != nil {
			l.t.Fatal(err)
		}
	}
	return "sqlite:" + before
}

// command runs a subcommand, which has to print want, in memory that has a limit like the server's.
func (l *large) command(want string, args ...string) {
	l.t.Helper()
	began := time.Now()
	cmd := exec.CommandContext(l.t.Context(), l.binary, append(args, "--config", l.config)...)
	var stderr bytes.Buffer
	var stdout bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.dir, &stdout, &stderr
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	peak, err := watchPeak(cmd.Process.Pid, ended)
	if got := strings.TrimSpace(stdout.String()); err != nil || want != "" && got != want {
		l.t.Fatalf("ledgerd %v: %v\n%s\n%s", args, err, got, stderr.String())
	}
	l.t.Logf("%v with %d entries: %.1f s, at most %d MiB resident", args[0], l.n, time.Since(began).Seconds(), peak)
	if peak > largeLimit {
		l.t.Errorf("%s: %d MiB resident, more than %d", args[0], peak, largeLimit)
	}
}

// watchPeak returns how many MiB a process had resident at most, and how it ended. What wait4 says of that counts this process
// too, as the other one was forked from it.
func watchPeak(pid int, ended <-chan error) (peak int, err error) {
	for {
		raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		peak = max(peak, peakOf(string(raw)))
		select {
		case err = <-ended:
			return peak, err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// peakOf reads from a process's status how many MiB it had resident at most; 0: it does not say.
func peakOf(status string) int {
	_, rest, _ := strings.Cut(status, "VmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.Atoi(kib)
	return n >> 10
}

func (l *large) record() {
	l.t.Helper()
	w, err := l.client.OpenWindow(l.t.Context(), wire.WindowDraft{Name: "large"})
	if err != nil {
		l.t.Fatal(err)
	}
	l.window = w.ID
	began := time.Now()
	batches := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for from := range batches {
				list := make([]wire.EntryDraft, 0, largeBatch)
				for n := from; n < min(from+largeBatch, l.n); n++ {
					list = append(list, putDraft("/r/"+strconv.Itoa(n)))
				}
				if _, err := l.client.RecordBatch(l.t.Context(), l.window, list); err != nil {
					l.t.Error(err)
				}
			}
		})
	}
	for from := 0; from < l.n; from += largeBatch {
		batches <- from
	}
	close(batches)
	wg.Wait()
	l.phase("recording", began)
}

func (l *large) plan() {
	l.t.Helper()
	began, steps := time.Now(), 0
	_, err := l.client.EachStep(l.t.Context(), l.window, client.Selection{}, func(wire.PlanStep) error { steps++; return nil })
	if err != nil || steps != l.n {
		l.t.Fatalf("%d steps, %v", steps, err)
	}
	l.phase("planning", began)
}

// rollBack kills the server once half is undone.
func (l *large) rollBack() {
	l.t.Helper()
	began := time.Now()
	run, err := l.client.StartRollback(l.t.Context(), l.window, wire.RollbackRequest{Reason: "large"}, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	for count := 0; count < l.n/2; count, _ = l.third.undone() {
		l.lists()
		time.Sleep(20 * time.Millisecond)
	}
	l.phase("half of the rollback", began)
	l.kill()
	l.start()
	for run.State != "finished" {
		if run, err = l.client.Rollback(l.t.Context(), run.ID); err != nil {
			l.t.Fatal(err)
		}
		l.lists()
		time.Sleep(20 * time.Millisecond)
	}
	l.phase("the rollback, with a kill -9,", began)
	if count, twice := l.third.undone(); count != l.n || twice != 0 || !run.Complete || run.Counts.Undone+run.Counts.AlreadyUndone != l.n {
		l.t.Errorf("%d undone, %d twice, the run says %+v", count, twice, run)
	}
}

// lists asks for what a console shows, as often as one would.
func (l *large) lists() {
	l.t.Helper()
	if time.Since(l.looked) < time.Second {
		return
	}
	l.looked = time.Now()
	for _, listFunc := range []func() error{
		func() error { _, err := l.client.Window(l.t.Context(), l.window); return err },
		func() error { _, err := l.client.Windows(l.t.Context(), client.WindowQuery{Limit: 20}); return err },
		func() error {
			_, err := l.client.Entries(l.t.Context(), l.window, client.EntryQuery{Limit: 100})
			return err
		},
		func() error {
			_, err := l.client.Entries(l.t.Context(), l.window, client.EntryQuery{Limit: 100, States: []string{"undone"}})
			return err
		},
		func() error { // there are none, or one
			_, err := l.client.Entries(l.t.Context(), l.window, client.EntryQuery{Limit: 100, States: []string{"stuck", "undoing"}})
			return err
		},
	} {
		began := time.Now()
		if err := listFunc(); err != nil {
			l.t.Fatal(err)
		}
		l.slow = max(l.slow, time.Since(began))
	}
}

func (l *large) export() {
	l.t.Helper()
	began := time.Now()
	body, err := l.client.Journal(l.t.Context(), l.window)
	if err != nil {
		l.t.Fatal(err)
	}
	report, err := journal.Verify(body)
	_ = body.Close()
	if err != nil || !report.OK || report.Records < int64(2*l.n) {
		l.t.Errorf("%+v, %v", report, err)
	}
	l.phase("exporting", began)
}
