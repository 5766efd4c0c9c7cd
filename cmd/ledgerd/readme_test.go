package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// The quick start of the README works when it is pasted in order: with what the test has built and the Caddy of this
// machine, on free ports. What it changed at the Caddy is back at its end.
func TestQuickStartAsItIsPrinted(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n## Quick start\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	var lines []string
	for _, m := range shellBlock.FindAllStringSubmatch(section, -1) {
		lines = append(lines, m[1])
	}
	if len(lines) != 4 {
		t.Fatalf("%d blocks: the README was read wrongly", len(lines))
	}
	script := strings.Join(lines, "")
	for _, port := range []string{"2019", "8080", "8420"} {
		if !strings.Contains(script, ":"+port) {
			t.Fatalf("port %s is nowhere: the README was read wrongly", port)
		}
		script = strings.ReplaceAll(script, ":"+port, ":"+freePort(t))
	}
	top := t.TempDir()
	quickStartTree(t, top)
	out := runQuickStart(t, top, script)
	config, err := os.ReadFile(filepath.Join(top, ".demo", "quick", "caddy.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := json.Unmarshal(config, &want); err != nil {
		t.Fatal(err)
	}
	last := out[strings.LastIndex(out, "\n{")+1:]
	if err := json.Unmarshal([]byte(last), &got); err != nil {
		t.Fatalf("the last line is no configuration: %v\n%s", err, out)
	}
	want.(map[string]any)["admin"] = got.(map[string]any)["admin"]
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("it is not back (-started with +ended with):\n%s", d)
	}
	if !strings.Contains(out, "3 to undo") {
		t.Errorf("the plan has not three things to undo:\n%s", out)
	}
}

// quickStartTree is what the quick start needs of a clone: what `make build` builds, and a way to a Caddy.
func quickStartTree(t *testing.T, top string) {
	t.Helper()
	for _, dir := range []string{"bin", "docs/examples"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, binary := range []string{buildServer(t), buildTool(t)} {
		if err := os.Symlink(binary, filepath.Join(top, "bin", filepath.Base(binary))); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"docs/examples/get-caddy.sh": "#!/bin/sh\ncommand -v caddy\n",
		"Makefile":                   "build:\n",
	} {
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// runQuickStart runs it in a group of processes of its own, of which nothing is left, and returns what it printed.
func runQuickStart(t *testing.T, top, script string) string {
	t.Helper()
	var out, talk bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = top, &out, &talk
	cmd.Env = []string{"HOME=" + top, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s\n%s\n%s", err, out.String(), talk.String(), script)
	}
	return out.String()
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
