package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

const canary = "canary-5d11-secret"

// TestMain lets the test binary play the command: with FAKE_COMMAND in its environment it does what that says.
func TestMain(m *testing.M) {
	if os.Getenv("FAKE_COMMAND") != "" {
		fake()
		return
	}
	os.Exit(remediatortest.KeepProofs(m.Run()))
}

// fake keeps a resource in the file that FAKE_STATE names.
func fake() {
	raw, _ := io.ReadAll(os.Stdin)
	var in map[string]json.RawMessage
	if json.Unmarshal(raw, &in) != nil {
		os.Exit(99)
	}
	state := os.Getenv("FAKE_STATE")
	mode := os.Getenv("FAKE_COMMAND")
	if string(in["op"]) == `"read"` {
		now, _ := os.ReadFile(state)
		fmt.Printf(`{"now": %s, "validator": "v1"}`, now)
		return
	}
	fmt.Fprintln(os.Stderr, "stderr says", canary)
	if code, err := strconv.Atoi(mode); err == nil {
		os.Exit(code)
	}
	switch mode {
	case "do":
		_ = os.WriteFile(state, in["before"], 0o600)
		fmt.Printf(`{"result":"undone","detail":"done with %s\n\u001b[31m"}`, os.Getenv("FAKE_SECRET"))
	case "echo":
		_ = os.WriteFile(state, raw, 0o600)
	case "environment":
		_ = os.WriteFile(state, []byte(strings.Join(os.Environ(), "\n")+"\n"+strings.Join(os.Args, " ")), 0o600)
	case "endless":
		for {
			fmt.Print(strings.Repeat("x", 1<<16))
		}
	case "children":
		child := exec.Command("sleep", "600")
		_ = child.Start()
		_ = os.WriteFile(state, []byte(strconv.Itoa(child.Process.Pid)), 0o600)
		_ = child.Wait()
	case "hog":
		var keep [][]byte
		for range 64 {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			keep = append(keep, b)
		}
		fmt.Printf(`{"result":"undone","detail":"%d"}`, len(keep))
	default:
		fmt.Print(mode) // a document
	}
}

type setup struct {
	rem   ledger.Remediator
	state string
	entry *ledger.Entry
	reg   *remediators.Registry
}

