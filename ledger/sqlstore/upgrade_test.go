package sqlstore

import (
	"context"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
	"sideledger/migrations"
)

// What a newer version may do to the schema while this one still runs, statement by statement. Whoever runs an older version
// names its columns, inserts rows without the new ones, and deletes rows that it knows nothing of. So a new column has a
// default, or may be NULL; a new index refuses nothing; a new table refers to no older one; a trigger writes to tables alone
// that are new with it; and nothing goes or changes.
var (
	addColumn   = regexp.MustCompile(`^ALTER TABLE [a-z_]+ ADD COLUMN [a-z_]+ [A-Za-z]+( NOT NULL DEFAULT (0|1|''|false|true))?$`)
	createIndex = regexp.MustCompile(`^CREATE INDEX [a-z_]+ ON [a-z_]+ \([a-z_, ]+\)( WHERE [^;]+)?$`)
	createTable = regexp.MustCompile(`^CREATE TABLE [a-z_]+ \(.*\)( STRICT)?(, WITHOUT ROWID| WITHOUT ROWID)?$`)
	triggerHead = regexp.MustCompile(`^CREATE (TRIGGER [a-z_]+ AFTER (INSERT|UPDATE|DELETE)( OF [a-z_, ]+)? ON|FUNCTION [a-z_]+\(\) RETURNS trigger) `)
	writes      = regexp.MustCompile(`(?:INSERT INTO|UPDATE|DELETE FROM|TRUNCATE|DROP|ALTER) ([a-z_]+)`)
	sqlComment  = regexp.MustCompile(`--[^\n]*`)
)

// survivable returns the statements of a migration that an older version under way might not survive.
func survivable(text string) (bad []string) {
	fresh := map[string]bool{}
	for part := range strings.SplitSeq(text, "--bun:split") {
		part = strings.Join(strings.Fields(sqlComment.ReplaceAllString(part, "")), " ")
		if head := triggerHead.FindString(part); head != "" {
			if !writesTo(part[len(head):], fresh) {
				bad = append(bad, part)
			}
			continue
		}
		for s := range strings.SplitSeq(part, ";") {
			s = strings.TrimSpace(s)
			switch {
			case s == "", addColumn.MatchString(s), createIndex.MatchString(s):
			case createTable.MatchString(s) && !strings.Contains(s, "REFERENCES"):
				fresh[strings.Fields(s)[2]] = true
			default:
				bad = append(bad, s)
			}
		}
	}
	return bad
}

// writesTo reports whether what a trigger does writes to these tables alone.
func writesTo(body string, tables map[string]bool) bool {
	for _, m := range writes.FindAllStringSubmatch(strings.ReplaceAll(body, "DO UPDATE SET", ""), -1) {
		if !tables[m[1]] {
			return false
		}
	}
	return true
}

// The program that runs while a newer one migrates, or beside it afterwards, goes on: every migration after the first keeps to what
// an older program survives.
func TestMigrationsAreForOlderProgramsToo(t *testing.T) {
	for folder, files := range map[string]fs.FS{"sqlite": migrations.SQLite, "postgres": migrations.Postgres} {
		names, err := fs.Glob(files, "*/*.sql")
		if err != nil || len(names) < 10 {
			t.Fatalf("%v, %v", names, err)
		}
		slices.Sort(names)
		for _, name := range names[1:] {
			raw, err := fs.ReadFile(files, name)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range survivable(string(raw)) {
				t.Errorf("%s: %s: %q is not what an older program that still runs survives", folder, filepath.Base(name), s)
			}
		}
	}
	for _, s := range []string{
		"DROP TABLE windows", "ALTER TABLE windows DROP COLUMN name", "ALTER TABLE windows RENAME TO w", "ALTER TABLE windows RENAME COLUMN name TO title",
		"ALTER TABLE windows ADD COLUMN x text NOT NULL", "ALTER TABLE windows ADD COLUMN x text UNIQUE", "ALTER TABLE windows ADD COLUMN x text REFERENCES tokens (id)",
		"ALTER TABLE windows ALTER COLUMN name SET NOT NULL", "CREATE UNIQUE INDEX x ON windows (name)", "CREATE TABLE x (id uuid REFERENCES windows (id))",
		"UPDATE windows SET name = ''", "DELETE FROM journal", "DROP INDEX windows_live", "CREATE TABLE x (a int); DROP TABLE windows",
		"CREATE TRIGGER x AFTER INSERT ON entries BEGIN DELETE FROM journal; END", "CREATE TRIGGER x BEFORE INSERT ON entries BEGIN SELECT 1; END",
		"CREATE FUNCTION x() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE windows SET name = ''; RETURN NULL; END $$",
	} {
		if len(survivable(s)) == 0 {
			t.Errorf("%q is taken", s)
		}
	}
}

// ownTables are the tables of the schema, the migrator's left out.
func ownTables(t *testing.T, s *Store) (names []string) {
	t.Helper()
	query := "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'migrations%' ORDER BY name"
	if s.file == "" {
		query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'migrations%' ORDER BY tablename"
	}
	if err := s.read.NewRaw(query).Scan(t.Context(), &names); err != nil || len(names) < 10 {
		t.Fatalf("%v, %v", names, err)
	}
	return names
}

