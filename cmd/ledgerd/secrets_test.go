package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/secrets"
	"sideledger/remediators"
)

// A place is a ledger in a folder, with what its commands say.
type place struct {
	*testing.T
	dir    string
	key    string // the file that the key is in when none is configured
	vars   map[string]string
	config Config
	said   bytes.Buffer
}

func newPlace(t *testing.T, systems map[string]remediators.SystemConfig) *place {
	t.Helper()
	p := &place{T: t, dir: t.TempDir(), vars: map[string]string{}}
	p.config = Config{Listen: defaultListen, Database: "sqlite:" + filepath.Join(p.dir, "l.db"), Systems: systems}
	if p.key = filepath.Join(p.dir, "l.db.secrets-key"); ledgertest.OnPostgres(t) {
		p.config.Database, p.key = migratedPostgres(t), filepath.Join(p.dir, "ledgerd.secrets-key")
		t.Chdir(p.dir)
	}
	return p
}

func (p *place) open() (*parts, error) {
	e := &env{getenv: func(n string) string { return p.vars[n] }, stdout: &p.said, stderr: &p.said, log: slog.New(slog.NewTextHandler(&p.said, nil))}
	return open(p.Context(), e, p.config)
}

func (p *place) mustOpen() *parts {
	p.Helper()
	parts, err := p.open()
	if err != nil {
		p.Fatal(err)
	}
	return parts
}

// ledgerd runs a subcommand on the same ledger.
func (p *place) ledgerd(args ...string) (status int, said string) {
	p.Helper()
	text := fmt.Sprintf("database: %s\nsecrets: {key: %q, previous: [%s]}\n", p.config.Database, p.config.Secrets.Key, quoted(p.config.Secrets.Previous))
	file := filepath.Join(p.dir, "ledgerd.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
	var out bytes.Buffer
	status = run(p.Context(), append(args, "--config", file), func(n string) string { return p.vars[n] }, &out, &out)
	return status, out.String()
}

func quoted(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, fmt.Sprintf("%q", s))
	}
	return strings.Join(out, ", ")
}

// fact records an update that is there already, with a secret token.
func (p *place) fact(l *ledger.Ledger, window uuid.UUID, d ledger.Draft) *ledger.Entry {
	p.Helper()
	d.Action, d.State, d.Secret = ledger.ActionUpdate, ledger.EntryApplied, []string{"/token"}
	got, err := l.Record(p.Context(), window, []ledger.Draft{d})
	if err != nil {
		p.Fatal(err)
	}
	return got[0].Entry
}

func window(t *testing.T, l *ledger.Ledger) uuid.UUID {
	t.Helper()
	w, err := l.OpenWindow(t.Context(), ledger.WindowDraft{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	return w.ID
}

// roll rolls a window back to its end.
func (p *place) roll(parts *parts, windowID uuid.UUID) *ledger.RollbackView {
	p.Helper()
	started, err := parts.ledger.StartRollback(p.Context(), windowID, ledger.RollbackRequest{})
	if err != nil {
		p.Fatal(err)
	}
	parts.newRunner(nil, false).RunOne(p.Context(), started.ID)
	run, err := parts.ledger.Rollback(p.Context(), started.ID)
	if err != nil {
		p.Fatal(err)
	}
	return run
}

// documents is a third party that keeps one document a path and counts changing calls.
type documents struct {
	mu    sync.Mutex
	state map[string]string
	wrote []string
}

func (d *documents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Method != http.MethodGet {
		d.wrote = append(d.wrote, r.Method+" "+r.URL.Path+" "+string(body))
		d.state[r.URL.Path] = string(body)
	}
	_, _ = io.WriteString(w, d.state[r.URL.Path])
}

func (d *documents) written() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.wrote, "\n")
}

