package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // edits are made behind the ledger's back
	_ "modernc.org/sqlite"

	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
)

// tampers is how many random edits are made.
const tampers = 200

// A burglar edits a copy of a ledger's database, as somebody would who can write the file, or who is PostgreSQL's superuser.
type burglar struct {
	t        *testing.T
	database string // the copy, as in a configuration
	db       *sql.DB
	textFunc func(query string) string // as the database wants it
	rnd      *rand.Rand
	skip     bool // the edit found nothing to edit
}

func (b *burglar) exec(query string, args ...any) {
	b.t.Helper()
	if _, err := b.db.ExecContext(b.t.Context(), b.textFunc(query), args...); err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
}

// pick returns one row of a query, by chance.
func (b *burglar) pick(query string, args ...any) []any {
	b.t.Helper()
	rows, err := b.db.QueryContext(b.t.Context(), b.textFunc(query), args...)
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		b.t.Fatal(err)
	}
	var all [][]any
	for rows.Next() {
		row, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		if err := rows.Scan(dest...); err != nil {
			b.t.Fatal(err)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		b.t.Fatal(err)
	}
	if len(all) == 0 {
		b.skip = true
		return make([]any, len(columns))
	}
	return all[b.rnd.IntN(len(all))]
}

// A wrong is where the first bad record has to be found.
type wrong struct {
	window string // empty: the signed tree
	number int64
}

func at(window, number any) wrong { return wrong{fmt.Sprint(window), number.(int64)} }

// record picks a record that is not the window's first.
func (b *burglar) record() (window any, number int64, body []byte) {
	r := b.pick("SELECT window_id, number, body FROM journal WHERE number > 1")
	if b.skip {
		return "", 0, nil
	}
	return r[0], r[1].(int64), r[2].([]byte)
}

