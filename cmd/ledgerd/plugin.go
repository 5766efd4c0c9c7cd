package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/plugin"
	"sideledger/remediators/remediatortest"
)

// newPluginLaunch is the launcher of plugins: ledgerd starts itself under this name, and becomes the plugin.
func newPluginLaunch(e *env) *cobra.Command {
	return &cobra.Command{
		Use: plugin.LaunchArg, Hidden: true, DisableFlagParsing: true, Short: "Become a plugin (ledgerd starts it itself)",
		RunE: func(_ *cobra.Command, args []string) error {
			_, _ = fmt.Fprintf(e.stderr, "%s: %v\n", plugin.LaunchArg, plugin.Launch(args)) // it returns when it failed
			return exitError{exitFailure}
		},
	}
}

func newPluginTest(e *env) *cobra.Command {
	var c remediators.PluginConfig
	cmd := &cobra.Command{
		Use: "plugin-test FILE", Short: "Hold a plugin to the conformance suite, offline", Args: cobra.ExactArgs(1),
		Long: `Runs the conformance suite of remediators against a plugin and a third party of its own that misbehaves on
purpose. Nothing else is called. Prints one JSON object for each check: {"check", "why": []}; an empty why means that it
passed. docs/plugins.md says what a plugin needs for it.
Exit status: 0 all passed, 1 not all, or it could not be run.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Path = args[0]
			return runPluginTest(cmd.Context(), e, c)
		},
	}
	cmd.Flags().StringSliceVar(&c.Folders, "folder", nil, "`FOLDER` that the plugin may read besides those of the system; may be given again")
	cmd.Flags().BoolVar(&c.Unconfined, "unconfined", false, "run it where the kernel cannot confine it")
	return cmd
}

// pluginSecret is what the suite's third party is shown as credential.
func pluginSecret(string) string { return remediatortest.Secret }

func runPluginTest(ctx context.Context, e *env, c remediators.PluginConfig) error {
	var err error
	if c.Path, err = filepath.Abs(c.Path); err != nil {
		return err
	}
	if c.SHA256, err = plugin.Hash(c.Path); err != nil {
		return err
	}
	out := json.NewEncoder(e.stdout)
	failed := 0
	say := func(m remediatortest.Mark) {
		if len(m.Why) > 0 {
			failed++
		}
		_ = out.Encode(struct {
			Check string   `json:"check"`
			Why   []string `json:"why"`
		}{m.Check, append([]string{}, m.Why...)})
	}
	registry, rem, err := bindPlugin(c, "http://127.0.0.1:9") // nobody is called: it describes itself and makes examples
	if err != nil {
		return err
	}
	defer registry.Close()
	subject, err := pluginSubject(ctx, c, rem)
	if err != nil {
		say(remediatortest.Mark{Check: "Described", Why: []string{err.Error()}})
		return errNotAllPassed(1)
	}
	say(remediatortest.Mark{Check: "Described"})
	if _, err := remediatortest.Grade(ctx, subject, say); err != nil {
		return err
	}
	if failed > 0 {
		return errNotAllPassed(failed)
	}
	return nil
}

func errNotAllPassed(n int) error { return fmt.Errorf("%d checks did not pass", n) }

// pluginSubject makes a subject of the suite out of a plugin, after it has been started once, said what it serves,
// and made an example.
func pluginSubject(ctx context.Context, c remediators.PluginConfig, rem *plugin.Remediator) (remediatortest.Subject, error) {
	about, err := rem.Describe(ctx)
	if err != nil {
		return remediatortest.Subject{}, err
	}
	example, err := rem.Example(ctx, "/r/1")
	if err != nil {
		return remediatortest.Subject{}, err
	}
	out := remediatortest.Subject{
		BindToFunc: func(t remediatortest.T, third *remediatortest.Third) ledger.Remediator {
			registry, _, err := bindPlugin(c, third.URL)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(registry.Close)
			_, bound, err := registry.Find("tested")
			if err != nil {
				t.Fatal(err)
			}
			return bound
		},
		EntryFunc: func(action ledger.Action, path, before, after string) *ledger.Entry {
			example, err := rem.Example(ctx, path)
			if err != nil {
				return plugin.Example{}.Entry("tested", action, imageOf(before), imageOf(after)) // its check says what is wrong
			}
			return example.Entry("tested", action, imageOf(before), imageOf(after))
		},
	}
	for _, k := range about.Kinds {
		if k.Kind == example.Kind {
			out.Actions = k.Actions
		}
	}
	if len(out.Actions) == 0 {
		return out, fmt.Errorf("the kind of its example, %s, is none that it describes", example.Kind)
	}
	return out, nil
}

func imageOf(doc string) ledger.Image {
	if doc == "" {
		return ledger.Absent
	}
	return ledger.Image{JSON: json.RawMessage(doc)}
}

// bindPlugin makes a registry whose one system is served by the plugin.
func bindPlugin(c remediators.PluginConfig, url string) (*remediators.Registry, *plugin.Remediator, error) {
	var made *plugin.Remediator
	factory := func(b remediators.Binding) (ledger.Remediator, error) {
		r, err := plugin.Factory(b)
		made, _ = r.(*plugin.Remediator)
		return r, err
	}
	registry, _, err := remediators.NewRegistry(remediators.Options{
		Systems: map[string]remediators.SystemConfig{
			"tested": {Remediator: "plugin", URL: url, AllowPrivate: true, Credential: "env:TOKEN", Plugin: &c},
		},
		Factories: map[string]remediators.Factory{"plugin": factory}, Clock: time.Now, Log: slog.New(slog.DiscardHandler), Getenv: pluginSecret,
	})
	return registry, made, err
}
