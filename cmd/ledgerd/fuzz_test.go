package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/api/wire"
	"sideledger/ledger/ledgertest"
	"sideledger/remediators"
)

func quiet() *env {
	return &env{getenv: func(string) string { return "" }, stdout: io.Discard, stderr: io.Discard, log: slog.New(slog.DiscardHandler)}
}

// A configuration is refused or can be served; none harms whoever reads it.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:8420\ndatabase: sqlite:ledger.db\nsystems:\n  flags:\n    remediator: http\n    profile: caddy\n    url: http://127.0.0.1:4242\n" +
		"    credential: env:X\n    auth: {scheme: header, name: Authorization}\n    allow_private: true\n    allow: [\"GET /a/*\"]\n" +
		"    retry: {base: 500ms, cap: 30s, attempts: 8}\n    rate: {per_second: 5, concurrent: 1}\n"))
	f.Add([]byte("systems: {a: {remediator: command, run: [x]}, manual: null}\n"))
	f.Add([]byte("a: &a [*a]\n---\nb: 1\n"))
	f.Add([]byte("systems:\n  x: {remediator: http, url: \"http://%zz\"}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var c Config
		if c.read(raw) != nil {
			return
		}
		override(&c.Listen, "", defaultListen)
		override(&c.Database, "", defaultDatabase)
		if c.validate() != nil {
			return
		}
		registry, warnings, err := remediators.NewRegistry(remediators.Options{
			Systems: c.Systems, Factories: factories(), Clock: time.Now, Log: slog.New(slog.DiscardHandler), Getenv: func(string) string { return "" },
		})
		if err != nil {
			return
		}
		defer registry.Close()
		for _, w := range warnings {
			_ = w.String()
		}
		for _, s := range registry.List() {
			if _, ok := c.Systems[s.Name]; !ok {
				t.Fatalf("a system %q that nobody configured", s.Name)
			}
		}
	})
}

func testImporter(t testing.TB) *importer {
	t.Helper()
	dir := t.TempDir()
	if ledgertest.OnPostgres(t) {
		t.Chdir(dir) // where such a ledger keeps its key
	}
	p, err := open(t.Context(), quiet(), Config{
		Database: emptyLedger(t), Systems: map[string]remediators.SystemConfig{manualSystem: {Remediator: "manual"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	i, err := newImporter(t.Context(), p, dir)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

const importedEntry = `{"system":"manual","kind":"manual.step","action":"update","resource":{"n":1e400},"before":{"a":1},"after":{"a":2},"state":"applied"}`

// A journal file of whatever content is taken in or refused, line by line, and records at most.
func FuzzImport(f *testing.F) {
	window := uuid.Must(uuid.NewV7()).String()
	f.Add("/v1/windows", "/v1/windows/"+window+"/entries", window, `{"name":"w"}`, importedEntry)
	f.Add("/v1/windows", "/v1/windows/"+window+"/rollbacks", window, `{"name":"w"}`, `{}`)
	f.Add("/v1/windows/ x", "/v1/%zz", "v1", `{"name":"w"}`, `{}`)
	f.Add("/v1/windows?a=b", "/v1/windows\r\nX: y", "/", `null`, "")
	f.Add("/v1/entries/"+window+"/resolve", "/v1/../metrics", "", `{"name":"w"}`, "7")
	i := testImporter(f)
	f.Fuzz(func(t *testing.T, first, second, makes, one, two string) {
		var buf []byte
		var sum [32]byte
		for n, c := range []wire.SpoolCall{{Path: first, Makes: makes, Body: []byte(one)}, {Path: second, Body: []byte(two)}} {
			var err error
			c.Method, c.Key, c.At = "POST", first+makes+string(rune('0'+n)), time.Unix(0, 0)
			if buf, sum, err = wire.AppendSpool(buf, sum, c); err != nil {
				return
			}
		}
		name := filepath.Join(t.TempDir(), "w.jsonl")
		if err := os.WriteFile(name, buf, 0o600); err != nil {
			t.Fatal(err)
		}
		i.windows = map[string]string{}
		err := i.file(context.Background(), quiet(), name)
		if runs, failed := i.parts.ledger.Unfinished(context.Background()); failed != nil || len(runs) > 0 {
			t.Fatalf("%q, %q: %d rollbacks, %v", first, second, len(runs), failed)
		}
		if err != nil && strings.Contains(err.Error(), "answered 5") {
			t.Fatalf("%q, %q: %v", first, second, err)
		}
	})
}

// What records is taken in; whatever else a file asks for is refused before anything happens.
func TestImportRecordsOnly(t *testing.T) {
	i := testImporter(t)
	id := uuid.Must(uuid.NewV7()).String()
	if err := i.send(t.Context(), quiet(), wire.SpoolCall{Method: "POST", Path: "/v1/windows", Key: "k", Makes: id, Body: []byte(`{"name":"w"}`)}); err != nil {
		t.Fatal(err)
	}
	if err := i.send(t.Context(), quiet(), wire.SpoolCall{Method: "POST", Path: "/v1/windows/" + id + "/entries", Key: "k", Body: []byte(importedEntry)}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/v1/windows/" + id + "/rollbacks", "/v1/windows/" + id + "/keep", "/v1/entries/" + id + "/resolve", "/v1/rollbacks/" + id + "/resume",
		"/v1/windows/" + id + "/entries?x=y", "/v1/windows/ x", "/v1/%zz", "/v1/windows\nx", "/v1/windows/../rollbacks",
	} {
		err := i.send(t.Context(), quiet(), wire.SpoolCall{Method: "POST", Path: path, Key: "k2", Body: []byte(`{}`)})
		if err == nil || !strings.Contains(err.Error(), "not a call that records") {
			t.Errorf("%q: %v", path, err)
		}
	}
	if runs, err := i.parts.ledger.Unfinished(t.Context()); err != nil || len(runs) > 0 {
		t.Errorf("%d rollbacks, %v", len(runs), err)
	}
}