// The key is made once, beside the database; another one, or none, is refused at start, with the id that is wanted.
func TestTheKeyAtStart(t *testing.T) {
	p := newPlace(t, nil)
	p.mustOpen().close()
	file := p.key
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(p.said.String(), file) {
		t.Fatalf("%v, said %s", err, p.said.String())
	}
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p.said.Reset()
	p.mustOpen().close()
	if again, _ := os.ReadFile(file); !bytes.Equal(again, first) || p.said.Len() > 0 {
		t.Errorf("the second start made another one, or said something: %s", p.said.String())
	}
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	id, _ := secrets.ParseKey(string(first))
	if _, err := p.open(); err == nil || !strings.Contains(err.Error(), id.ID()) || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("without its key: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("another key was made in the place of a missing one")
	}
	p.vars["KEY"] = secrets.NewKey().Text().Reveal()
	p.config.Secrets.Key = "env:KEY"
	if _, err := p.open(); err == nil || !strings.Contains(err.Error(), "not the key of this ledger: want key "+id.ID()) {
		t.Errorf("with another key: %v", err)
	}
	p.config.Secrets.Key = "file:" + file + ".away"
	p.mustOpen().close()
	for _, ref := range []string{string(first), "file:relative", "file:/nonexistent", "env:NOTHING"} {
		p.config.Secrets.Key = strings.TrimSpace(ref)
		if status, said := p.ledgerd("check-config"); status == 0 || strings.Contains(said, strings.TrimSpace(string(first))) {
			t.Errorf("%s: %d %s", ref, status, said)
		}
	}
}

// A rotation: everything stays readable under the new key alone, and no byte of entry, ciphertext or journal moves.
func TestRewrap(t *testing.T) {
	third := &documents{state: map[string]string{}}
	srv := httptest.NewServer(third)
	defer srv.Close()
	p := newPlace(t, map[string]remediators.SystemConfig{"sys": {Remediator: "http", URL: srv.URL, AllowPrivate: true}})
	parts := p.mustOpen()
	w := window(t, parts.ledger)
	const n = 230 // more than a page
	for i := range n {
		path := fmt.Sprintf("/%d", i)
		third.state[path] = `{"token":"after"}`
		p.fact(parts.ledger, w, ledger.Draft{
			System: "sys", Kind: "http.request", Resource: json.RawMessage(`{"at":"` + path + `"}`), Before: ledger.Image{JSON: json.RawMessage(`{"token":"before ` + path + `"}`)},
			After: ledger.Image{JSON: json.RawMessage(`{"token":"after"}`)}, Read: json.RawMessage(`{"method":"GET","path":"` + path + `"}`),
			Undo: json.RawMessage(`{"method":"PUT","path":"` + path + `","body":"{{before}}"}`),
		})
	}
	before := exported(t, parts, w)
	keys, _ := parts.store.DataKeys(t.Context(), uuid.Nil, uuid.Nil, 1000)
	parts.close()
	if len(keys) != n {
		t.Fatalf("%d data keys", len(keys))
	}
	next := filepath.Join(p.dir, "next")
	if status, said := p.ledgerd("rewrap", "--new-key", next); status != 0 {
		t.Fatal(said)
	}
	p.config.Secrets = SecretsConfig{Key: "file:" + next}
	if status, said := p.ledgerd("rewrap"); status == 0 || !strings.Contains(said, "secrets.previous") {
		t.Errorf("without the old key: %d %s", status, said)
	}
	p.config.Secrets.Previous = []string{"file:" + p.key}
	for i, want := range []string{fmt.Sprint(n+1, " keys"), "0 keys"} {
		if status, said := p.ledgerd("rewrap"); status != 0 || !strings.Contains(said, want) {
			t.Fatalf("rewrap %d: %d %s", i, status, said)
		}
	}
	p.config.Secrets.Previous = nil
	parts = p.mustOpen()
	defer parts.close()
	if after := exported(t, parts, w); !slices.Equal(before, after) {
		t.Error("the rotation changed an entry or the journal")
	}
	now, _ := parts.store.DataKeys(t.Context(), w, uuid.Nil, 1000)
	for i, k := range now {
		if bytes.Equal(k.Wrapped, keys[i].Wrapped) {
			t.Fatalf("entry %s is under the old key still", k.Entry)
		}
	}
	if run := p.roll(parts, w); !run.Complete || third.state["/229"] != `{"token":"before /229"}` {
		t.Errorf("%+v, %s", run.Counts, third.state["/229"])
	}
	status, said := p.ledgerd("keys", "--window", w.String())
	if status != 0 || strings.Count(said, "data_key") != n || strings.Count(said, "root") != 1 {
		t.Errorf("keys: %d, %d lines", status, strings.Count(said, "\n"))
	}
}

