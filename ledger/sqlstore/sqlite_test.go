package sqlstore

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

func TestConfigIsChecked(t *testing.T) {
	clock, dir := ledgertest.NewClock().Now, t.TempDir()
	full := openBare(t, Config{URL: "sqlite:" + filepath.Join(dir, "ok.db")}).cfg
	for name, change := range map[string]func(*Config){
		"no clock":     func(c *Config) { c.Clock = nil },
		"no logger":    func(c *Config) { c.Log = nil },
		"bad queue":    func(c *Config) { c.Queue = -1 },
		"no scheme":    func(c *Config) { c.URL = "ledger.db" },
		"other scheme": func(c *Config) { c.URL = "mysql://x" },
		"no file":      func(c *Config) { c.URL = "sqlite:" },
		"memory":       func(c *Config) { c.URL = "sqlite::memory:" },
		"a folder":     func(c *Config) { c.URL = "sqlite:" + dir },
		"no folder":    func(c *Config) { c.URL = "sqlite:" + filepath.Join(dir, "none", "l.db") },
		"bad address":  func(c *Config) { c.URL = "postgres://u:s3cret@[::1/x" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := full
			cfg.Clock = clock
			change(&cfg)
			s, err := Open(t.Context(), cfg)
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

func TestSQLiteVersions(t *testing.T) {
	for version, ok := range map[string]bool{
		"3.51.3": true, "3.51.4": true, "3.52.0": true, "4.0.0": true, "3.51.2": false, "3.50.9": false, "2.99.99": false, "": false, "3.x.1": false,
	} {
		if err := checkVersion(version); (err == nil) != ok {
			t.Errorf("%q: %v", version, err)
		}
	}
}

// A connection that does not keep what is promised is refused, pragma by pragma.
func TestPragmasAreAsserted(t *testing.T) {
	s := openStore(t, Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "l.db")})
	for pragma, value := range map[string]string{
		"": "", "synchronous": "NORMAL", "foreign_keys": "0", "journal_mode": "DELETE", "busy_timeout": "0",
	} {
		t.Run(pragma, func(t *testing.T) {
			// journal_mode is a property of the file, and nobody else may have it open when it changes.
			db, err := sql.Open("sqlite", strings.Replace(s.dsn, "l.db", pragma+".db", 1))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			c, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if pragma != "" {
				if _, err := c.ExecContext(t.Context(), "PRAGMA "+pragma+" = "+value); err != nil {
					t.Fatal(err)
				}
			}
			err = checkSQLite(t.Context(), c)
			if pragma == "" && err != nil || pragma != "" && (err == nil || !strings.Contains(err.Error(), pragma)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestReadersCannotWrite(t *testing.T) {
	s := sqliteStore(t)
	if _, err := s.read.ExecContext(t.Context(), "DELETE FROM windows"); err == nil {
		t.Error("a read connection wrote")
	}
}

func TestFileIsItsOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Config{URL: "sqlite:" + filepath.Join(dir, "a b?c#d%41&e.db")})
	open(t, s)
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range es {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.Name())
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	if d := cmp.Diff([]string{"a b?c#d%41&e.db", "a b?c#d%41&e.db-shm", "a b?c#d%41&e.db-wal"}, names); d != "" {
		t.Error(d)
	}
}

// What was there when the store was closed, or was not closed at all, is there when it is opened again.
func TestReopen(t *testing.T) {
	url := newURL(t)
	first := openStore(t, Config{URL: url})
	w := open(t, first)
	a, b := ledgertest.NewEntry(w.ID, "a"), ledgertest.NewEntry(w.ID, "b")
	if err := ledgertest.Record(t.Context(), first, w.ID, &a); err != nil {
		t.Fatal(err)
	}
	second := openBare(t, Config{URL: url}) // while the first is still open
	if err := ledgertest.Record(t.Context(), second, w.ID, &b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]ledger.Entry{a, b}, list(t, openBare(t, Config{URL: url}), w.ID)); d != "" {
		t.Error(d)
	}
}

// A copy of a live ledger is a ledger at one moment, sound in itself.
func TestBackup(t *testing.T) {
	s, dir := sqliteStore(t), t.TempDir()
	w := open(t, s)
	stop, started := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			e := ledgertest.NewEntry(w.ID, "a")
			if err := ledgertest.Record(t.Context(), s, w.ID, &e); err != nil {
				t.Error(err)
				return
			}
			if i == 20 {
				close(started)
			}
		}
	})
	<-started
	file := filepath.Join(dir, "copy.db")
	err := s.Backup(t.Context(), file)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), file); ledger.CodeOf(err) != ledger.CodeConflict {
		t.Errorf("a backup over another: %v", err)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("the first backup was touched: %v", err)
	}
	if es, err := os.ReadDir(dir); err != nil || len(es) != 1 {
		t.Errorf("there is more than the backup: %v, %v", es, err)
	}

	c := openBare(t, Config{URL: "sqlite:" + file})
	var sound string
	if err := c.read.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
		t.Errorf("integrity: %s, %v", sound, err)
	}
	es, cw := list(t, c, w.ID), find(t, c, w.ID)
	if len(es) < 21 || cw.LastSeq != len(es) || cw.Head != es[len(es)-1].Journal {
		t.Errorf("%d entries, window %+v", len(es), cw)
	}
	if todo, err := c.Pending(t.Context()); err != nil || len(todo) > 0 {
		t.Errorf("pending in a copy: %v, %v", todo, err)
	}
}

