package plugin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

// TestMain lets the test binary play the launcher, as ledgerd does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == LaunchArg {
		fmt.Fprintf(os.Stderr, "%s: %v\n", LaunchArg, Launch(os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// pinned is the configuration of a plugin as it is now.
func pinned(t *testing.T, path string) *remediators.PluginConfig {
	t.Helper()
	sum, err := Hash(path)
	if err != nil {
		t.Fatal(err)
	}
	return &remediators.PluginConfig{Path: path, SHA256: sum, Timeout: 20 * time.Second}
}

// bound is a system of a plugin under test.
type bound struct {
	ledger.Remediator
	registry *remediators.Registry
	plugin   *Remediator
	log      *ledgertest.Buffer
}

func bindTo(t *testing.T, c remediators.SystemConfig) bound {
	t.Helper()
	var out bound
	out.log = new(ledgertest.Buffer)
	factory := func(b remediators.Binding) (ledger.Remediator, error) {
		made, err := Factory(b)
		out.plugin, _ = made.(*Remediator)
		return made, err
	}
	c.Remediator, c.AllowPrivate = "plugin", true
	if c.Credential == "" {
		c.Credential = "env:TOKEN"
	}
	reg, _, err := remediators.NewRegistry(remediators.Options{
		Systems: map[string]remediators.SystemConfig{"docs": c}, Factories: map[string]remediators.Factory{"plugin": factory},
		Clock: time.Now, Log: slog.New(slog.NewTextHandler(out.log, nil)), Getenv: func(string) string { return remediatortest.Secret },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		reg.Close()
		if t.Failed() {
			t.Logf("the log says:\n%s", out.log)
		}
	})
	out.registry = reg
	if _, out.Remediator, err = reg.Find("docs"); err != nil {
		t.Fatal(err)
	}
	return out
}

func image(doc string) ledger.Image {
	if doc == "" {
		return ledger.Absent
	}
	return ledger.Image{JSON: json.RawMessage(doc)}
}

func entry(action ledger.Action, path, before, after string) *ledger.Entry {
	return &ledger.Entry{State: ledger.EntryApplied, Draft: ledger.Draft{
		ID: ledger.NewID(), System: "docs", Kind: "documents.document", Action: action, State: ledger.EntryApplied,
		Resource: json.RawMessage(`{"path":"` + path + `"}`), Before: image(before), After: image(after),
	}}
}

// examples are the plugins of docs/examples.
func examples(t *testing.T) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..", "docs", "examples", "plugins")
	python, err := filepath.Abs(filepath.Join(root, "python", "documents"))
	if err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(t.TempDir(), "documents")
	cmd := exec.Command("go", "build", "-trimpath", "-o", built, "./"+filepath.Join(root, "go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v\n%s", err, out)
	}
	return map[string]string{"python": python, "go": built}
}

func TestExamplesPassTheSuite(t *testing.T) {
	for name, path := range examples(t) {
		t.Run(name, func(t *testing.T) {
			c := pinned(t, path)
			remediatortest.Run(t, remediatortest.Subject{EntryFunc: entry, BindFunc: func(t *testing.T, th *remediatortest.Third) ledger.Remediator {
				return bindTo(t, remediators.SystemConfig{URL: th.URL, Plugin: c})
			}})
		})
	}
}
