package sqlstore

import (
	"context"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
	"sideledger/migrations"
)

// empties are new databases that nobody migrated.
func empties(t *testing.T) map[string]string {
	return map[string]string{"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "l.db"), "Postgres": postgres.Database(t)}
}

// plus is the real migrations and one more.
func plus(t *testing.T, s *Store, name, text string) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(s.migrations(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(s.migrations(), path)
		files[path] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files[name] = &fstest.MapFile{Data: []byte(text)}
	return files
}

const later = "29991231000000_later.tx.up.sql"

func tableThere(t *testing.T, s *Store, name string) bool {
	t.Helper()
	rows, err := s.read.DB.QueryContext(t.Context(), "SELECT * FROM "+name+" LIMIT 1")
	if err != nil {
		return false
	}
	defer rows.Close()
	return rows.Err() == nil
}

func TestMigrate(t *testing.T) {
	for name, url := range empties(t) {
		t.Run(name, func(t *testing.T) {
			s := openBare(t, Config{URL: url})
			for range 2 { // looking changes nothing
				todo, err := s.Pending(t.Context())
				if err != nil || len(todo) == 0 || !strings.HasSuffix(todo[0], "_ledger") {
					t.Fatalf("%v, %v", todo, err)
				}
			}
			if tableThere(t, s, appliedTable) || tableThere(t, s, "windows") {
				t.Fatal("Pending wrote something")
			}
			if err := s.Ping(t.Context()); ledger.CodeOf(err) != ledger.CodeUnavailable {
				t.Errorf("ping before: %v", err)
			}
			for range 3 {
				if err := s.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
				if todo, err := s.Pending(t.Context()); err != nil || len(todo) > 0 {
					t.Fatalf("%v, %v", todo, err)
				}
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("ping after: %v", err)
			}
		})
	}
}

// Of a migration that breaks in its middle nothing remains, and the next good one under its number is applied.
func TestBrokenMigration(t *testing.T) {
	for name, url := range empties(t) {
		t.Run(name, func(t *testing.T) {
			s := openBare(t, Config{URL: url})
			broken := plus(t, s, later, "CREATE TABLE half (a int);\n--bun:split\nINSERT INTO half VALUES (1);\n--bun:split\nINSERT INTO nowhere VALUES (1);\n")
			for range 2 {
				if err := s.migrate(t.Context(), broken); err == nil {
					t.Fatal("a broken migration was applied")
				}
			}
			if tableThere(t, s, "half") {
				t.Error("half of it is there")
			}
			if todo, err := s.Pending(t.Context()); err != nil || len(todo) > 0 {
				t.Errorf("the good ones before it: %v, %v", todo, err)
			}
			open(t, s)
			good := plus(t, s, later, "CREATE TABLE half (a int);\n")
			for range 2 {
				if err := s.migrate(t.Context(), good); err != nil {
					t.Fatal(err)
				}
			}
			if !tableThere(t, s, "half") {
				t.Error("the good one was not applied")
			}
			if err := s.Migrate(t.Context()); ledger.CodeOf(err) != ledger.CodeConflict {
				t.Errorf("an old program on a new database: %v", err)
			}
			if _, err := s.Pending(t.Context()); ledger.CodeOf(err) != ledger.CodeConflict {
				t.Errorf("an old program on a new database: %v", err)
			}
		})
	}
}

// However many start at once, each migration is applied once and nobody fails. What a crashed start left
// behind, a row in the lock table included, is in nobody's way.
func TestMigrateAtOnce(t *testing.T) {
	for name, url := range empties(t) {
		t.Run(name, func(t *testing.T) {
			stores := make([]*Store, 6)
			for i := range stores {
				stores[i] = openBare(t, Config{URL: url})
			}
			files := plus(t, stores[0], later, "CREATE TABLE once (a int);\n")
			var wg sync.WaitGroup
			for _, s := range stores {
				wg.Go(func() {
					if err := s.migrate(t.Context(), files); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			s := stores[0]
			var applied []string
			if err := s.read.NewSelect().TableExpr(appliedTable).Column("name").OrderExpr("name").Scan(t.Context(), &applied); err != nil {
				t.Fatal(err)
			}
			if want := slices.Compact(slices.Clone(applied)); len(want) != len(applied) || len(applied) < 2 {
				t.Errorf("applied: %v", applied)
			}
		})
	}
}

func TestStaleMigrationLock(t *testing.T) {
	for name, url := range empties(t) {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Config{URL: url})
			err := s.change(t.Context(), "leave a lock", func(ctx context.Context, db bun.IDB) error {
				_, err := db.ExecContext(ctx, "INSERT INTO "+locksTable+" (table_name) VALUES (?)", appliedTable)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.migrate(t.Context(), plus(t, s, later, "CREATE TABLE more (a int);\n")); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A start that died between a migration's commit and bun's own mark does not run it twice.
func TestMarkedWithItsMigration(t *testing.T) {
	for name, url := range empties(t) {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Config{URL: url})
			m, err := s.migrator(s.read, s.migrations())
			if err != nil {
				t.Fatal(err)
			}
			all := slices.Clone(m.all)
			db := s.write
			if s.file != "" {
				if db, err = openBun(s.dsn, 1); err != nil {
					t.Fatal(err)
				}
				defer db.Close()
			}
			m, err = s.migrator(db, plus(t, s, later, "CREATE TABLE more (a int);\n"))
			if err != nil {
				t.Fatal(err)
			}
			last := m.all[len(all)]
			if err := last.Up(t.Context(), m.Migrator, &last); err != nil { // and no mark by bun
				t.Fatal(err)
			}
			if todo, err := m.pending(t.Context()); err != nil || len(todo) > 0 {
				t.Errorf("it would run again: %v, %v", todo, err)
			}
		})
	}
}

func TestMigrateUnderARunningServer(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "l.db")
	server := openStore(t, Config{URL: url})
	w := open(t, server)
	stop := make(chan struct{})
	recorded := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				recorded <- nil
				return
			default:
			}
			e := ledgertest.NewEntry(w.ID, "a")
			if err := ledgertest.Record(t.Context(), server, w.ID, &e); err != nil {
				recorded <- err
				return
			}
		}
	}()
	other := openBare(t, Config{URL: url})
	if err := other.migrate(t.Context(), plus(t, other, later, "ALTER TABLE entries ADD COLUMN more TEXT;\n")); err != nil {
		t.Error(err)
	}
	close(stop)
	if err := <-recorded; err != nil {
		t.Error(err)
	}
}

func TestMigrationNames(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"20270101000000_x.up.sql", "20270101000000_x.sql", "1_x.tx.up.sql", "20270101000000_X.tx.up.sql", "20270101000000_x.tx.down.sql"} {
		if _, err := s.migrator(s.read, plus(t, s, name, "SELECT 1")); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	numbers := func(files fs.FS) []string {
		names, err := fs.Glob(files, "*/*")
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bool{}
		for _, n := range names {
			out[filepath.Base(n)] = true
		}
		return slices.Sorted(maps.Keys(out))
	}
	if d := cmp.Diff(numbers(migrations.SQLite), numbers(migrations.Postgres)); d != "" {
		t.Errorf("the two databases have other migrations: %s", d)
	}
}
