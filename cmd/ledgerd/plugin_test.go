package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pluginTest runs `ledgerd plugin-test` and returns what it printed, by check, and its exit status.
func pluginTest(t *testing.T, args ...string) (marks map[string][]string, status int) {
	t.Helper()
	cmd := exec.Command(buildServer(t), append([]string{"plugin-test"}, args...)...)
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	marks = map[string][]string{}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		var m struct {
			Check string
			Why   []string
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		marks[m.Check] = m.Why
	}
	return marks, cmd.ProcessState.ExitCode()
}

func TestPluginTest(t *testing.T) {
	t.Parallel()
	example := filepath.Join("..", "..", "docs", "examples", "plugins", "python", "documents")
	marks, status := pluginTest(t, example)
	if status != 0 || len(marks) < 50 || marks["Undone/create"] == nil || marks["Classified/502"] == nil || marks["BytesSurvive"] == nil {
		t.Errorf("exit %d, %d checks: %v", status, len(marks), marks)
	}
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	// One whose undo is refused fails where that is checked, and not elsewhere.
	careless := filepath.Join(t.TempDir(), "careless")
	broken := strings.Replace(string(text), `"headers": {}, "repeatable": True`, `"headers": {}, "repeatable": True, "query": "cas=none"`, 1)
	if broken == string(text) {
		t.Fatal("the example reads otherwise")
	}
	if err := os.WriteFile(careless, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	marks, status = pluginTest(t, careless)
	if status != 1 || len(marks["Undone/update"]) == 0 || len(marks["LooksClassified/500"]) != 0 {
		t.Errorf("exit %d: %v", status, marks)
	}
	if err := os.WriteFile(careless, []byte("#!/usr/bin/python3 -I\nprint('hello')\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if marks, status = pluginTest(t, careless); status != 1 || len(marks["Described"]) != 1 || len(marks) != 1 {
		t.Errorf("exit %d: %v", status, marks)
	}
}
