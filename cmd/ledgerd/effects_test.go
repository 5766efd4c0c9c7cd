package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/remediators/remediatortest"
)

// An edge answers as the admin API of a Caddy does, and writes down what changes it. A call says in its query how it
// wants to be answered.
type edge struct {
	mu    sync.Mutex
	calls []string
	hold  chan struct{} // calls with ?hold wait for it
	begun chan struct{} // and say here that they are there
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	q := r.URL.Query()
	if r.Method == http.MethodGet && !q.Has("echo") {
		if strings.Contains(r.URL.Path, "absent") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"v":1}`)
		return
	}
	e.mu.Lock()
	e.calls = append(e.calls, fmt.Sprintf("%s %s ct=%s accept=%s match=%s body=%q", r.Method, r.URL.RequestURI(),
		r.Header.Get("Content-Type"), r.Header.Get("Accept"), r.Header.Get("If-Match"), body))
	e.mu.Unlock()
	if q.Has("hold") {
		e.begun <- struct{}{}
		<-e.hold
	}
	w.Header().Set("Content-Type", "text/x-answer")
	status, _ := strconv.Atoi(q.Get("status"))
	if status/100 == 3 {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(max(status, 200))
	fmt.Fprintf(w, "answer to %s with %d bytes\n", r.Method, len(body))
}

func (e *edge) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.calls
	e.calls = nil
	return out
}

// An effectStand is a real server with one system, edge, an open window, and the real command with a recorder's token.
type effectStand struct {
	*testing.T
	server *server
	window string
	tool   string // rollback as it is shipped
	dir    string
	env    []string
}

func newEffectStand(t *testing.T, edgeURL string) *effectStand {
	t.Helper()
	more := fmt.Sprintf("  edge: {remediator: http, profile: caddy, url: %q, allow_private: true, effects: [\"* /config/*\", \"* /id/*\"], rehearse: {place: {server: srv0}}}\n", edgeURL)
	s := &effectStand{T: t, server: newServerIn(t, buildServer(t), "http://127.0.0.1:1", t.TempDir(), more), dir: t.TempDir()}
	s.tool = buildTool(t)
	s.server.start()
	w, err := s.server.client.OpenWindow(t.Context(), wire.WindowDraft{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	s.window = w.ID
	config, err := os.ReadFile(s.server.config)
	if err != nil {
		t.Fatal(err)
	}
	address := strings.Fields(string(config))[1]
	s.env = []string{
		"HOME=" + s.dir, "PATH=" + os.Getenv("PATH"), "ROLLBACK_URL=http://" + address, "ROLLBACK_WINDOW=" + w.ID,
		"ROLLBACK_TOKEN=" + s.server.run("token", "create", "--role", "recorder", "--window", w.ID),
	}
	return s
}

// A ran is what became of a command.
type ran struct {
	Stdout string
	Status int
	stderr string
}

// exec runs a command with the stand's environment.
func (s *effectStand) exec(stdin, name string, args ...string) ran {
	s.Helper()
	var out, talk bytes.Buffer
	cmd := exec.CommandContext(s.Context(), name, args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.dir, s.env, strings.NewReader(stdin), &out, &talk
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		s.Fatal(err)
	}
	return ran{out.String(), cmd.ProcessState.ExitCode(), talk.String()}
}

func (s *effectStand) entries() []wire.Entry {
	s.Helper()
	var out []wire.Entry
	for e, err := range s.server.client.AllEntries(s.Context(), s.window, client.EntryQuery{}) {
		if err != nil {
			s.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// The function of the shim, in each shell that is here.
func TestShim(t *testing.T) {
	e := &edge{}
	web := httptest.NewServer(e)
	t.Cleanup(web.Close)
	s := newEffectStand(t, web.URL)
	script := filepath.Join(s.dir, "up grade.sh")
	text := fmt.Sprintf(`set -eu
eval "$('%s' shim)"
curl -sS %s/config/a
curl -fsS -X PATCH --json '{"v":2}' "%s/config/a b"x || echo refused $?
curl -fsS -X PATCH --json '{"v":2}' "%s/config/a%%20b"
curl -fsS -X PATCH -d 1 '%s/config/a?status=500' || echo status $?
`, s.tool, web.URL, web.URL, web.URL, web.URL)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"bash", "dash", "sh"} {
		got := s.exec("", shell, script)
		want := "{\"v\":1}refused 2\nanswer to PATCH with 7 bytes\nstatus 22\n"
		if got.Status != 0 || got.Stdout != want {
			t.Errorf("%s: %+v %s", shell, got, got.stderr)
		}
	}
	list := s.entries()
	if len(list) != 6 || list[0].Source != script || list[0].State != "applied" || list[1].State != "intended" {
		t.Errorf("%d entries: %+v", len(list), list)
	}
}

// A system that is away ends both ways of a call with 7, and nothing is recorded.
func TestDoAtASystemThatIsAway(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	web.Close()
	s := newEffectStand(t, web.URL)
	for _, got := range []ran{
		s.exec("", s.tool, "do", "--system", "edge", "PATCH", "/config/a", "-d", "1"),
		s.exec("", s.tool, "curl", "-sS", "-X", "PATCH", "-d", "1", web.URL+"/config/a"),
	} {
		if got.Status != 7 || got.Stdout != "" || !strings.Contains(got.stderr, "the connection was refused") {
			t.Errorf("%+v %s", got, got.stderr)
		}
	}
	if list := s.entries(); len(list) > 0 {
		t.Errorf("%d entries: %+v", len(list), list)
	}
}

// answersAgain asks twice under one key: one call, and the same answer.
func (s *effectStand) answersAgain(e *edge) {
	s.Helper()
	ctx := client.WithKey(s.Context(), "the first key")
	r := wire.EffectRequest{Call: wire.EffectCall{Method: "DELETE", Path: "/config/b"}, Entry: wire.EffectEntry{System: "edge"}}
	first, err := s.server.client.Effect(ctx, s.window, r, 0)
	if err != nil || first.Outcome != "applied" || first.Entry.State != "applied" {
		s.Fatalf("%+v, %v", first, err)
	}
	again, err := s.server.client.Effect(ctx, s.window, r, 0)
	if d := cmp.Diff(first, again); err != nil || d != "" || len(e.take()) != 1 {
		s.Errorf("asked again (-first +again) %v\n%s", err, d)
	}
	if _, err := s.server.client.Void(s.Context(), first.Entry.ID, "test"); err == nil {
		s.Error("an applied entry was made void")
	}
	e.take()
}

// The server is killed while a call is on its way: asked again it makes no second one, and the entry is in doubt until a
// rollback looks.
func TestKilledDuringACall(t *testing.T) {
	e := &edge{hold: make(chan struct{}), begun: make(chan struct{}, 1)}
	web := httptest.NewServer(e)
	t.Cleanup(web.Close)
	t.Cleanup(func() { close(e.hold) })
	s := newEffectStand(t, web.URL)
	s.answersAgain(e)
	request := wire.EffectRequest{
		Call:  wire.EffectCall{Method: "PATCH", Path: "/config/a?hold=1"},
		Entry: wire.EffectEntry{System: "edge", PerformWithin: "1s"},
	}
	ctx := client.WithKey(t.Context(), "one key")
	lost := make(chan error, 1)
	go func() {
		_, err := s.server.client.Effect(ctx, s.window, request, time.Minute)
		lost <- err
	}()
	<-e.begun
	s.server.kill()
	if err := <-lost; err == nil {
		t.Error("a killed server answered")
	}
	s.server.start()
	out, err := s.server.client.Effect(ctx, s.window, request, time.Minute)
	for status(err) == http.StatusConflict { // replicas: the killed one may be at it until its time is over
		time.Sleep(20 * time.Millisecond)
		out, err = s.server.client.Effect(ctx, s.window, request, time.Minute)
	}
	if err != nil || out.Outcome != "replayed" || out.Entry.State != "intended" || out.Answer != nil {
		t.Fatalf("asked again: %+v, %v", out, err)
	}
	if calls := e.take(); len(calls) != 1 {
		t.Errorf("the call was made %d times: %v", len(calls), calls)
	}
	run, err := s.server.client.StartRollback(t.Context(), s.window, wire.RollbackRequest{}, 30*time.Second)
	if err != nil || !run.Complete || run.Counts.Void != 1 || run.Counts.AlreadyUndone != 1 { // the third party shows what was there before
		t.Errorf("the rollback: %+v, %v", run, err)
	}
	if calls := e.take(); len(calls) != 0 {
		t.Errorf("the rollback sent %v", calls)
	}
}

// A real Caddy is changed by the real command through the real server, and the rollback brings everything back.
func TestDoOnARealCaddy(t *testing.T) {
	t.Parallel()
	admin := remediatortest.StartCaddy(t)
	s := newEffectStand(t, admin)
	shows := func() string {
		for range 50 { // Caddy's admin API starts anew after a change
			if got := s.exec("", "curl", "-s", admin+"/config/"); got.Status == 0 {
				return got.Stdout
			}
		}
		t.Fatal("Caddy does not answer")
		return ""
	}
	start := shows()
	const routes = "/config/apps/http/servers/srv0/routes"
	do := func(stdin string, args ...string) ran {
		t.Helper()
		got := s.exec(stdin, s.tool, append([]string{"do", "--system", "edge", "--tag", "t"}, args...)...)
		shows()
		if got.Status != 0 {
			t.Errorf("do %v: %+v %s", args, got, got.stderr)
		}
		return got
	}
	do(`{"@id":"shop","match":[{"path":["/shop"]}]}`, "POST", routes, "-d", "@-")
	do("", "PATCH", "/id/shop", "-d", `{"@id":"shop","match":[{"path":["/shop2"]}]}`)
	do("", "PUT", "/config/apps/http/servers/srv0/read_timeout", "-d", "10000000000")
	do("", "DELETE", "/id/base")
	if got := do("", "GET", "/id/shop"); !strings.Contains(got.Stdout, "/shop2") {
		t.Errorf("a read printed %q", got.Stdout)
	}
	if got := s.exec("", s.tool, "do", "--system", "edge", "PATCH", "/id/shop", "-d", `{"handle":[{"handler":"no such handler"}]}`); got.Status != 22 {
		t.Errorf("what Caddy refuses: %+v %s", got, got.stderr)
	}
	if got := s.exec("", s.tool, "do", "--system", "edge", "POST", "/load", "-d", `{}`); got.Status != 4 {
		t.Errorf("what the configuration does not list: %+v %s", got, got.stderr)
	}
	list := s.entries()
	if len(list) != 5 || list[0].Tag != "t" || list[3].Reversible != "exact" {
		t.Fatalf("%d entries: %+v", len(list), list)
	}
	operator := s.server.run("token", "create", "--role", "operator")
	s.env = append(s.env, "ROLLBACK_TOKEN="+operator)
	if got := s.exec("", s.tool, "--window", s.window); got.Status != 0 {
		t.Errorf("the rollback: %+v %s", got, got.stderr)
	}
	if now := shows(); now != start {
		t.Errorf("the configuration is\n%s, want\n%s", now, start)
	}
	if got := s.exec("", s.tool, "do", "--system", "edge", "DELETE", "/id/base"); got.Status != 1 || shows() != start {
		t.Errorf("after the rollback: %+v %s", got, got.stderr)
	}
}
