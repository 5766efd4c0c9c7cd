package main

import (
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // for the database's own sizes

	"sideledger/ledger"
	"sideledger/ledger/heads"
	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/mirror"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/ledger/sqlstore/sqlstoretest"
)

// BenchmarkScale measures what docs/scaling.md counts with: bytes an entry, and what the work costs that goes over everything.
func BenchmarkScale(b *testing.B) {
	for name, url := range map[string]string{"sqlite": "sqlite:" + filepath.Join(b.TempDir(), "l.db"), "postgres": postgres.Database(b)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s := sqlstoretest.Open(b, sqlstore.Config{URL: url})
				if err := s.Migrate(b.Context()); err != nil {
					b.Fatal(err)
				}
				m := &scaling{B: b, store: s, driver: "pgx", dsn: url}
				if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
					m.driver, m.dsn = "sqlite", "file:"+file
				}
				m.entries()
				m.windows()
				m.leaves()
			}
		})
	}
}

// A scaling is one database under measurement.
type scaling struct {
	*testing.B
	store       *sqlstore.Store
	driver, dsn string
}

func (m *scaling) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// per reports what one of n took.
func (m *scaling) per(n int, what string, fn func() error) {
	m.Helper()
	began := time.Now()
	m.must(fn())
	m.ReportMetric(float64(time.Since(began).Nanoseconds())/1000/float64(n), "us/"+what)
}

// sql runs one statement beside the store; it returns the number that a query gives.
func (m *scaling) sql(query string) (n int64) {
	m.Helper()
	db, err := sql.Open(m.driver, m.dsn)
	m.must(err)
	defer func() { _ = db.Close() }()
	if strings.HasPrefix(query, "SELECT") {
		m.must(db.QueryRowContext(m.Context(), query).Scan(&n))
		return n
	}
	_, err = db.ExecContext(m.Context(), query)
	m.must(err)
	return 0
}

// size is what the database takes on its disk, the write-ahead log apart.
func (m *scaling) size() int64 {
	if m.driver == "sqlite" {
		return m.sql("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
	}
	return m.sql("SELECT pg_database_size(current_database())")
}

const (
	scaleWindows = 200
	scaleEach    = 100 // entries in a window
	scaleEntries = scaleWindows * scaleEach
)

// entries records into many windows, with a mirror beside, and reads all of it again.
func (m *scaling) entries() {
	dir := filepath.Join(m.TempDir(), "mirror")
	folder, err := mirror.NewFolder(dir, time.Now)
	m.must(err)
	m.must(m.store.StartMirrors(m.Context(), folder))
	l := ledger.New(ledger.Config{
		Store: m.store, Systems: ledgertest.NewThird(), Clock: time.Now, Log: slog.New(slog.DiscardHandler), Waker: runner.NewWaker(),
	})
	before := m.size()
	for i := range scaleWindows {
		w, err := l.OpenWindow(m.Context(), ledger.WindowDraft{Name: fmt.Sprintf("window %d", i)})
		m.must(err)
		list := make([]ledger.Draft, scaleEach)
		for k := range list {
			list[k] = scaleDraft(i*scaleEach + k)
		}
		_, err = l.Record(m.Context(), w.ID, list)
		m.must(err)
	}
	m.ReportMetric(float64(m.size()-before)/scaleEntries, "bytes/entry")
	m.per(scaleEntries, "record-verified", func() error {
		_, err := m.store.Verify(m.Context())
		return err
	})
	heap := heapInUse()
	var seen *journal.Mirror
	m.per(scaleEntries, "record-read-from-mirror", func() error {
		seen, err = folder.Read(m.Context(), func(journal.Mirrored) error { return nil })
		return err
	})
	m.ReportMetric(float64(heapInUse()-heap)/scaleEntries, "heap-bytes/record-read-from-mirror")
	m.ReportMetric(float64(folderSize(m.B, dir))/scaleEntries, "mirror-bytes/entry")
	runtime.KeepAlive(seen)
}

// scaleDraft is a fact of about 400 bytes.
func scaleDraft(i int) ledger.Draft {
	at := fmt.Sprintf("/r/%d", i)
	return ledger.Draft{
		System: "sys", Kind: "http.request", Action: ledger.ActionUpdate, State: ledger.EntryApplied, Resource: fmt.Appendf(nil, `{"path":%q}`, at),
		Before: ledger.Image{JSON: fmt.Appendf(nil, `{"v":"old-%d","enabled":false}`, i)}, After: ledger.Image{JSON: fmt.Appendf(nil, `{"v":"new-%d","enabled":true}`, i)},
		Undo: fmt.Appendf(nil, `{"method":"PUT","path":%q,"body":{"v":"old-%d","enabled":false},"success":{"status":[200,204]}}`, at, i),
		Read: fmt.Appendf(nil, `{"method":"GET","path":%q,"present":[200],"absent":[404]}`, at), Source: fmt.Sprintf("upgrade.sh:%d", i),
	}
}

// manyWindows is how many windows are added, with nothing in them.
const manyWindows = 100_000

// windows makes many windows and times what reads them all.
func (m *scaling) windows() {
	numbered := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
	id := "'00000000-0000-7000-8000-' || printf('%%012x', i)"
	if m.driver == "pgx" {
		id = "('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid"
	}
	m.sql(fmt.Sprintf(numbered+`INSERT INTO windows (id, state, resume, rollback_id, last_seq, head_number, head_hash, created_at, sealed_at, name, ticket, owner, opens_at, ends_at, buffer_ns, snapshot)
		SELECT `+id+`, 'kept', '', w.rollback_id, 0, 0, w.head_hash, 1, 1, w.name, '', '', 0, 0, 0, '' FROM n, (SELECT * FROM windows LIMIT 1) AS w`, manyWindows))
	m.per(manyWindows, "window-head", func() error {
		_, err := m.store.Heads(m.Context())
		return err
	})
	m.per(manyWindows, "window-head-mirrored", func() error { // the difference is what the writer waits for
		_, err := m.store.Mirrored(m.Context())
		return err
	})
	m.per(manyWindows, "window-counted", func() error {
		_, err := m.store.Census(m.Context())
		return err
	})
	m.per(manyWindows, "window-expired", func() error {
		_, err := m.store.Expired(m.Context(), time.Now(), ledger.NewID(), 100)
		return err
	})
}

// leaves signs many heads, and reads the tree again as a start does.
func (m *scaling) leaves() {
	const leaves = 50_000
	list := make([]journal.Leaf, leaves)
	for i := range list {
		list[i] = journal.Leaf{WindowID: ledger.NewID().String(), Number: 1, Hash: strings.Repeat("ab", 32)}
	}
	before := m.size()
	for i := 0; i < leaves; i += 10_000 {
		m.must(m.store.AddSigned(m.Context(), journal.SignedHead{Note: "n", First: int64(i), Leaves: list[i : i+10_000]}))
	}
	m.ReportMetric(float64(m.size()-before)/leaves, "bytes/leaf")
	list = nil
	heap := heapInUse()
	tree := new(heads.Tree)
	m.per(leaves, "leaf-read", func() error {
		read, err := m.store.Leaves(m.Context())
		if err != nil {
			return err
		}
		return tree.Add(read...)
	})
	m.ReportMetric(float64(heapInUse()-heap)/leaves, "heap-bytes/leaf")
	runtime.KeepAlive(tree)
}

func heapInUse() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func folderSize(b *testing.B, dir string) (n int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}