// exported is the journal and every entry as they are stored; the journal's chain holds.
func exported(t *testing.T, p *parts, w uuid.UUID) []string {
	t.Helper()
	var out []string
	var prev [32]byte
	records, err := p.ledger.Records(t.Context(), ledger.RecordQuery{WindowID: w, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if journal.Chain(prev, r.Body) != r.Hash {
			t.Fatalf("record %d breaks the chain", r.Number)
		}
		prev = r.Hash
		out = append(out, string(r.Body))
	}
	list, err := p.ledger.Entries(t.Context(), ledger.EntryQuery{WindowID: w, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		raw, err := ledger.EncodeDraft(&list[i].Draft)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(raw))
	}
	return out
}

// A mask is never written back, by no kind, also where it was captured into a secret field: the entry is blocked,
// and says which field.
func TestMaskedSecretsAreNeverWrittenBack(t *testing.T) {
	third := &documents{state: map[string]string{"/a": `{"token":"********","n":2}`, "/config/apps": `{"token":"********","n":2}`, "/": "{}"}}
	srv := httptest.NewServer(third)
	defer srv.Close()
	dir := t.TempDir()
	script := filepath.Join(dir, "s.sh")
	ran := filepath.Join(dir, "ran")
	if err := os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\nif [ \"$1\" = undo ]; then cat >>%s; fi\necho '{\"now\":{\"token\":\"********\",\"n\":2}}'\n", ran), 0o700); err != nil {
		t.Fatal(err)
	}
	p := newPlace(t, map[string]remediators.SystemConfig{
		"sys": {Remediator: "http", URL: srv.URL, AllowPrivate: true}, "edge": {Remediator: "http", Profile: "caddy", URL: srv.URL, AllowPrivate: true},
		"cmd": {Remediator: "command", Commands: map[string]remediators.CommandConfig{"set": {Argv: []string{script, "undo"}, Read: []string{script, "read"}}}},
	})
	parts := p.mustOpen()
	defer parts.close()
	masked, after := ledger.Image{JSON: json.RawMessage(`{"token":"********","n":1}`)}, ledger.Image{JSON: json.RawMessage(`{"token":"********","n":2}`)}
	for name, d := range map[string]ledger.Draft{
		"http.request": {System: "sys", Kind: "http.request", Resource: json.RawMessage(`{}`), Read: json.RawMessage(`{"method":"GET","path":"/a"}`), Undo: json.RawMessage(`{"method":"PUT","path":"/a","body":"{{before}}"}`)},
		"one field":    {System: "sys", Kind: "http.request", Resource: json.RawMessage(`{"x":1}`), Read: json.RawMessage(`{"method":"GET","path":"/a"}`), Undo: json.RawMessage(`{"method":"PATCH","path":"/a","body":{"t":"{{before.token}}"}}`)},
		"a profile":    {System: "edge", Kind: "caddy.config", Resource: json.RawMessage(`{"path":"/apps"}`)},
		"a command":    {System: "cmd", Kind: "x", Resource: json.RawMessage(`{"x":1}`), Undo: json.RawMessage(`{"command":"set"}`)},
	} {
		w := window(t, parts.ledger)
		d.Before, d.After = masked, after
		e := p.fact(parts.ledger, w, d)
		verdict := ""
		if _, err := parts.ledger.Plan(t.Context(), w, ledger.Selection{}, func(s ledger.Step) error { verdict = string(s.Verdict) + " " + s.Detail; return nil }); err != nil {
			t.Fatal(err)
		}
		run := p.roll(parts, w)
		e, err := parts.ledger.Entry(context.WithoutCancel(t.Context()), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if run.Counts.Stuck != 1 || e.Reason != ledger.ReasonBlocked || !strings.Contains(e.Detail, "secret_missing: /") || !strings.HasPrefix(verdict, "blocked secret_missing: /") {
			t.Errorf("%s: %s %s %q, plan %q", name, e.State, e.Reason, e.Detail, verdict)
		}
	}
	if got := third.written(); got != "" {
		t.Errorf("written: %s", got)
	}
	if got, err := os.ReadFile(ran); err == nil {
		t.Errorf("the command was given: %s", got)
	}
}
