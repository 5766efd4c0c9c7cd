package main

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"sideledger/api"
	"sideledger/api/wire"
	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
)

// BenchmarkRecordPath sets records through the whole server beside what the machine can do, in one run:
// an Echo handler that only decodes, hashes and encodes, and a loop of one-row SQLite transactions.
func BenchmarkRecordPath(b *testing.B) {
	for b.Loop() {
		bare := bareTransactions(b)
		echoOnly := newLoad(b, echoOnly(b), "").run(b, 64, 12000)
		srv := newBenchServer(b, &ledgertest.Third{})
		for _, clients := range []int{1, 8, 64} {
			r := srv.load.run(b, clients, 600+clients*150)
			b.ReportMetric(ms(r.p50), fmt.Sprintf("ms-p50-%d-clients", clients))
			b.ReportMetric(ms(r.p99), fmt.Sprintf("ms-p99-%d-clients", clients))
			switch clients {
			case 1:
				b.ReportMetric(float64(r.p50)/float64(bare.p50), "x-bare-tx-p50-1-client")
			case 64:
				b.ReportMetric(r.perSecond/bare.perSecond, "x-bare-tx-64-clients")
				b.ReportMetric(r.perSecond/echoOnly.perSecond, "x-echo-only-64-clients")
				b.ReportMetric(r.perSecond, "records/s-64-clients")
			}
		}
		batch := srv.batches.run(b, 8, 240)
		b.ReportMetric(batch.perSecond*100/bare.perSecond, "x-bare-tx-batch-100")
		b.ReportMetric(batch.perSecond*100, "entries/s-batch-100")
	}
}

// BenchmarkRollback sets a rollback beside a plain loop of the same calls: 1,000 entries at a third party
// that answers at once, 300 at one that takes 20 ms.
func BenchmarkRollback(b *testing.B) {
	for latency, n := range map[time.Duration]int{0: 1000, 20 * time.Millisecond: 300} {
		b.Run(fmt.Sprintf("%d entries at %s", n, latency), func(b *testing.B) {
			for b.Loop() {
				third := &slowThird{state: map[string][]byte{}, latency: latency}
				web := httptest.NewServer(third)
				plain := plainLoop(b, web.URL, n)
				took := rollBack(b, web.URL, third, n)
				b.ReportMetric(took.Seconds()/plain.Seconds(), "x-plain-loop")
				b.ReportMetric(ms(took)/float64(n), "ms/entry")
				b.ReportMetric(float64(third.calls.Load())/float64(n)-3, "calls/entry-over-3") // 0: the same number of calls
				web.Close()
			}
		})
	}
}

// BenchmarkPlan plans a window of 100,000 entries and reports the memory above the idle server's.
func BenchmarkPlan(b *testing.B) {
	for b.Loop() {
		const n = 100_000
		third := ledgertest.NewThird()
		srv := newBenchServer(b, third)
		fill(b, srv, third, n)
		debug.FreeOSMemory()
		idle := resident(b)
		var peak atomic.Uint64
		stop := make(chan struct{})
		var watch sync.WaitGroup
		watch.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					peak.Store(max(peak.Load(), resident(b)))
				}
			}
		})
		began := time.Now()
		steps := srv.plan(b)
		took := time.Since(began)
		close(stop)
		watch.Wait()
		if steps != n {
			b.Fatalf("%d steps", steps)
		}
		b.ReportMetric(float64(peak.Load()-min(idle, peak.Load()))/(1<<20), "MiB-above-idle")
		b.ReportMetric(took.Seconds(), "s/plan")
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// A measure is what a number of equal calls took.
type measure struct {
	perSecond float64
	p50, p99  time.Duration
}

