package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What will be refused later is said by check-config: a reference that leads to nothing, and a name that nothing has.
func TestCheckConfigSaysWhatWillBeRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledgerd.yaml")
	check := func(system string) (string, error) {
		t.Helper()
		if err := os.WriteFile(file, []byte("systems: {flags: {remediator: http, url: https://flags.example.com, "+system+"}}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		e := &env{
			getenv: func(name string) string { return map[string]string{"SET": "x"}[name] },
			stdout: &out, stderr: &out, log: slog.New(slog.DiscardHandler),
		}
		err := runCheckConfig(e, &configFlags{file: file})
		return out.String(), err
	}
	if out, err := check("credential: env:UNSET, credentials: {X-Key: env:SET, X-Other: env:OTHER}"); err != nil ||
		strings.Count(out, "warning: systems.flags: the credential env:") != 2 || strings.Contains(out, "env:SET") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := check("credential: env:SET"); err != nil || strings.Contains(out, "warning") {
		t.Errorf("%v\n%s", err, out)
	}
	_, err := check("rate: {per_sec: 5}")
	if err == nil || !strings.Contains(err.Error(), "line 1: field per_sec is no name of this place") || strings.Contains(err.Error(), "remediators.") {
		t.Errorf("%v", err)
	}
}