// The edits, by name. Each returns where the first bad record is then.
var edits = map[string]func(b *burglar) wrong{
	"a byte of a record": func(b *burglar) wrong {
		w, n, body := b.record()
		i := b.rnd.IntN(len(body))
		body[i] ^= byte(1 + b.rnd.IntN(255))
		b.exec("UPDATE journal SET body = ? WHERE window_id = ? AND number = ?", body, w, n)
		return at(w, n)
	},
	"a hash": func(b *burglar) wrong {
		w, n, _ := b.record()
		b.exec("UPDATE journal SET hash = zeroblob(32) WHERE window_id = ? AND number = ?", w, n)
		return at(w, n)
	},
	"a record deleted": func(b *burglar) wrong {
		w, n, _ := b.record()
		b.exec("DELETE FROM journal WHERE window_id = ? AND number = ?", w, n)
		return at(w, n)
	},
	"two records swapped": func(b *burglar) wrong {
		r := b.pick("SELECT a.window_id, a.number FROM journal a JOIN journal b ON a.window_id = b.window_id AND b.number = a.number + 1 WHERE a.number > 1")
		if b.skip {
			return wrong{}
		}
		n := r[1].(int64)
		for _, move := range [][2]int64{{n, -1}, {n + 1, n}, {-1, n + 1}} {
			b.exec("UPDATE journal SET number = ? WHERE window_id = ? AND number = ?", move[1], r[0], move[0])
		}
		return at(r[0], n)
	},
	"a column of a record": func(b *burglar) wrong {
		w, n, _ := b.record()
		edit := []string{"kind = 'entry.void'||kind", "at = at + 1", "entry_id = entry_id || 'x'", "rollback_id = 'r'"}[b.rnd.IntN(4)]
		b.exec("UPDATE journal SET "+edit+" WHERE window_id = ? AND number = ?", w, n)
		return at(w, n)
	},
	"an entry's row": func(b *burglar) wrong {
		r := b.pick("SELECT window_id, journal_number, id FROM entries")
		edit := []string{
			"state = 'waived', open = 0", "system = 'other'", "outcome = 'by_hand'", "body = CAST(body || x'20' AS BLOB)", "on_rollback = 'retain'",
			"resource_key = NULL", "recorded_by = 'somebody'", "undone_at = 1", "detail = 'all is well'", "posted = zeroblob(32)", "seq = seq + 1000",
		}[b.rnd.IntN(11)]
		if !b.skip {
			b.exec("UPDATE entries SET "+edit+" WHERE id = ?", r[2])
			return at(r[0], r[1])
		}
		return wrong{}
	},
	"an entry deleted": func(b *burglar) wrong {
		r := b.pick("SELECT window_id, journal_number, id FROM entries")
		if b.skip {
			return wrong{}
		}
		b.exec("DELETE FROM attempts WHERE entry_id = ?", r[2])
		b.exec("DELETE FROM entries WHERE id = ?", r[2])
		return at(r[0], r[1])
	},
	"an attempt": func(b *burglar) wrong {
		r := b.pick("SELECT e.window_id, e.journal_number, a.entry_id, a.n FROM attempts a JOIN entries e ON e.id = a.entry_id")
		if b.skip {
			return wrong{}
		}
		edit := []string{"DELETE FROM attempts", "UPDATE attempts SET result = 'refused'", "UPDATE attempts SET ended_at = 0"}[b.rnd.IntN(3)]
		b.exec(edit+" WHERE entry_id = ? AND n = ?", r[2], r[3])
		return at(r[0], r[1])
	},
	"a rollback": func(b *burglar) wrong {
		r := b.pick("SELECT w.id, w.head_number, r.id FROM rollbacks r JOIN windows w ON w.id = r.window_id")
		if b.skip {
			return wrong{}
		}
		edit := []string{"complete = 1 - complete", "requested_by = 'x'", "reason = 'x'", "epoch = epoch + 1"}[b.rnd.IntN(4)]
		b.exec("UPDATE rollbacks SET "+edit+" WHERE id = ?", r[2])
		return at(r[0], r[1])
	},
	"a window's row": func(b *burglar) wrong {
		r := b.pick("SELECT id, head_number FROM windows")
		edit := []string{"name = 'x'", "state = 'kept'", "ticket = 'x'", "last_seq = last_seq + 1", "head_hash = zeroblob(32)", "labels = NULL"}[b.rnd.IntN(6)]
		b.exec("UPDATE windows SET "+edit+" WHERE id = ?", r[0])
		return at(r[0], r[1])
	},
	"a window removed": func(b *burglar) wrong {
		r := b.pick("SELECT id FROM windows")
		b.forget(r[0])
		return wrong{fmt.Sprint(r[0]), 1}
	},
	"a window removed with its leaves": func(b *burglar) wrong {
		r := b.pick("SELECT id FROM windows")
		b.forget(r[0])
		b.exec("DELETE FROM leaves")
		b.exec("DELETE FROM facts WHERE name = 'note'")
		b.exec("DELETE FROM mirrored")
		return wrong{fmt.Sprint(r[0]), 1}
	},
	"a tail cut off": func(b *burglar) wrong {
		w, n, _ := b.record()
		b.exec("DELETE FROM journal WHERE window_id = ? AND number >= ?", w, n)
		return at(w, n)
	},
	"a tail cut off and its head moved": func(b *burglar) wrong {
		w, n, _ := b.record()
		b.exec("DELETE FROM journal WHERE window_id = ? AND number >= ?", w, n)
		b.exec("UPDATE windows SET head_number = ?, head_hash = (SELECT hash FROM journal WHERE window_id = id AND number = ?) WHERE id = ?", n-1, n-1, w)
		return at(w, n)
	},
	"a tail chained anew": func(b *burglar) wrong {
		w, n, body := b.record()
		b.rechain(w, n, bytes.Replace(body, []byte(`"actor":"`), []byte(`"actor":"x`), 1))
		return at(w, n)
	},
	"an entry put in": func(b *burglar) wrong {
		r := b.pick("SELECT w.id, w.head_number, e.id FROM entries e JOIN windows w ON w.id = e.window_id")
		b.exec("CREATE TEMP TABLE more AS SELECT * FROM entries WHERE id = ?", r[2])
		b.exec("UPDATE more SET id = ?, seq = 100000, resource_ref = NULL", uuid.Must(uuid.NewV7()).String())
		b.exec("INSERT INTO entries SELECT * FROM more")
		return wrong{fmt.Sprint(r[0]), r[1].(int64) + 1}
	},
	"a leaf": func(b *burglar) wrong {
		r := b.pick("SELECT place FROM leaves")
		b.exec("UPDATE leaves SET number = number - 1 WHERE place = ?", r[0])
		return wrong{}
	},
	"the last leaves": func(b *burglar) wrong {
		r := b.pick("SELECT place FROM leaves WHERE place > 0")
		b.exec("DELETE FROM leaves WHERE place >= ?", r[0])
		return wrong{}
	},
	"the signed head": func(b *burglar) wrong {
		r := b.pick("SELECT value FROM facts WHERE name = 'note'")
		raw := r[0].([]byte)
		raw[b.rnd.IntN(bytes.IndexByte(raw, '\n'))] ^= 1
		b.exec("UPDATE facts SET value = ? WHERE name = 'note'", raw)
		return wrong{}
	},
}

