package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"sideledger/api/wire"
	"sideledger/ledger/journal"
	"sideledger/ledger/secrets"
)

const (
	secretWas = "s3cret-that-was-there-before"
	secretIs  = "s3cret-that-the-upgrade-set"
)

// secretEffect rotates a token at the third party and records it.
func (h *house) secretEffect(window, at string) *wire.Entry {
	h.Helper()
	h.third.set(at, `{"token":"`+secretIs+`"}`)
	d := putDraft(at)
	d.Secret, d.Before, d.After = []string{"/token"}, json.RawMessage(`{"token":"`+secretWas+`"}`), json.RawMessage(`{"token":"`+secretIs+`"}`)
	d.Undo = json.RawMessage(strings.Replace(string(d.Undo), `{"v":"old"}`, `"{{before}}"`, 1))
	e, err := h.client.Record(h.Context(), window, d)
	if err != nil {
		h.Fatal(err)
	}
	return e
}

// secretHouse is a ledger with a window of two entries with secret fields and one without, stopped.
func secretHouse(t *testing.T) (h *house, window string) {
	t.Helper()
	h = newHouse(t, true)
	h.serve()
	window = h.window("w").ID
	h.secretEffect(window, "/1")
	h.effect(window, "/2")
	h.secretEffect(window, "/3")
	h.stop()
	return h, window
}

// moved gives the house another host: nothing of the old one but the files that are brought along, by what their names end in.
func (h *house) moved(bring ...string) {
	h.Helper()
	files := map[string][]byte{}
	for _, suffix := range bring {
		raw, err := os.ReadFile(h.keeper.file(suffix))
		if err != nil {
			h.Fatal(err)
		}
		files[suffix] = raw
	}
	h.dir = h.TempDir()
	h.keeper.move()
	for suffix, raw := range files {
		if err := os.WriteFile(h.keeper.file(suffix), raw, 0o600); err != nil {
			h.Fatal(err)
		}
	}
	h.configure()
}

// secretsBack rolls the window back and holds the third party to the values that were there before.
func (h *house) secretsBack(window string) {
	h.Helper()
	h.serve()
	run := h.rollBack(window)
	h.stop()
	if run.Counts.Undone != 3 || run.Counts.Stuck != 0 {
		h.Errorf("%+v", run.Counts)
	}
	for at, want := range map[string]string{"/1": `{"token":"` + secretWas + `"}`, "/2": `{"v":"old"}`, "/3": `{"token":"` + secretWas + `"}`} {
		if got := h.third.copyState()[at]; got != want {
			h.Errorf("the third party shows %s at %s", got, at)
		}
	}
}

const keySuffix = ".secrets-key"

// The mirror and the key make a ledger whose secrets open: its window is rolled back with the true values. Neither the mirror
// nor what rebuild says has one of them in plain, nor a key.
func TestRebuiltLedgerOpensItsSecrets(t *testing.T) {
	h, window := secretHouse(t)
	key, err := os.ReadFile(h.keeper.file(keySuffix))
	if err != nil {
		t.Fatal(err)
	}
	h.moved(keySuffix)
	status, _, talk := h.run("rebuild", "--from", h.mirror)
	if status != 0 || !strings.Contains(talk, "the data keys of 2 entries") {
		t.Fatalf("%d %s", status, talk)
	}
	if out := h.must("verify"); out != "OK" {
		t.Fatal(out)
	}
	h.secretsBack(window)
	all := archive{"talk": []byte(talk)}
	for name, raw := range h.mirrorBytes() {
		all.add(name, raw)
	}
	for _, value := range []string{secretWas, secretIs, strings.TrimSpace(string(key)), strings.TrimPrefix(strings.TrimSpace(string(key)), "sideledger-key-1:")} {
		for _, hit := range all.hits(value) {
			t.Errorf("a secret stands in %s", hit)
		}
	}
	h.moved(keySuffix) // and once more, from what the rebuilt ledger has written
	h.must("rebuild", "--from", h.mirror)
	if out := h.must("verify"); out != "OK" {
		t.Fatal(out)
	}
}