// measured makes n calls by some workers at once.
func measured(b *testing.B, workers, n int, call func(i int) error) measure {
	b.Helper()
	times := make([]time.Duration, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				at := time.Now()
				if err := call(i); err != nil {
					b.Error(err)
					return
				}
				times[i] = time.Since(at)
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	slices.Sort(times)
	return measure{perSecond: float64(n) / took.Seconds(), p50: times[n/2], p99: times[n*99/100]}
}

// bareTransactions inserts one row of an entry's size a transaction, durably.
func bareTransactions(b *testing.B) measure {
	b.Helper()
	dsn := "file:" + filepath.Join(b.TempDir(), "bare.db") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(b.Context(), "CREATE TABLE t (id TEXT PRIMARY KEY, body BLOB)"); err != nil {
		b.Fatal(err)
	}
	insert, err := db.PrepareContext(b.Context(), "INSERT INTO t VALUES (?, ?)")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = insert.Close() }()
	body := bytes.Repeat([]byte("x"), 600)
	return measured(b, 1, 1500, func(int) error {
		tx, err := db.BeginTx(b.Context(), nil)
		if err != nil {
			return err
		}
		own := tx.StmtContext(b.Context(), insert) //nolint:sqlclosecheck // it ends with its transaction
		if _, err := own.ExecContext(b.Context(), uuid.NewString(), body); err != nil {
			return err
		}
		return tx.Commit()
	})
}

// echoOnly is the handler that does nothing but decode, hash and encode.
func echoOnly(b *testing.B) string {
	b.Helper()
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.POST("/v1/windows/:id/entries", func(c echo.Context) error {
		var d wire.EntryDraft
		if err := json.NewDecoder(c.Request().Body).Decode(&d); err != nil {
			return err
		}
		sum := sha256.Sum256(d.After)
		return c.JSON(http.StatusCreated, wire.Entry{ID: uuid.Must(uuid.NewV7()).String(), System: d.System, Kind: d.Kind, Resource: d.Resource, Before: d.Before, After: d.After, Undo: d.Undo, NowDigest: fmt.Sprintf("%x", sum)})
	})
	web := httptest.NewServer(e)
	b.Cleanup(web.Close)
	return web.URL
}

// A load posts entries to one address.
type load struct {
	url    string
	more   []string // further addresses: calls go to each in turn
	token  string
	client *http.Client
	bodyOf func(i int) []byte
}

func newLoad(b *testing.B, url, token string) *load {
	b.Helper()
	t := &http.Transport{MaxIdleConnsPerHost: 128}
	b.Cleanup(t.CloseIdleConnections)
	return &load{
		url: url + "/v1/windows/" + uuid.NewString() + "/entries", token: token, client: &http.Client{Transport: t},
		bodyOf: func(i int) []byte { return draftBody(i) },
	}
}

func (l *load) run(b *testing.B, workers, n int) measure {
	b.Helper()
	return measured(b, workers, n, func(i int) error {
		url := append([]string{l.url}, l.more...)[i%(1+len(l.more))]
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(l.bodyOf(i)))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		if l.token != "" {
			req.Header.Set("Authorization", "Bearer "+l.token)
		}
		resp, err := l.client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusCreated {
			return fmt.Errorf("answered %d: %s, %w", resp.StatusCode, answer, err)
		}
		return nil
	})
}

// draftBody is an entry as a script posts it, about 400 bytes.
func draftBody(i int) []byte {
	at := "/r/" + strconv.Itoa(i)
	return fmt.Appendf(nil, `{"system":"sys","kind":"http.request","action":"update","resource":{"path":%q},"before":{"v":"old-%d","enabled":false},`+
		`"after":{"v":"new-%d","enabled":true},"undo":{"method":"PUT","path":%q,"body":{"v":"old-%d","enabled":false},"success":{"status":[200,204]}},`+
		`"read":{"method":"GET","path":%q,"present":[200],"absent":[404]},"source":"upgrade.sh:%d"}`, at, i, i, at, i, at, i)
}

// A benchServer is the whole server in this process, on loopback.
type benchServer struct {
	ledger  *ledger.Ledger
	waker   *runner.Waker
	url     string
	window  uuid.UUID
	load    *load
	batches *load
}