// forget removes every row of a window.
func (b *burglar) forget(w any) {
	b.exec("DELETE FROM attempts WHERE entry_id IN (SELECT id FROM entries WHERE window_id = ?)", w)
	for _, table := range []string{"entries", "rollbacks", "journal"} {
		b.exec("DELETE FROM "+table+" WHERE window_id = ?", w)
	}
	b.exec("DELETE FROM windows WHERE id = ?", w)
}

// rechain changes a record and makes every hash after it, in every table, follow from it.
func (b *burglar) rechain(w any, n int64, body []byte) {
	rows, err := b.db.QueryContext(b.t.Context(), b.textFunc("SELECT number, body, hash FROM journal WHERE window_id = ? AND number >= ? ORDER BY number"), w, n-1)
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	type rec struct {
		n          int64
		body, hash []byte
	}
	var list []rec
	for rows.Next() {
		var r rec
		if err := rows.Scan(&r.n, &r.body, &r.hash); err != nil {
			b.t.Fatal(err)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		b.t.Fatal(err)
	}
	_ = rows.Close() // the one connection is needed for what follows
	prev := [32]byte(list[0].hash)
	for _, r := range list[1:] {
		if r.n == n {
			r.body = body
		}
		old := r.hash
		prev = journal.Chain(prev, r.body)
		b.exec("UPDATE journal SET body = ?, hash = ? WHERE window_id = ? AND number = ?", r.body, prev[:], w, r.n)
		b.exec("UPDATE entries SET journal_hash = ? WHERE window_id = ? AND journal_hash = ?", prev[:], w, old)
	}
	b.exec("UPDATE windows SET head_hash = ? WHERE id = ?", prev[:], w)
}

// verifyAt checks a copy of a ledger in this process.
func (h *house) verifyAt(database string, with verifyWith) []journal.Damage {
	h.Helper()
	e := &env{getenv: os.Getenv, stdout: io.Discard, stderr: io.Discard, log: slog.New(slog.DiscardHandler)}
	p, err := openParts(h.Context(), e, Config{Database: database}, opening{closed: true})
	if err != nil {
		h.Fatal(err)
	}
	defer p.close()
	bad, err := p.verify(context.Background(), e, with)
	if err != nil {
		return []journal.Damage{{Problem: err.Error()}}
	}
	return bad
}

// tampered makes a ledger worth tampering with; its key's public half is beside it.
func tampered(t *testing.T) (h *house, key, note string) {
	t.Helper()
	h = newHouse(t, true)
	h.serve()
	rnd := rand.New(rand.NewPCG(20261127, 77))
	for range 6 {
		h.busy(rnd, 12)
		var err error
		if note, key, err = h.parts.vigil.Signed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h.stop()
	return h, key, note
}

// breakIn makes a copy of a house's ledger, which nobody serves, and edits it; skip: there was nothing to edit. end it before the copy is verified.
func (h *house) breakIn(t *testing.T, name string, rnd *rand.Rand) (b *burglar, want wrong) {
	t.Helper()
	driver, source := "sqlite", ""
	b = &burglar{t: t, rnd: rnd, textFunc: func(query string) string { return query }}
	if ledgertest.OnPostgres(t) {
		b.database, b.textFunc = postgres.Clone(t, h.keeper.database()), postgresText
		driver, source = "pgx", b.database+"&default_query_exec_mode=simple_protocol"
	} else {
		source = filepath.Join(t.TempDir(), "copy.db")
		b.database = "sqlite:" + source
		clean, err := os.ReadFile(h.db())
		if err == nil {
			err = os.WriteFile(source, clean, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if b.db, err = sql.Open(driver, source); err != nil {
		t.Fatal(err)
	}
	b.db.SetMaxOpenConns(1)
	if driver == "pgx" {
		b.exec("CREATE FUNCTION zeroblob(n integer) RETURNS bytea LANGUAGE sql RETURN decode(repeat('00', n), 'hex')")
	}
	want = edits[name](b)
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	return b, want
}

// postgresText turns a statement of SQLite's into one of PostgreSQL's.
func postgresText(query string) string {
	query = strings.NewReplacer("CAST(body || x'20' AS BLOB)", `body || '\x20'::bytea`, "open = 0", "open = false", "1 - complete", "NOT complete").Replace(query)
	for n := 1; strings.Contains(query, "?"); n++ {
		query = strings.Replace(query, "?", fmt.Sprintf("$%d", n), 1)
	}
	return query
}

// Every one of 200 random edits of the database is found, and the first bad record is the one that was edited. On PostgreSQL there are fewer.
func TestTamperedDatabase(t *testing.T) {
	beside(t)
	h, key, note := tampered(t)
	with := verifyWith{note: note, key: key, dirs: []string{h.mirror}}
	if bad := h.verifyAt(h.keeper.database(), with); len(bad) > 0 {
		t.Fatalf("a clean ledger raises an alarm: %v", bad)
	}
	names, rounds := slices.Sorted(maps.Keys(edits)), tampers
	if ledgertest.OnPostgres(t) {
		rounds = 2 * len(names)
	}
	rnd := rand.New(rand.NewPCG(29, 200))
	for i := range rounds {
		name := names[i%len(names)]
		t.Run(fmt.Sprintf("%d %s", i, name), func(t *testing.T) {
			b, want := h.breakIn(t, name, rnd)
			if b.skip {
				t.Fatal("there is nothing to edit")
			}
			bad := h.verifyAt(b.database, with)
			if !slices.ContainsFunc(bad, func(d journal.Damage) bool {
				return d.WindowID == want.window && (want.window == "" || d.Number == want.number)
			}) {
				t.Errorf("%s: want window %s, record %d; found %v", name, want.window, want.number, bad)
			}
		})
	}
}

// What somebody kept elsewhere, a signed head and its key, is enough to find a window that was removed, a tail that was cut and a tail
// that was chained anew, with every trace of the head removed from the database.
func TestKeptHeadFindsTampering(t *testing.T) {
	h, key, note := tampered(t)
	for _, name := range []string{"a window removed with its leaves", "a tail cut off and its head moved", "a tail chained anew", "the last leaves", "a leaf"} {
		t.Run(name, func(t *testing.T) {
			b, _ := h.breakIn(t, name, rand.New(rand.NewPCG(1, 1)))
			if bad := h.verifyAt(b.database, verifyWith{note: note, key: key}); len(bad) == 0 {
				t.Errorf("%s was not found by the head alone", name)
			}
		})
	}
}