// Without the key nothing is made, and it is said which key is missing, what for, and where it goes. --without-secrets-key makes the
// ledger all the same: the other entries are undone, those are blocked, and undone once the key is there.
func TestRebuildWithoutTheKey(t *testing.T) {
	h, window := secretHouse(t)
	raw, err := os.ReadFile(h.keeper.file(keySuffix))
	if err != nil {
		t.Fatal(err)
	}
	key, err := secrets.ParseKey(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	h.moved()
	wrong := secrets.NewKey()
	for _, there := range []string{"", wrong.Text().Reveal() + "\n"} {
		if there != "" {
			if err := os.WriteFile(h.keeper.file(keySuffix), []byte(there), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		status, _, talk := h.run("rebuild", "--from", h.mirror)
		for _, want := range []string{key.ID(), "2 entries", h.keeper.file(keySuffix), "secrets.key", "blocked", "Nothing was made", "--without-secrets-key"} {
			if !strings.Contains(talk, want) {
				t.Errorf("with %d bytes of a key it does not say %q: %s", len(there), want, talk)
			}
		}
		if there != "" && !strings.Contains(talk, wrong.ID()) {
			t.Errorf("it does not say which key is here: %s", talk)
		}
		if status != exitPerson {
			t.Errorf("exit status %d", status)
		}
	}
	if err := os.Remove(h.keeper.file(keySuffix)); err != nil {
		t.Fatal(err)
	}
	if status, _, talk := h.run("rebuild", "--from", h.mirror, "--without-secrets-key"); status != 0 || !strings.Contains(talk, key.ID()) {
		t.Fatalf("%d %s", status, talk)
	}
	if _, err := os.Stat(h.keeper.file(keySuffix)); err == nil {
		t.Error("another key was made in its place")
	}
	if err := h.tryServe(false); err == nil || !strings.Contains(err.Error(), key.ID()) {
		t.Errorf("it is served without its key: %v", err)
	}
	status, out, talk := h.run("rollback", "--window", window, "--without-secrets-key")
	if status != exitFailed || strings.Count(out, "blocked, secret_unreadable") != 2 || h.third.copyState()["/2"] != `{"v":"old"}` {
		t.Errorf("%d %s %s, /2 shows %s", status, out, talk, h.third.copyState()["/2"])
	}
	if got := h.third.copyState()["/1"]; !strings.Contains(got, secretIs) {
		t.Errorf("/1 shows %s", got)
	}
	if err := os.WriteFile(h.keeper.file(keySuffix), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	h.secretsBack(window)
}

var keyLines = regexp.MustCompile(`(?m)^\{"key":.*\n`)

// editMirror changes every segment of the mirror.
func (h *house) editMirror(edit func(string) string) {
	h.Helper()
	files := h.mirrorBytes()
	for name, raw := range files {
		files[name] = []byte(edit(string(raw)))
	}
	h.setMirror(files)
}

// A mirror that an earlier version wrote has no keys: verify says so, and rebuild, which makes nothing unless that is
// accepted.
func TestMirrorsWithoutKeys(t *testing.T) {
	h, window := secretHouse(t)
	h.editMirror(func(s string) string { return keyLines.ReplaceAllString(s, "") })
	if status, out, _ := h.run("verify"); status != exitFailed || !strings.Contains(out, "has not the data keys of 2 entries") {
		t.Errorf("verify: %d %s", status, out)
	}
	h.moved()
	status, _, talk := h.run("rebuild", "--from", h.mirror)
	if status != exitPerson || !strings.Contains(talk, "no keys of secret fields, and 2 entries") {
		t.Errorf("%d %s", status, talk)
	}
	h.must("rebuild", "--from", h.mirror, "--accept-loss")
	status, out, _ := h.run("rollback", "--window", window)
	if status != exitFailed || strings.Count(out, "blocked, secret_unreadable") != 2 {
		t.Errorf("%d %s", status, out)
	}
}

// An entry whose data key is lost takes no secret value any more: nothing would ever open it.
func TestNoValueIsTakenWithoutItsDataKey(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	d := putDraft("/1")
	d.State, d.Secret, d.After, d.Before, d.Undo = "intended", []string{"/token"}, nil, json.RawMessage(`{"v":"old"}`), nil
	e, err := h.client.Record(t.Context(), h.window("w").ID, d)
	if err != nil {
		t.Fatal(err)
	}
	h.stop()
	h.editMirror(func(s string) string { return keyLines.ReplaceAllString(s, "") })
	h.moved()
	h.must("rebuild", "--from", h.mirror, "--accept-loss")
	h.serve()
	_, err = h.client.Applied(t.Context(), e.ID, wire.AppliedRequest{After: json.RawMessage(`{"token":"` + secretIs + `"}`)})
	if status(err) != http.StatusServiceUnavailable {
		t.Errorf("taken, or refused otherwise: %v", err)
	}
}

// After the start of a server the same mirror has the keys, and is all that a rebuild needs.
func TestServerBringsKeysToAnOlderMirror(t *testing.T) {
	h, window := secretHouse(t)
	h.editMirror(func(s string) string { return keyLines.ReplaceAllString(s, "") })
	h.serve()
	h.stop()
	if out := h.must("verify"); out != "OK" {
		t.Error(out)
	}
	h.moved(keySuffix)
	h.must("rebuild", "--from", h.mirror)
	h.secretsBack(window)
}

// A wrapped key that was changed or removed in the mirror is found by what opens it, and named; nothing else is lost with it.
func TestChangedKeysInTheMirror(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(line string) string
		want string
	}{
		"removed": {func(string) string { return "" }, "its data key is not in the mirror"},
		"changed": {func(l string) string {
			i := strings.Index(l, `"data_key":"`) + 60
			return l[:i] + string(map[bool]byte{true: 'B', false: 'A'}[l[i] == 'A']) + l[i+1:]
		}, "the ciphertext was changed"},
	} {
		h, window := secretHouse(t)
		e := h.entryAt(window, 1)
		line := regexp.MustCompile(`(?m)^\{"key":\{"entry_id":"` + e + `".*\n`)
		h.editMirror(func(s string) string { return line.ReplaceAllStringFunc(s, c.edit) })
		if status, out, _ := h.run("verify"); status != exitFailed || !strings.Contains(out, e) {
			t.Errorf("%s: verify: %d %s", name, status, out)
		}
		h.moved(keySuffix)
		status, _, talk := h.run("rebuild", "--from", h.mirror)
		if status != exitPerson || !strings.Contains(talk, e) || !strings.Contains(talk, c.want) {
			t.Errorf("%s: %d %s", name, status, talk)
		}
		h.must("rebuild", "--from", h.mirror, "--accept-loss")
		status, out, _ := h.run("rollback", "--window", window)
		if status != exitFailed || strings.Count(out, "blocked, secret_unreadable") != 1 || !strings.Contains(h.third.copyState()["/3"], secretWas) {
			t.Errorf("%s: %d %s", name, status, out)
		}
	}
}

// entryAt returns the id of a window's n-th entry, as its mirror tells it.
func (h *house) entryAt(window string, seq int) string {
	h.Helper()
	var id string
	_, err := readCopy(h.Context(), h.mirror, nil, func(r journal.Mirrored) error {
		if r.WindowID == window && id == "" && bytes.Contains(r.Body, fmt.Appendf(nil, `"seq":%d,`, seq)) {
			id = r.EntryID
		}
		return nil
	})
	if err != nil || id == "" {
		h.Fatalf("no entry %d: %v", seq, err)
	}
	return id
}

// A rotation reaches the mirror: afterwards the new key alone makes the ledger again, and the old one does not.
func TestRewrapThenRebuild(t *testing.T) {
	h, window := secretHouse(t)
	next := filepath.Join(t.TempDir(), "next")
	h.must("rewrap", "--new-key", next)
	h.append(fmt.Sprintf("secrets: {key: \"file:%s\", previous: [\"file:%s\"]}\n", next, h.keeper.file(keySuffix)))
	mend := h.hideMirror()
	if status, _, talk := h.run("rewrap"); status != exitFailure || !strings.Contains(talk, "run rewrap again before the old key is taken out") {
		t.Fatalf("with its mirror away: %d %s", status, talk)
	}
	mend()
	h.must("rewrap")
	if out := h.must("verify"); out != "OK" {
		t.Error(out)
	}
	h.moved()
	h.append(fmt.Sprintf("secrets: {key: \"file:%s\"}\n", next))
	h.must("rebuild", "--from", h.mirror)
	h.secretsBack(window)
}

// append adds lines to the configuration.
func (h *house) append(lines string) {
	h.Helper()
	raw, err := os.ReadFile(h.config())
	if err == nil {
		err = os.WriteFile(h.config(), append(raw, lines...), 0o600)
	}
	if err != nil {
		h.Fatal(err)
	}
}

// hideMirror takes the mirror's storage away.
func (h *house) hideMirror() (mend func()) {
	h.Helper()
	if err := os.Rename(h.mirror, h.mirror+".aside"); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(h.mirror, nil, 0o600); err != nil {
		h.Fatal(err)
	}
	return func() {
		if err := os.Remove(h.mirror); err != nil {
			h.Fatal(err)
		}
		if err := os.Rename(h.mirror+".aside", h.mirror); err != nil {
			h.Fatal(err)
		}
	}
}

// An older copy of the database, brought up from its mirror, opens what was recorded since.
func TestRecoveredLedgerOpensItsSecrets(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	window := h.window("w").ID
	h.secretEffect(window, "/1")
	copied := filepath.Join(t.TempDir(), "copy.db")
	h.keeper.backup(copied)
	h.effect(window, "/2")
	h.secretEffect(window, "/3")
	h.stop()
	h.keeper.restore(copied)
	h.serve()
	if h.parts.vigil.Safe() == nil {
		t.Fatal("it is not in safe mode")
	}
	h.stop()
	h.must("recover")
	h.secretsBack(window)
}

// What an HTTP sink and a command were given makes a ledger whose secrets open, too.
func TestOtherMirrorsHaveTheKeys(t *testing.T) {
	var mu sync.Mutex
	var got []byte
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		raw, _ := io.ReadAll(r.Body)
		got = append(got, raw...)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(sink.Close)
	h := newHouse(t, false)
	dir, posted := t.TempDir(), t.TempDir()
	h.append("mirror:\n  - {url: '" + sink.URL + "/in', allow_private: true}\n  - {command: [sh, -c, 'cat >>\"$0\"', '" + filepath.Join(dir, "a.journal") + "']}\n")
	h.serve()
	window := h.window("w").ID
	h.secretEffect(window, "/1")
	h.effect(window, "/2")
	h.secretEffect(window, "/3")
	h.stop()
	if err := os.WriteFile(filepath.Join(posted, "a.journal"), got, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{dir, posted} {
		h.third.restoreState(map[string]string{"/1": `{"token":"` + secretIs + `"}`, "/2": `{"v":"new"}`, "/3": `{"token":"` + secretIs + `"}`})
		h.moved(keySuffix)
		h.must("rebuild", "--from", from)
		h.secretsBack(window)
	}
}

// A ledger that never had a secret field is made again without its key.
func TestRebuildNeedsNoKeyWithoutSecrets(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	window := h.window("w").ID
	h.effect(window, "/1")
	h.stop()
	h.moved()
	h.must("rebuild", "--from", h.mirror)
	h.serve()
	h.secretEffect(window, "/2")
	if run := h.rollBack(window); run.Counts.Undone != 2 {
		t.Errorf("%+v", run.Counts)
	}
	h.stop()
	h.moved(keySuffix) // the mirror has two root secrets now, and the newer one is in use
	h.must("rebuild", "--from", h.mirror)
}