// expansion is a migration of a version to come: every table has two columns more, there is a new table, and an index.
func expansion(t *testing.T, s *Store) string {
	t.Helper()
	var text strings.Builder
	for _, name := range ownTables(t, s) {
		text.WriteString("ALTER TABLE " + name + " ADD COLUMN ahead TEXT;\n--bun:split\n" +
			"ALTER TABLE " + name + " ADD COLUMN ahead_count BIGINT NOT NULL DEFAULT 1;\n--bun:split\n")
	}
	text.WriteString("CREATE TABLE ahead (a int);\n--bun:split\nCREATE INDEX entries_ahead ON entries (window_id) WHERE ahead IS NOT NULL;\n")
	return text.String()
}

// expand applies the expansion as the newer program does, in a store of its own, while s is in use.
func expand(t *testing.T, s *Store) {
	t.Helper()
	newer := openBare(t, Config{URL: s.cfg.URL})
	text := strings.ReplaceAll(expansion(t, newer), "BIGINT", map[bool]string{true: "INTEGER", false: "BIGINT"}[s.file != ""])
	if bad := survivable(text); len(bad) != 0 {
		t.Logf("beyond the rule: %v", bad)
	}
	if err := newer.migrate(t.Context(), plus(t, newer, later, text)); err != nil {
		t.Fatal(err)
	}
}

// The store of this version does everything on the schema of the next one.
func TestStoreOnTheNextSchema(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			ledgertest.TestStore(t, func(t *testing.T) ledger.Store {
				s := open(t)
				expand(t, s)
				return s
			})
		})
	}
}

// What the suite does not ask for, while the schema changes under it: each call is made before and after, on the same
// connections, whose prepared statements were made for the old tables.
func TestTheRestOnTheNextSchema(t *testing.T) {
	for name, open := range both {
		t.Run(name, func(t *testing.T) {
			h := newShelf(t, open(t))
			if h.store.file == "" {
				h.store.write.SetMaxOpenConns(1)
			}
			h.everything(0)
			expand(t, h.store)
			h.everything(1)
		})
	}
}

// everything makes the calls that no suite makes.
func (h *shelf) everything(round int64) {
	h.Helper()
	ctx, s := h.Context(), h.store
	id := h.kept(false)
	h.clock.Advance(48 * time.Hour)
	h.prune()
	for {
		n, err := s.RemovePruned(ctx, 2)
		h.check(err)
		if n == 0 {
			break
		}
	}
	h.check(s.AddSigned(ctx, journal.SignedHead{Note: "n", First: round, Leaves: []journal.Leaf{{WindowID: id.String(), Number: 1, Hash: "aa"}}}))
	h.check(s.SetMirrored(ctx, "m", map[string]journal.Leaf{id.String(): {WindowID: id.String(), Number: round + 1}}))
	leaves, err := s.Leaves(ctx)
	if h.check(err); int64(len(leaves)) != round+1 {
		h.Errorf("%d leaves", len(leaves))
	}
	up, err := s.MirroredUpTo(ctx, "m")
	if h.check(err); int64(len(up)) != round+1 {
		h.Errorf("mirrored: %v", up)
	}
	if list, err := s.Heads(ctx); err != nil || int64(len(list)) != round+1 {
		h.Errorf("heads: %v, %v", list, err)
	}
	if c, err := s.Census(ctx); err != nil || int64(c.Windows[ledger.WindowKept]) != round+1 {
		h.Errorf("census: %+v, %v", c, err)
	}
	_, err = s.TakeDuty(ctx, "d", "me", time.Hour)
	h.check(err)
	_, err = s.DataKeys(ctx, id, uuid.Nil, 10)
	h.check(err)
	_, err = s.ListTokens(ctx)
	h.check(err)
	_, err = s.PruneReplies(ctx)
	h.check(err)
	h.verified("in round " + string(rune('0'+round)))
}

// A migration waits on PostgreSQL for whoever reads the table that it changes; records do not wait with it. It is applied once
// the reader has ended.
func TestMigrationsLetRecordsPass(t *testing.T) {
	server := postgresStore(t)
	w := open(t, server)
	reader, err := server.read.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Rollback() }()
	if _, err := reader.ExecContext(t.Context(), "SELECT COUNT(*) FROM entries"); err != nil {
		t.Fatal(err)
	}
	newer := openBare(t, Config{URL: server.cfg.URL})
	done := make(chan error, 1)
	go func() {
		done <- newer.migrate(t.Context(), plus(t, newer, later, "ALTER TABLE entries ADD COLUMN ahead TEXT;\n"))
	}()
	for waiting := 0; waiting == 0; {
		err := server.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	e := ledgertest.NewEntry(w.ID, "a")
	if err := ledgertest.Record(ctx, server, w.ID, &e); err != nil {
		t.Fatalf("a record that came while a migration waited: %v", err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
