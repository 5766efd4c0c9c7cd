package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sideledger/api/wire"
	"sideledger/remediators/remediatortest"
)

// pluginServer is the server as it is shipped, with the example in Python behind its system docs.
func pluginServer(t *testing.T, third *remediatortest.Third) *server {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "docs", "examples", "plugins", "python", "documents"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return newServerIn(t, buildServer(t), third.URL, t.TempDir(), fmt.Sprintf(
		"  docs:\n    remediator: plugin\n    url: %q\n    allow_private: true\n    retry: {base: 10ms, cap: 200ms}\n    plugin: {path: %q, sha256: %x}\n",
		third.URL, path, sha256.Sum256(text)))
}

// pluginsOf returns the processes that a server started.
func pluginsOf(t *testing.T, pid int) (pids []string) {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range list {
		text, _ := os.ReadFile(file) // it may be over by now
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == fmt.Sprint(pid) && fields[0] != "Z" {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

// A plugin records, plans and rolls back in the server as it is shipped, secret fields included; and it ends with a
// server that is killed.
func TestPluginServes(t *testing.T) {
	third := remediatortest.NewThird(t)
	s := pluginServer(t, third)
	s.start()
	w, err := s.client.OpenWindow(t.Context(), wire.WindowDraft{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	const before = `{"n":9007199254740993,"token":"canary-before"}`
	for path, images := range map[string][2]string{"/r/1": {before, `{"n":1.0,"token":"canary-after"}`}, "/r/2": {"null", `{"v":1}`}} {
		d := wire.EntryDraft{
			System: "docs", Kind: "documents.document", Action: "update", Resource: json.RawMessage(`{"path":"` + path + `"}`),
			Before: json.RawMessage(images[0]), After: json.RawMessage(images[1]), State: "applied", Secret: []string{"/token"},
		}
		if images[0] == "null" {
			d.Action, d.Secret = "create", nil
		}
		third.Set(path, images[1])
		if _, err := s.client.Record(t.Context(), w.ID, d); err != nil {
			t.Fatal(err)
		}
	}
	about, err := s.client.Remediators(t.Context())
	if err != nil || len(about.Items) != 3 || about.Items[0].Plugin != "documents" || about.Items[0].Kinds[0].Kind != "documents.document" || about.Items[2].Kinds[0].Kind != "http.request" {
		t.Errorf("%+v, %v", about, err)
	}
	s.finish(w.ID)
	if third.Get("/r/1") != before || third.Get("/r/2") != "" {
		t.Errorf("it has %q and %q", third.Get("/r/1"), third.Get("/r/2"))
	}
	pids := pluginsOf(t, s.cmd.Process.Pid)
	if len(pids) == 0 {
		t.Error("no plugin runs")
	}
	s.kill()
	for limit := time.Now().Add(20 * time.Second); len(pids) > 0; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat("/proc/" + pids[0]); err != nil {
			pids = pids[1:]
		} else if time.Now().After(limit) {
			t.Fatalf("plugins outlive the server: %v", pids)
		}
	}
	raw, err := os.ReadFile(s.log.Name())
	if err != nil || strings.Contains(string(raw), "canary") {
		t.Errorf("the log holds a secret, or cannot be read: %v", err)
	}
}