func newBenchServer(b *testing.B, systems ledger.Systems) *benchServer {
	b.Helper()
	return newBenchServerOn(b, systems, "sqlite:"+filepath.Join(b.TempDir(), "l.db"))
}

// newBenchServerOn is newBenchServer with the ledger anywhere.
func newBenchServerOn(b *testing.B, systems ledger.Systems, database string) *benchServer {
	b.Helper()
	s := openBench(b, systems, database)
	secret, _, err := s.ledger.CreateToken(b.Context(), ledger.Token{Role: ledger.RoleAdmin})
	if err != nil {
		b.Fatal(err)
	}
	w, err := s.ledger.OpenWindow(b.Context(), ledger.WindowDraft{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	s.window = w.ID
	s.load, s.batches = newLoad(b, s.url, secret), newLoad(b, s.url, secret)
	s.load.url = s.entries(w.ID)
	s.batches.url = s.load.url + "/batch"
	s.batches.bodyOf = func(i int) []byte {
		list := make([]string, 100)
		for k := range list {
			list[k] = string(draftBody(i*100 + k))
		}
		return []byte(`{"entries":[` + strings.Join(list, ",") + `]}`)
	}
	return s
}

// openBench serves a ledger, with no window yet.
func openBench(b *testing.B, systems ledger.Systems, database string) *benchServer {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := sqlstore.Open(b.Context(), sqlstore.Config{URL: database, Clock: time.Now, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	if err := store.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	s := &benchServer{waker: runner.NewWaker()}
	s.ledger = ledger.New(ledger.Config{Store: store, Systems: systems, Clock: time.Now, Log: log, Waker: s.waker})
	a, err := api.New(api.Config{Ledger: s.ledger, Log: log, Clock: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	web := httptest.NewServer(a)
	b.Cleanup(web.Close)
	s.url = web.URL
	return s
}

// entries is where a window's entries are posted.
func (s *benchServer) entries(window uuid.UUID) string {
	return s.url + "/v1/windows/" + window.String() + "/entries"
}

// fill records n facts in batches, straight through the domain.
func fill(b *testing.B, s *benchServer, third *ledgertest.Third, n int) {
	b.Helper()
	for i := 0; i < n; i += ledger.MaxBatch {
		drafts := make([]ledger.Draft, ledger.MaxBatch)
		for k := range drafts {
			at := "/r/" + strconv.Itoa(i+k)
			third.State[at] = `{"v":"new","enabled":true}`
			drafts[k] = ledger.Draft{
				System: "sys", Kind: "http.request", Action: ledger.ActionUpdate, State: ledger.EntryApplied,
				Resource: fmt.Appendf(nil, `{"path":%q}`, at), Before: ledger.Image{JSON: []byte(`{"v":"old","enabled":false}`)},
				After: ledger.Image{JSON: []byte(`{"v":"new","enabled":true}`)},
			}
		}
		if _, err := s.ledger.Record(b.Context(), s.window, drafts); err != nil {
			b.Fatal(err)
		}
	}
}

// plan reads a whole plan as a client would and counts its steps.
func (s *benchServer) plan(b *testing.B) int {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.url+"/v1/windows/"+s.window.String()+"/plan", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.load.token)
	resp, err := s.load.client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	steps, chunk := 0, make([]byte, 64<<10)
	for {
		n, err := resp.Body.Read(chunk)
		steps += bytes.Count(chunk[:n], []byte(`"verdict":`)) // one cut in two is rare enough to fail the count, not to hide
		if err == io.EOF {
			return steps
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// resident returns this process's resident memory.
func resident(b *testing.B) uint64 {
	b.Helper()
	if runtime.GOOS != "linux" {
		b.Fatal("memory is read from /proc")
	}
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Error(err)
		return 0
	}
	pages, err := strconv.ParseUint(strings.Fields(string(raw))[1], 10, 64)
	if err != nil {
		b.Error(err)
	}
	return pages * uint64(os.Getpagesize())
}