func TestBackupFailsWhole(t *testing.T) {
	s, dir := sqliteStore(t), t.TempDir()
	if err := s.Backup(t.Context(), filepath.Join(dir, "none", "x.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into no folder: %v", err)
	}
	p := postgresStore(t)
	if err := p.Backup(t.Context(), filepath.Join(dir, "x.db")); ledger.CodeOf(err) != ledger.CodeInvalid || !strings.Contains(err.Error(), "pg_dump") {
		t.Errorf("of PostgreSQL: %v", err)
	}
	if es, err := os.ReadDir(dir); err != nil || len(es) != 0 {
		t.Errorf("something is left: %v, %v", es, err)
	}
}

// A full disk is said, nothing of the update is there, and the store goes on when there is space again.
func TestFullDisk(t *testing.T) {
	s := sqliteStore(t)
	w := open(t, s)
	a := ledgertest.NewEntry(w.ID, "a")
	if err := ledgertest.Record(t.Context(), s, w.ID, &a); err != nil {
		t.Fatal(err)
	}
	limit := func(pages string) {
		err := s.Update(t.Context(), w.ID, func(ledger.Tx) error {
			_, err := s.group.conn.raw.ExecContext(t.Context(), "PRAGMA max_page_count = "+pages)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	big := ledgertest.NewEntry(w.ID, "b")
	big.After.JSON = []byte(`"` + strings.Repeat("x", 1<<20) + `"`)
	err := ledgertest.Record(t.Context(), s, w.ID, &big)
	var e *ledger.Error
	if !errors.As(err, &e) || e.Code != ledger.CodeFull {
		t.Fatalf("on a full disk: %v", err)
	}
	if d := cmp.Diff([]ledger.Entry{a}, list(t, s, w.ID)); d != "" {
		t.Error(d)
	}
	limit("1000000")
	again := big
	if err := ledgertest.Record(t.Context(), s, w.ID, &again); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]ledger.Entry{a, again}, list(t, s, w.ID)); d != "" {
		t.Error("the entry is not there, or not as it was recorded")
	}
}

// The queries that a large window lives on use the indexes made for them, and none sorts but the few entries of one resource.
func TestQueryPlans(t *testing.T) {
	s := sqliteStore(t)
	w := open(t, s)
	for name, c := range map[string]struct{ query, want string }{
		"open, newest first": {
			filtered(s.read.NewSelect().Model((*entryRow)(nil)), ledger.EntryQuery{WindowID: w.ID, OpenOnly: true, Desc: true, From: 9, Limit: 100}, 0).String(),
			"USING INDEX entries_open (window_id=? AND seq<?)",
		},
		"all": {
			filtered(s.read.NewSelect().Model((*entryRow)(nil)), ledger.EntryQuery{WindowID: w.ID, From: 9, Limit: 100}, 0).String(),
			"USING INDEX entries_seq (window_id=? AND seq>?)",
		},
		"doubted": {
			filtered(s.read.NewSelect().Model((*entryRow)(nil)), ledger.EntryQuery{WindowID: w.ID, Doubted: true, Limit: 100}, 0).String(),
			"USING INDEX entries_doubted (window_id=?)",
		},
		"one state": {
			filtered(s.read.NewSelect().Model((*entryRow)(nil)), ledger.EntryQuery{
				WindowID: w.ID, States: []ledger.EntryState{ledger.EntryStuck}, From: 9, Limit: 100,
			}, 0).String(),
			"USING INDEX entries_state (window_id=? AND state=? AND seq>?)",
		},
		"counts": {
			tallied(s.read, w.ID, ledger.Selection{}).String(),
			"USING COVERING INDEX entries_state (window_id=?)",
		},
		"one resource": {
			filtered(s.read.NewSelect().Model((*entryRow)(nil)), ledger.EntryQuery{
				WindowID: w.ID, Resource: ledger.Key{1}, OpenOnly: true, Desc: true, From: 9, Limit: 100,
			}, 5*inBucket).String(),
			"USING INDEX entries_resource (resource_ref=?)",
		},
		"live windows": {selectLive, "USING INDEX windows_state (state=?)"},
		"other windows' entries on resources": {
			askRivals(s.read, resourceRefs(w.ID, ledger.Key{1}, 5*inBucket)).String(),
			"USING INDEX entries_resource (resource_ref=?)",
		},
		"renamed entries": {
			renamedOf(s.read.NewSelect().Model((*entryRow)(nil)), []uuid.UUID{w.ID, w.ID}).String(),
			"USING INDEX entries_alias (window_id=?)",
		},
		"an id":      {"SELECT window_id FROM entries WHERE id = 'x'", "USING INDEX entries_id (id=?)"},
		"newest id":  {"SELECT id FROM entries ORDER BY id DESC LIMIT 1", "USING COVERING INDEX entries_id"},
		"unfinished": {"SELECT * FROM rollbacks WHERE state NOT IN ('finished', 'cancelled')", "USING INDEX rollbacks_unfinished"},
		"a run's records": {
			"SELECT * FROM journal WHERE window_id = 'x' AND rollback_id = 'y' AND rollback_id <> '' AND number > 4 ORDER BY number",
			"USING INDEX journal_rollback (window_id=? AND rollback_id=? AND number>?)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var steps []struct {
				ID, Parent, Notused int
				Detail              string
			}
			if err := s.read.NewRaw("EXPLAIN QUERY PLAN "+c.query).Scan(t.Context(), &steps); err != nil {
				t.Fatal(err)
			}
			var plan []string
			for _, st := range steps {
				plan = append(plan, st.Detail)
			}
			if got := strings.Join(plan, "; "); !strings.Contains(got, c.want) || name != "one resource" && strings.Contains(got, "TEMP B-TREE") {
				t.Errorf("%s\nis planned as: %s", c.query, got)
			}
		})
	}
}
