package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sideledger/api/wire"
)

func newRemediators(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remediators",
		Short: "What the server can undo, and tests of plugins",
		Long:  "What serves each configured third party, and the conformance suite for authors of plugins.",
		Example: `  rollback remediators list
  rollback remediators describe flags
  rollback remediators test ./my-plugin`,
	}
	cmd.AddCommand(newRemediatorsList(a), newRemediatorsDescribe(a), newRemediatorsTest(a))
	return cmd
}

func newRemediatorsList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List what serves each configured third party",
		Long:    long("Lists the kinds of entries that each configured third party takes, how well they can be taken back, and what stands behind that.", exitDone, exitError, exitAuth),
		Example: `  rollback remediators list`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runRemediatorsList(cmd.Context()) },
	}
}

func (a *app) runRemediatorsList(ctx context.Context) error {
	list, err := a.remediators(ctx)
	if err != nil {
		return err
	}
	v := view{value: list, lines: []any{}, names: []string{}}
	rows := [][]cell{header("SYSTEM", "KIND", "REVERSIBLE", "BEHIND IT")}
	for _, r := range list.Items {
		v.lines, v.names = append(v.lines, r), append(v.names, r.System)
		behind, tint := clean(r.BackedBy), tintDim
		if r.Broken != "" {
			behind, tint = "! broken: "+clean(r.Broken), tintBad
			r.Kinds = []wire.Kind{{Kind: "?"}}
		}
		for _, k := range r.Kinds {
			rows = append(rows, []cell{{clean(r.System), tintNone}, {kindName(k), tintNone}, {gradeName(k), tintNone}, {behind, tint}})
		}
	}
	v.text = func(p *page) { p.table(rows) }
	return a.show(v)
}

// remediators asks the server.
func (a *app) remediators(ctx context.Context) (*wire.RemediatorList, error) {
	c, err := a.server()
	if err != nil {
		return nil, err
	}
	list, err := c.Remediators(ctx)
	if err == nil && list.Items == nil {
		list.Items = []wire.Remediator{}
	}
	return list, err
}

func kindName(k wire.Kind) string {
	if k.Kind == "" {
		return "any"
	}
	return clean(k.Kind)
}

func gradeName(k wire.Kind) string {
	if k.Reversible == "" {
		return "depends"
	}
	return clean(k.Reversible)
}

func newRemediatorsDescribe(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "describe SYSTEM",
		Short:   "Say what serves one configured third party",
		Long:    long("Says which kinds of entries a configured third party takes, what names a resource in each, how well they can be taken back, and what stands behind that.", exitDone, exitError, exitAuth),
		Example: `  rollback remediators describe flags`,
		Args:    oneArg("name of a system"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runRemediatorsDescribe(cmd.Context(), args[0]) },
	}
}

func (a *app) runRemediatorsDescribe(ctx context.Context, system string) error {
	list, err := a.remediators(ctx)
	if err != nil {
		return err
	}
	for _, r := range list.Items {
		if r.System == system {
			return a.show(view{value: r, names: []string{r.System}, text: func(p *page) { describeRemediator(p, r) }})
		}
	}
	return fmt.Errorf("the server has no system %q; `rollback remediators list` shows them", system)
}

func describeRemediator(p *page, r wire.Remediator) {
	p.printf("%s\n", strings.Join(strings.Fields(clean(r.System)+"  remediator "+clean(r.Remediator)+"  "+clean(r.Profile)+" "+clean(r.Plugin)), " "))
	for _, line := range []struct{ name, text string }{
		{"", r.Page}, {"behind it: ", r.BackedBy}, {"sha256: ", r.SHA256}, {"broken: ", r.Broken},
	} {
		if line.text != "" {
			p.printf("  %s%s\n", line.name, clean(line.text))
		}
	}
	for _, k := range r.Kinds {
		p.printf("\n%s  %s  %s\n", kindName(k), gradeName(k), clean(strings.Join(k.Actions, ", ")))
		if k.Says != "" {
			p.printf("  %s\n", clean(k.Says))
		}
		for _, m := range k.Resource {
			need := "optional"
			if m.Required {
				need = "required"
			}
			p.printf("  resource.%s  %s, %s  %s\n", clean(m.Name), clean(m.Type), need, clean(m.Says))
		}
	}
}

func newRemediatorsTest(a *app) *cobra.Command {
	var folders []string
	var unconfined bool
	cmd := &cobra.Command{
		Use:   "test FILE",
		Short: "Hold a plugin to the conformance suite, on this machine, with no server",
		Long: long(`
Runs the conformance suite against the plugin in FILE and a third party that misbehaves on purpose. Nobody else is
called. The suite is in ledgerd, which has to stand beside this command or in PATH. Exits 1 if a check does not pass.`,
			exitDone, exitError),
		Example: `  rollback remediators test ./my-plugin
  rollback remediators test ./my-plugin -o jsonl`,
		Args: oneArg("file of a plugin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			call := []string{"plugin-test"}
			for _, f := range folders {
				call = append(call, "--folder", f)
			}
			if unconfined {
				call = append(call, "--unconfined")
			}
			return a.runRemediatorsTest(cmd.Context(), append(call, "--", args[0]))
		},
	}
	cmd.Flags().StringSliceVar(&folders, "folder", nil, "`FOLDER` that the plugin may read besides those of the system; may be given again")
	cmd.Flags().BoolVar(&unconfined, "unconfined", false, "run it where the kernel cannot confine it")
	return cmd
}

// A mark is how one check of the suite ended.
type mark struct {
	Check string   `json:"check"`
	Why   []string `json:"why"` // empty: it passed
}

func (a *app) runRemediatorsTest(ctx context.Context, args []string) error {
	path, err := findLedgerd()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // ledgerd, with a file that the caller named
	cmd.Stderr = a.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	marks := []mark{}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m mark
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			a.say("%s", lines.Text())
			continue
		}
		marks = append(marks, m)
	}
	ended := errors.Join(lines.Err(), cmd.Wait())
	if err := a.showMarks(marks); err != nil {
		return err
	}
	if ended != nil || len(marks) == 0 {
		return exitWith(exitError)
	}
	return nil
}

// findLedgerd finds the server's binary: beside this one, else in PATH.
func findLedgerd() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "ledgerd")
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	path, err := exec.LookPath("ledgerd")
	if err != nil {
		return "", errors.New("ledgerd, which has the suite, stands neither beside this command nor in PATH")
	}
	return path, nil
}

func (a *app) showMarks(marks []mark) error {
	v := view{value: marks, lines: []any{}, names: []string{}}
	failed := 0
	var rows [][]cell
	for _, m := range marks {
		v.lines = append(v.lines, m)
		row := []cell{{"= pass", tintGood}, {clean(m.Check), tintNone}, {"", tintNone}}
		if len(m.Why) > 0 {
			failed++
			v.names = append(v.names, m.Check)
			row[0], row[2] = cell{"! fail", tintBad}, cell{clean(strings.Join(m.Why, "; ")), tintNone}
		}
		rows = append(rows, row)
	}
	v.text = func(p *page) {
		p.table(rows)
		p.printf("%d checks passed, %d failed.\n", len(marks)-failed, failed)
	}
	return a.show(v)
}
