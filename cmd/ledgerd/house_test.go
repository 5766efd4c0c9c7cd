package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/sqlstore/sqlstoretest"
)

// A house is a ledger in a folder of its own, with a mirror elsewhere and one third party. It is served in this process, by
// the same parts as by `ledgerd serve`.
type house struct {
	*testing.T
	dir    string // of the database
	mirror string // folder of the mirror; empty: none
	third  *counting
	web    *httptest.Server
	heads  *keptHeads
	url    string
	token  string
	traces *traces   // where spans go; nil: nowhere
	stderr io.Writer // where the log goes, if the configuration has `log`; nil: nowhere
	keeper keeper

	parts  *parts
	client *client.Client
	stop   func()
}

// keptHeads keeps heads as the rollback command does, in memory.
type keptHeads struct {
	mu   sync.Mutex
	last map[string]string
	at   string
}

func (k *keptHeads) For(path string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := []string{}
	if k.at != "" {
		out = append(out, k.last[k.at])
	}
	for w, h := range k.last {
		if w != k.at && strings.Contains(path, w) {
			out = append(out, h)
		}
	}
	return out
}

func (k *keptHeads) Saw(head string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	window, _, _ := strings.Cut(head, " ")
	if k.last == nil {
		k.last = map[string]string{}
	}
	k.last[window], k.at = head, window
}

// newHouse makes the ledger's folders, and an empty ledger in memory: no house loses power. Below TestOnPostgres it is a database
// there. Nothing is served yet.
func newHouse(t *testing.T, mirrored bool) *house {
	t.Helper()
	h := &house{T: t, dir: ledgertest.MemoryDir(t), third: &counting{state: map[string]string{}}, heads: &keptHeads{}}
	if mirrored {
		h.mirror = filepath.Join(t.TempDir(), "mirror")
	}
	h.web = httptest.NewServer(h.third)
	t.Cleanup(h.web.Close)
	if ledgertest.OnPostgres(t) {
		h.keeper = &served{house: h, bin: postgresBin(t)}
		h.keeper.move()
	} else {
		h.keeper = embedded{h}
		sqlstoretest.Write(t, h.db())
	}
	h.configure()
	return h
}

// A keeper knows the database that a house's ledger is in.
type keeper interface {
	database() string          // as in the configuration
	file(suffix string) string // that the ledger keeps beside its database
	move()                     // the house has another folder: an empty database for it, or none yet
	backup(to string)          // copies the live ledger into a file
	restore(from string)       // puts such a copy in the ledger's place, as a snapshot of its host would: the database alone
}

func (h *house) config() string { return filepath.Join(h.dir, "ledgerd.yaml") }
func (h *house) db() string     { return filepath.Join(h.dir, "ledger.db") }

func (h *house) configure() {
	text := fmt.Sprintf("database: %s\nsystems:\n  sys: {remediator: http, url: %q, allow_private: true, retry: {base: 1ms, cap: 5ms}}\n", h.keeper.database(), h.web.URL)
	if h.mirror != "" {
		text += fmt.Sprintf("mirror: {folder: %q}\n", h.mirror)
	}
	if err := os.WriteFile(h.config(), []byte(text), 0o600); err != nil {
		h.Fatal(err)
	}
}

// run runs a command line of ledgerd and returns its exit status and what it printed.
func (h *house) run(args ...string) (status int, stdout, stderr string) {
	h.Helper()
	var out, talk bytes.Buffer
	status = run(h.Context(), append(args, "--config", h.config()), os.Getenv, &out, &talk)
	return status, out.String(), talk.String()
}

func (h *house) must(args ...string) string {
	h.Helper()
	status, out, talk := h.run(args...)
	if status != 0 {
		h.Fatalf("ledgerd %v ended with %d: %s%s", args, status, out, talk)
	}
	return strings.TrimSpace(out)
}

// serve starts the ledger and waits until it answers.
func (h *house) serve() {
	h.Helper()
	if err := h.tryServe(false); err != nil {
		h.Fatal(err)
	}
}

func (h *house) tryServe(withoutMirror bool) error {
	h.Helper()
	e := &env{getenv: os.Getenv, stdout: io.Discard, stderr: cmp.Or[io.Writer](h.stderr, io.Discard), log: slog.New(slog.DiscardHandler)}
	c, err := (&configFlags{file: h.config()}).load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p, err := open(ctx, e, c)
	if err == nil {
		if err = p.watch(ctx, e, withoutMirror); err != nil {
			p.close()
		}
	}
	if err != nil {
		cancel()
		return err
	}
	secret, _, err := p.ledger.CreateToken(ctx, ledger.Token{Role: ledger.RoleAdmin})
	if err != nil {
		h.Fatal(err)
	}
	if h.traces != nil {
		p.traces = h.traces
	}
	a, err := p.newAPI()
	if err != nil {
		h.Fatal(err)
	}
	srv := httptest.NewServer(a)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.runRollbacks(ctx, nil, false)
	}()
	var once sync.Once
	h.stop = func() {
		once.Do(func() {
			cancel()
			<-ended
			srv.CloseClientConnections()
			srv.Close()
			p.close()
		})
	}
	h.Cleanup(h.stop)
	h.parts, h.token, h.url = p, secret, srv.URL
	if h.client, err = client.New(client.Config{URL: srv.URL, Token: secret, Tries: 1, Heads: h.heads}); err != nil {
		h.Fatal(err)
	}
	return nil
}

