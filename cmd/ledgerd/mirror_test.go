package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
)

// breakMirror makes every write of the mirror fail until the returned function is called: its folder is replaced by a file.
func (h *house) breakMirror() (mend func()) {
	h.Helper()
	aside := h.mirror + ".aside"
	for _, sink := range h.parts.vigil.mirrors {
		_ = sink.Close() // it opens its segment anew with the next write
	}
	if err := os.Rename(h.mirror, aside); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(h.mirror, nil, 0o600); err != nil {
		h.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.Remove(h.mirror), os.Rename(aside, h.mirror)); err != nil {
			h.Fatal(err)
		}
	}
}

func status(err error) int {
	var e *client.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// While the mirror is away nothing is recorded and no undo is sent; reads go on. A rollback that its mirror has left in the middle
// goes on by itself once that is there again, and each attempt was in the mirror before its undo was sent.
func TestMirrorAwayDuringRollback(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	w := h.window("w")
	for _, at := range []string{"/1", "/2", "/3"} {
		h.effect(w.ID, at)
	}
	broken := make(chan func(), 1)
	h.third.onPut = func(at string) {
		h.checkAttempted(at) // fails while the mirror is away
		if at == "/3" {
			broken <- h.breakMirror()
		}
	}
	if _, err := h.client.StartRollback(t.Context(), w.ID, wire.RollbackRequest{}, 0); err != nil {
		t.Fatal(err)
	}
	mend := <-broken
	for range 3 {
		h.third.set("/4", `{"v":"new"}`)
		if _, err := h.client.Record(t.Context(), w.ID, putDraft("/4")); status(err) != http.StatusServiceUnavailable {
			t.Fatalf("recorded without the mirror: %v", err)
		}
	}
	if _, err := h.client.OpenWindow(t.Context(), wire.WindowDraft{Name: "n"}); status(err) != http.StatusServiceUnavailable {
		t.Fatalf("a window was opened without the mirror: %v", err)
	}
	h.read("/v1/windows/" + w.ID + "/entries")
	if got := h.read("/readyz"); !strings.Contains(got, warnAway) {
		t.Errorf("/readyz: %s", got)
	}
	mend()
	h.rollBack(w.ID)
	if got := h.read("/readyz"); strings.Contains(got, warnAway) {
		t.Errorf("/readyz: %s", got)
	}
	calls := map[string]int{}
	for _, at := range h.third.take() {
		calls[at]++
	}
	for _, at := range []string{"/1", "/2", "/3"} {
		if calls[at] != 1 {
			t.Errorf("%s was undone %d times", at, calls[at])
		}
	}
	h.stop()
	if out := h.must("verify"); out != "OK" {
		t.Fatal(out)
	}
}

// checkAttempted holds an undo that has just arrived at the third party to its attempt: it is in the mirror.
func (h *house) checkAttempted(at string) {
	found := false
	_, err := journal.ReadMirror(os.DirFS(h.mirror), func(r journal.Mirrored) error {
		var body struct {
			Attempt *struct {
				Request string `json:"request"`
			} `json:"attempt"`
		}
		if json.Unmarshal(r.Body, &body) == nil && body.Attempt != nil && strings.HasSuffix(body.Attempt.Request, at) {
			found = true
		}
		return nil
	})
	if err != nil || !found {
		h.Errorf("an undo of %s arrived before its attempt was in the mirror (%v)", at, err)
	}
}

// A database that fails while it is compared with the mirror is not the mirror's fault: the start fails, with --without-mirror too, and does not advise it.
func TestDatabaseFailsWhileMirrorIsCompared(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	h.effect(h.window("w").ID, "/1")
	h.stop()
	db, err := sql.Open("sqlite", h.db())
	if err == nil {
		_, err = db.ExecContext(t.Context(), "ALTER TABLE mirrored RENAME TO elsewhere")
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, without := range []bool{false, true} {
		if err := h.tryServe(without); err == nil || !strings.Contains(err.Error(), "read how far a mirror is") || strings.Contains(err.Error(), "--without-mirror") {
			t.Errorf("without its mirror %t: started although the database fails, or blamed the mirror: %v", without, err)
		}
	}
}

// serve --without-mirror records all the same and says so with every answer; with the mirror back, everything is brought there.
func TestWithoutMirror(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	w := h.window("w")
	mend := h.breakMirror()
	h.stop()
	if err := h.tryServe(false); err == nil || !strings.Contains(err.Error(), "--without-mirror") {
		t.Fatalf("it started without its mirror: %v", err)
	}
	if err := h.tryServe(true); err != nil {
		t.Fatal(err)
	}
	h.effect(w.ID, "/1")
	a, err := h.client.Send(t.Context(), client.Call{Method: http.MethodGet, Path: "/readyz"})
	if err != nil || !strings.Contains(string(a.Body), "without its mirror") || !strings.Contains(a.Header.Get(wire.HeaderWarning), "without its mirror") {
		t.Fatalf("%s, %v", a.Body, err)
	}
	h.stop()
	mend()
	h.serve()
	h.effect(w.ID, "/2")
	want := h.gets()
	h.stop()
	h.moved()
	h.must("rebuild", "--from", h.mirror)
	h.serve()
	if got := h.gets(); got["/v1/windows/"+w.ID+"/journal"] != want["/v1/windows/"+w.ID+"/journal"] {
		t.Fatal("what was recorded without the mirror is not there")
	}
}

// A mirror that has less than it had, as storage that is not mounted, is no mirror.
func TestMirrorThatLostItsRecords(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	h.window("w")
	h.stop()
	h.setMirror(nil)
	if err := h.tryServe(false); err == nil || !strings.Contains(err.Error(), "is its storage mounted") {
		t.Fatalf("%v", err)
	}
	h.mirror = filepath.Join(t.TempDir(), "another")
	h.configure()
	h.serve()
	h.window("v")
	h.stop()
	if out := h.must("verify"); out != "OK" {
		t.Fatal(out)
	}
}

// Two histories are never put together by themselves.
func TestFork(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	w := h.window("w")
	copied := filepath.Join(t.TempDir(), "copy.db")
	h.keeper.backup(copied)
	h.effect(w.ID, "/1")
	h.stop()
	then := h.mirrorBytes()
	h.keeper.restore(copied)
	mirror := h.mirror
	h.mirror, h.heads = "", &keptHeads{} // somebody runs the old copy on, with no mirror and clients that know nothing
	h.configure()
	h.serve()
	h.effect(w.ID, "/2")
	h.stop()
	h.mirror = mirror
	h.configure()
	h.setMirror(then)
	h.serve()
	safe := h.parts.vigil.Safe()
	h.stop()
	if safe == nil || !safe.Missing[0].Fork {
		t.Fatalf("%+v", safe)
	}
	for _, flags := range [][]string{nil, {"--accept-loss"}} {
		if status, _, talk := h.run(append([]string{"recover"}, flags...)...); status != exitPerson || !strings.Contains(talk, "two histories") {
			t.Fatalf("%v: %d %s", flags, status, talk)
		}
	}
	h.mirror = filepath.Join(t.TempDir(), "new") // the old mirror keeps the other history
	h.configure()
	h.must("recover", "--accept-fork")
	h.serve()
	h.effect(w.ID, "/3")
	h.stop()
	if out := h.must("verify"); out != "OK" {
		t.Fatal(out)
	}
}

// A database without its key was moved, or restored without it.
func TestKeyMissing(t *testing.T) {
	h := newHouse(t, false)
	h.serve()
	w := h.window("w")
	h.stop()
	if err := os.Remove(h.keeper.file(".note-key")); err != nil {
		t.Fatal(err)
	}
	if ledgertest.OnPostgres(t) { // the other replicas go on: one that lacks the key does not start
		if err := h.tryServe(false); err == nil || !strings.Contains(err.Error(), "every replica needs the same file") {
			t.Errorf("%v", err)
		}
		return
	}
	for range 2 {
		h.serve()
		if safe := h.parts.vigil.Safe(); safe == nil || !strings.Contains(safe.Text(), "key") {
			t.Fatalf("%+v", safe)
		}
		h.stop()
	}
	h.must("recover")
	h.serve()
	h.effect(w.ID, "/1")
}

// A recovery that is not needed changes nothing.
func TestRecoverNothing(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	h.window("w")
	want := h.gets()
	h.stop()
	if status, _, talk := h.run("recover"); status != 0 || !strings.Contains(talk, "nothing is missing") {
		t.Fatalf("%d %s", status, talk)
	}
	h.serve()
	if got := h.gets(); len(got) != len(want) || got["/v1/windows?limit=1000"] != want["/v1/windows?limit=1000"] {
		t.Fatal("it changed something")
	}
}

// A window that names a snapshot needs a ledger that outlives it.
func TestSnapshotNeedsMirror(t *testing.T) {
	for _, c := range []struct {
		mirrored bool
		more     string
		want     int
	}{{false, "", 422}, {true, "", 0}, {false, "outside_snapshot: true\n", 0}} {
		h := newHouse(t, c.mirrored)
		raw, err := os.ReadFile(h.config())
		if err == nil {
			err = os.WriteFile(h.config(), append(raw, c.more...), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		h.serve()
		_, err = h.client.OpenWindow(t.Context(), wire.WindowDraft{Name: "w", Snapshot: "vm-17@before"})
		if status(err) != c.want || err != nil && (!strings.Contains(err.Error(), "mirror:") || !strings.Contains(err.Error(), "outside_snapshot")) {
			t.Errorf("mirror %t, %q: %v", c.mirrored, c.more, err)
		}
		h.stop()
	}
}

// The HTTP sink and the command are fed by the same rules; what they were given makes the ledger again.
func TestOtherMirrors(t *testing.T) {
	var mu sync.Mutex
	var got []byte
	auth := ""
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		raw, _ := io.ReadAll(r.Body)
		got, auth = append(got, raw...), r.Header.Get("Authorization")
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(sink.Close)
	h := newHouse(t, false)
	dir := t.TempDir()
	t.Setenv("MIRROR_TOKEN", "s3cret")
	text, err := os.ReadFile(h.config())
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "mirror:\n  - {url: '"+sink.URL+"/in', credential: 'env:MIRROR_TOKEN', allow_private: true}\n"+
		"  - {command: [sh, -c, 'cat >>\"$0\"', '"+filepath.Join(dir, "a.journal")+"']}\n"...)
	if err := os.WriteFile(h.config(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	h.serve()
	w := h.window("w")
	h.effect(w.ID, "/1")
	h.rollBack(w.ID)
	if _, _, err := h.parts.vigil.Signed(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := h.read("/v1/windows/" + w.ID + "/journal")
	h.stop()
	if auth != "Bearer s3cret" {
		t.Errorf("the sink was called with %q", auth)
	}
	posted := t.TempDir()
	if err := os.WriteFile(filepath.Join(posted, "a.journal"), got, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{dir, posted} {
		h.moved()
		h.must("rebuild", "--from", from)
		h.serve()
		if h.read("/v1/windows/"+w.ID+"/journal") != want {
			t.Errorf("%s does not give the ledger again", from)
		}
		h.stop()
	}
}

// Mistakes in the configuration of a mirror name the field.
func TestMirrorConfig(t *testing.T) {
	for text, want := range map[string]string{
		"mirror: {folder: relative}": "absolute",
		"mirror: {}":                 "give one of",
		"mirror: [{folder: /a, url: 'https://x.test'}]": "give one of",
		"mirror: {folder: /a, fodler: /b}":              "fodler",
		"mirror: {folder: /a, credential: 'env:X'}":     "go with url",
		"mirror: [{url: 'ftp://x.test'}]":               "url",
		"mirror: {folder: /a}":                          "",
		"mirror: [{command: [x, y]}, {folder: /a}]":     "",
		"mirror: {url: 'https://x.test/in'}":            "",
		"outside_snapshot: true\nnote_key: /k":          "",
	} {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := (&configFlags{file: file}).load()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