func newSetup(t *testing.T, mode string, change func(*remediators.CommandConfig)) setup {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir() + "/state"
	if err := os.WriteFile(state, []byte(`{"v":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := remediators.CommandConfig{
		Argv: []string{self, "undo", "a b; $(touch x)"}, Read: []string{self, "read"},
		Env: []string{"FAKE_COMMAND", "FAKE_STATE", "FAKE_SECRET", "FAKE_UNSET"}, Timeout: 20 * time.Second,
	}
	if change != nil {
		change(&c)
	}
	env := map[string]string{"FAKE_COMMAND": mode, "FAKE_STATE": state, "FAKE_SECRET": canary, "PATH": os.Getenv("PATH"), "OTHER": canary}
	reg, _, err := remediators.NewRegistry(remediators.Options{
		Systems:   map[string]remediators.SystemConfig{"ops": {Remediator: "command", Commands: map[string]remediators.CommandConfig{"flip": c}}},
		Factories: map[string]remediators.Factory{"command": Factory}, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
		Getenv: func(name string) string { return env[name] },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, rem, err := reg.Find("ops")
	if err != nil {
		t.Fatal(err)
	}
	return setup{rem: rem, state: state, reg: reg, entry: &ledger.Entry{Draft: ledger.Draft{
		ID: ledger.NewID(), System: "ops", Kind: "cron.line", Action: ledger.ActionUpdate, Resource: json.RawMessage(`{"id":9007199254740993}`),
		Before: ledger.Image{JSON: json.RawMessage(`{"v":1.0E+5}`)}, After: ledger.Image{JSON: json.RawMessage(`{"v":2}`)},
		Undo: json.RawMessage(`{"command":"flip","args":{"x":"<;&"}}`), Verify: json.RawMessage(`{"timeout":"3s"}`),
	}}}
}

func (s setup) file(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(s.state)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func classify(ans ledger.Answer, err error) string {
	var call *ledger.CallError
	if errors.As(err, &call) {
		return string(call.Class)
	}
	if err != nil {
		return err.Error()
	}
	return string(ans.Class)
}

func TestCommandUndoes(t *testing.T) {
	s := newSetup(t, "do", nil)
	g, err := s.rem.Check(&s.entry.Draft)
	if err != nil || g.Reversible != ledger.ReversibleExact || !g.CanLook {
		t.Fatalf("%+v, %v", g, err)
	}
	seen, err := s.rem.Look(t.Context(), s.entry)
	if err != nil || !seen.Known || string(seen.Now.JSON) != `{"v":2}` || seen.Validator != "v1" || seen.Patience != 3*time.Second {
		t.Fatalf("%+v, %v", seen, err)
	}
	ans, err := s.rem.Undo(t.Context(), s.entry, seen)
	if err != nil || ans.Class != ledger.AnswerAccepted {
		t.Fatalf("%+v, %v", ans, err)
	}
	if ans.Detail != "done with [redacted]  [31m" {
		t.Errorf("detail %q", ans.Detail)
	}
	if seen, err = s.rem.Look(t.Context(), s.entry); err != nil || string(seen.Now.JSON) != `{"v":1.0E+5}` {
		t.Errorf("%s, %v", seen.Now.JSON, err)
	}
	if err := os.WriteFile(s.state, []byte("null"), 0o600); err != nil {
		t.Fatal(err)
	}
	if seen, err = s.rem.Look(t.Context(), s.entry); err != nil || !seen.Now.IsAbsent() || !seen.Proven {
		t.Errorf("null is absence: %+v, %v", seen, err)
	}
	if err := os.WriteFile(s.state, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = s.rem.Look(t.Context(), s.entry); classify(ledger.Answer{}, err) != "answered" {
		t.Errorf("a broken document: %v", err)
	}
}

func TestCommandInput(t *testing.T) {
	s := newSetup(t, "echo", nil)
	seen := ledger.Look{Known: true, Now: ledger.Image{JSON: json.RawMessage(`{"v":2}`)}, Validator: "v1"}
	if got := classify(s.rem.Undo(t.Context(), s.entry, seen)); got != "accepted" {
		t.Fatal(got)
	}
	want := `{"op":"undo","id":"` + s.entry.ID.String() + `","system":"ops","kind":"cron.line","action":"update","resource":{"id":9007199254740993},` +
		`"before":{"v":1.0E+5},"after":{"v":2},"args":{"x":"<;&"},"now":{"v":2},"validator":"v1"}`
	if got := s.file(t); got != want {
		t.Errorf("stdin\n%s, want\n%s", got, want)
	}
	req, err := s.rem.Preview(s.entry, seen)
	if err != nil || string(req.Body) != want || !strings.HasPrefix(req.Summary, "run /") || req.Method != "" {
		t.Errorf("%+v, %v", req, err)
	}
}

func TestCommandEnvironment(t *testing.T) {
	t.Setenv("INHERITED", canary)
	s := newSetup(t, "environment", nil)
	if got := classify(s.rem.Undo(t.Context(), s.entry, ledger.Look{})); got != "accepted" {
		t.Fatal(got)
	}
	got := s.file(t)
	for _, name := range []string{"INHERITED=", "OTHER=", "FAKE_UNSET=", "HOME="} {
		if strings.Contains(got, name) {
			t.Errorf("%s reached the command", name)
		}
	}
	if !strings.Contains(got, "PATH=") || !strings.Contains(got, "FAKE_SECRET="+canary) || !strings.HasSuffix(got, " undo a b; $(touch x)") {
		t.Errorf("environment and argv:\n%s", got)
	}
}

func TestCommandEnds(t *testing.T) {
	for mode, want := range map[string]string{
		"0": "accepted", "10": "gone", "11": "conflict", "12": "refused", "75": "retry", "1": "failed", "127": "failed",
		`{"result":"already"}`: "gone", `{"result":"conflict"}`: "conflict", `{"result":"retry"}`: "retry", `{"result":"refused"}`: "refused",
		`{"result":"undone"}`: "accepted", `{"result":"maybe"}`: "failed", `{"results":"undone"}`: "failed", `{"result":"undone"} {}`: "failed", `junk`: "failed",
	} {
		s := newSetup(t, mode, nil)
		ans, err := s.rem.Undo(t.Context(), s.entry, ledger.Look{})
		if got := classify(ans, err); got != want {
			t.Errorf("%s: %s, want %s", mode, got, want)
		}
		if said := fmt.Sprintf("%+v %v", ans, err); strings.Contains(said, "canary") || strings.Contains(said, "stderr") {
			t.Errorf("%s: it says %s", mode, said)
		}
	}
}

func TestCommandIsBounded(t *testing.T) {
	s := newSetup(t, "endless", nil)
	if _, err := s.rem.Undo(t.Context(), s.entry, ledger.Look{}); classify(ledger.Answer{}, err) != "ambiguous" || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("output without end: %v", err)
	}
	s = newSetup(t, "hog", func(c *remediators.CommandConfig) { c.MemoryMiB = 256 })
	if got := classify(s.rem.Undo(t.Context(), s.entry, ledger.Look{})); got != "failed" && got != "ambiguous" {
		t.Errorf("1 GiB within 256 MiB: %s", got)
	}
	s = newSetup(t, "do", func(c *remediators.CommandConfig) { c.Argv = []string{"/nonexistent/command"} })
	if got := classify(s.rem.Undo(t.Context(), s.entry, ledger.Look{})); got != "not_sent" {
		t.Errorf("a command that is not there: %s", got)
	}
	s = newSetup(t, "do", func(c *remediators.CommandConfig) { c.Argv = []string{"true"} })
	if got := classify(s.rem.Undo(t.Context(), s.entry, ledger.Look{})); got != "accepted" {
		t.Errorf("a bare name is found in PATH: %s", got)
	}
}

func TestCommandIsKilledWithItsChildren(t *testing.T) {
	s := newSetup(t, "children", func(c *remediators.CommandConfig) { c.Timeout = time.Second })
	begin := time.Now()
	if got := classify(s.rem.Undo(t.Context(), s.entry, ledger.Look{})); got != "ambiguous" {
		t.Errorf("out of time: %s", got)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	pid, err := strconv.Atoi(s.file(t))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); alive(pid); {
		if time.Now().After(deadline) {
			t.Fatalf("its child %d is still there", pid)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s = newSetup(t, "do", nil)
	if got := classify(s.rem.Undo(ctx, s.entry, ledger.Look{})); got != "not_sent" || s.file(t) != `{"v":2}` {
		t.Errorf("cancelled before it was started: %s, %s", got, s.file(t))
	}
}

// alive reports whether a process runs; one that waits to be collected by somebody does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestCommandCheck(t *testing.T) {
	s := newSetup(t, "do", func(c *remediators.CommandConfig) { c.Read = nil })
	for undo, field := range map[string]string{
		`{"command":"other"}`: "/undo/command", `{"args":{}}`: "/undo/command", `{"command":"flip","argv":["x"]}`: "/undo/argv",
		`{"command":"flip","args":[1]}`: "/undo/args", `[]`: "/undo", `"flip"`: "/undo",
	} {
		d := s.entry.Draft
		d.Undo = json.RawMessage(undo)
		_, err := s.rem.Check(&d)
		var bad *ledger.Error
		if !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", undo, err)
		}
	}
	d := s.entry.Draft
	if g, err := s.rem.Check(&d); err != nil || g.CanLook || len(g.Warnings) != 1 {
		t.Errorf("without read: %+v, %v", g, err)
	}
	if seen, err := s.rem.Look(t.Context(), s.entry); err != nil || seen.Known {
		t.Errorf("%+v, %v", seen, err)
	}
	d.Verify = json.RawMessage(`{"timeout":"x"}`)
	if _, err := s.rem.Check(&d); err == nil {
		t.Error("a verify that is no duration")
	}
	d.Verify, d.Undo = nil, nil
	if g, err := s.rem.Check(&d); err != nil || g.Reversible != ledger.ReversibleNone {
		t.Errorf("without undo: %+v, %v", g, err)
	}
	if seen, err := s.rem.Look(t.Context(), &ledger.Entry{Draft: d}); err != nil || seen.Known {
		t.Errorf("without undo: %+v, %v", seen, err)
	}
	s.entry.Undo = json.RawMessage(`{"command":"removed"}`)
	if _, err := s.rem.Look(t.Context(), s.entry); classify(ledger.Answer{}, err) != "denied" {
		t.Errorf("a command that was taken out of the configuration: %v", err)
	}
}

func TestCommandConfiguration(t *testing.T) {
	for field, c := range map[string]remediators.SystemConfig{
		"systems.ops.commands: is missing":  {},
		"systems.ops.url":                   {URL: "https://x.example", Commands: map[string]remediators.CommandConfig{"a": {Argv: []string{"x"}}}},
		"systems.ops.commands.a.argv":       {Commands: map[string]remediators.CommandConfig{"a": {}}},
		"systems.ops.commands.b.argv":       {Commands: map[string]remediators.CommandConfig{"b": {Argv: []string{"./x"}}}},
		"systems.ops.commands.c.read":       {Commands: map[string]remediators.CommandConfig{"c": {Argv: []string{"/x"}, Read: []string{"a/b"}}}},
		"systems.ops.commands.d.env":        {Commands: map[string]remediators.CommandConfig{"d": {Argv: []string{"/x"}, Env: []string{"A=b"}}}},
		"systems.ops.commands.e.timeout":    {Commands: map[string]remediators.CommandConfig{"e": {Argv: []string{"/x"}, Timeout: 25 * time.Hour}}},
		"systems.ops.commands.g.read_time":  {Commands: map[string]remediators.CommandConfig{"g": {Argv: []string{"/x"}, Timeout: 24 * time.Hour, ReadTimeout: 2 * time.Hour}}},
		"systems.ops.commands.f.memory_mib": {Commands: map[string]remediators.CommandConfig{"f": {Argv: []string{"/x"}, MemoryMiB: -1}}},
	} {
		c.Remediator = "command"
		_, _, err := remediators.NewRegistry(remediators.Options{
			Systems: map[string]remediators.SystemConfig{"ops": c}, Factories: map[string]remediators.Factory{"command": Factory},
			Clock: time.Now, Log: slog.New(slog.DiscardHandler), Getenv: func(string) string { return "" },
		})
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