// read returns the body of a GET.
func (h *house) read(path string) string {
	h.Helper()
	a, err := h.client.Send(h.Context(), client.Call{Method: http.MethodGet, Path: path})
	if err != nil {
		h.Fatalf("GET %s: %v", path, err)
	}
	return string(a.Body)
}

// gets returns the answers of every GET about windows, entries, rollbacks and journals, by path.
func (h *house) gets() map[string]string {
	h.Helper()
	out := map[string]string{"/v1/windows?limit=1000": h.read("/v1/windows?limit=1000")}
	var list wire.WindowList
	if err := json.Unmarshal([]byte(out["/v1/windows?limit=1000"]), &list); err != nil {
		h.Fatal(err)
	}
	for _, w := range list.Items {
		for _, rest := range []string{"", "/entries?limit=1000", "/entries?limit=1000&order=desc", "/journal"} {
			out["/v1/windows/"+w.ID+rest] = h.read("/v1/windows/" + w.ID + rest)
		}
		if w.RollbackID != nil {
			out["/v1/rollbacks/"+*w.RollbackID] = h.read("/v1/rollbacks/" + *w.RollbackID)
		}
		var es wire.EntryList
		if err := json.Unmarshal([]byte(out["/v1/windows/"+w.ID+"/entries?limit=1000"]), &es); err != nil {
			h.Fatal(err)
		}
		for _, e := range es.Items {
			out["/v1/entries/"+e.ID] = h.read("/v1/entries/" + e.ID)
		}
	}
	return out
}

// window opens a window.
func (h *house) window(name string) *wire.Window {
	h.Helper()
	w, err := h.client.OpenWindow(h.Context(), wire.WindowDraft{Name: name, Labels: map[string]string{"a": "b"}, Ticket: "T-1"})
	if err != nil {
		h.Fatal(err)
	}
	return w
}

// effect changes the third party and records it as a fact.
func (h *house) effect(window, at string) *wire.Entry {
	h.Helper()
	h.third.set(at, `{"v":"new"}`)
	e, err := h.client.Record(h.Context(), window, putDraft(at))
	if err != nil {
		h.Fatal(err)
	}
	return e
}

// rollBack rolls a window back to the end of the run.
func (h *house) rollBack(window string) *wire.Rollback {
	h.Helper()
	r, err := h.client.StartRollback(h.Context(), window, wire.RollbackRequest{Reason: "test"}, 30*time.Second)
	if err != nil {
		h.Fatal(err)
	}
	if !r.Over() {
		h.Fatalf("the rollback is %s", r.State)
	}
	return r
}

// busy does n random things in the ledger: windows, intents, facts, reports, voids, seals, rollbacks, words.
func (h *house) busy(rnd *rand.Rand, n int) {
	h.Helper()
	var windows []string
	var open []*wire.Entry
	for i := range n {
		if len(windows) == 0 || rnd.IntN(10) == 0 {
			windows = append(windows, h.window(fmt.Sprintf("w%d", i)).ID)
		}
		w := windows[rnd.IntN(len(windows))]
		at := fmt.Sprintf("/%s/%d", w, i)
		ctx := h.Context()
		switch rnd.IntN(9) {
		case 0, 1, 2:
			h.third.set(at, `{"v":"new"}`)
			_, _ = h.client.Record(ctx, w, putDraft(at))
		case 3, 4:
			d := putDraft(at)
			d.State, d.Tag, d.Note = "intended", "tag", "a note <&> \u2028"
			h.third.set(at, `{"v":"old"}`)
			if e, err := h.client.Record(ctx, w, d); err == nil {
				open = append(open, e)
			}
		case 5:
			if len(open) > 0 {
				_, _ = h.client.Applied(ctx, open[0].ID, wire.AppliedRequest{})
				open = open[1:]
			}
		case 6:
			if len(open) > 0 {
				_, _ = h.client.Void(ctx, open[0].ID, "it never ran")
				open = open[1:]
			}
		case 7:
			_, _ = h.client.Seal(ctx, w, "enough")
		case 8:
			h.third.set(fmt.Sprintf("/%s/%d", w, rnd.IntN(i+1)), `{"v":"drifted"}`)
			for _, e := range open { // an intent that nobody reports on would be waited for
				_, _ = h.client.Void(ctx, e.ID, "given up")
			}
			open = nil
			h.rollBack(w)
		}
	}
	for _, e := range open {
		_, _ = h.client.Void(h.Context(), e.ID, "given up")
	}
}
