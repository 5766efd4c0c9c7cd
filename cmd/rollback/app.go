package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

// An app is what all commands share: the streams, the environment, and the flags that stand before them.
type app struct {
	getenv func(string) string
	stdin  io.Reader
	stdout io.Writer // data
	stderr io.Writer // talk

	output string // -o
	color  string // --color

	now   func() time.Time
	pause func(ctx context.Context, d time.Duration) error
	// heartbeat is how long a followed run may be quiet before a line says that it still runs.
	heartbeat time.Duration
}

func newApp(getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) *app {
	return &app{
		getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr,
		now: func() time.Time { return time.Now().UTC() }, pause: pause, heartbeat: 30 * time.Second,
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// say prints one line of talk.
func (a *app) say(format string, args ...any) {
	for i, v := range args {
		if text, ok := v.(string); ok {
			args[i] = clean(text)
		}
	}
	fmt.Fprintf(a.stderr, "rollback: %s\n", cleanLines(fmt.Sprintf(format, args...)))
}

// finish says what went wrong, if something did, and returns the exit status.
func (a *app) finish(ctx context.Context, err error) int {
	status := statusOf(ctx, err)
	var own *exit
	switch {
	case err == nil, errors.As(err, &own) && own.err == nil:
	case status == exitInterrupted && !errors.As(err, &own):
		a.say("interrupted")
	case status == exitAuth && a.getenv("ROLLBACK_TOKEN") == "" && a.getenv("ROLLBACK_TOKEN_FILE") == "":
		a.say("%v\nset ROLLBACK_TOKEN, or ROLLBACK_TOKEN_FILE to the name of a file that holds the token", err)
	default:
		a.say("%v", err)
	}
	return status
}

// terminal reports whether a stream is a terminal.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

const rootLong = `rollback undoes what a maintenance window changed at third parties, newest first, and says honestly
what came back and what did not. It also records those changes, for upgrade scripts.

On a terminal it shows the plan and asks. Without one it runs: the full id on the command line is the
confirmation.`

const rootExample = `  rollback --window 0193c1f2-…                       undo the window
  rollback --window 0193c1f2-… --dry-run             what would happen now
  rollback --window 0193c1f2-… --only system=flags   a part of it
  rollback --window 0193c1f2-… --restore-snapshot    with the snapshot, at its place
  rollback --window 0193c1f2-… --parallel 8          at eight systems at once
  rollback plan --window ID --out plan.json && rollback --window ID --plan plan.json
  rollback record --system edge --kind caddy.route --action create --capture \
      --resource '{"id":"hook","server":"edge"}' -- ./register-hook`

// newRoot builds the command tree.
func newRoot(a *app) *cobra.Command {
	root := newRollback(a)
	root.PersistentFlags().StringVarP(&a.output, "output", "o", formatText, "`FORMAT` of the data on stdout: text, json, jsonl or name")
	root.PersistentFlags().StringVar(&a.color, "color", "auto", "`WHEN` to colour: auto, always or never")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.check(cmd) }
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\nsee `%s --help`", err, cmd.CommandPath())
	})
	root.AddCommand(
		newWindow(a), newRecord(a), newDo(a), newShim(a), newCurl(a), newApplied(a), newVoid(a), newPlan(a), newRehearse(a), newUnrecorded(a), newStatus(a), newResolve(a), newConfirm(a),
		newVerify(a), newJournal(a), newRemediators(a), newVersion(a),
	)
	for _, s := range steers {
		root.AddCommand(newSteer(a, s))
	}
	root.AddCommand(newTopics()...)
	orderHelp(root)
	return root
}

// check holds the shared flags to their values.
func (a *app) check(cmd *cobra.Command) error {
	shell := a.output == formatShell && (cmd.Name() == "plan" || cmd.Name() == "rollback")
	switch a.output {
	case formatText, formatJSON, formatLines, formatName:
	default:
		if !shell {
			return fmt.Errorf("-o takes text, json, jsonl or name (plan also shell), not %q", a.output)
		}
	}
	switch a.color {
	case "auto", "always", "never":
		return nil
	default:
		return fmt.Errorf("--color takes auto, always or never, not %q", a.color)
	}
}

const helpTemplate = `{{with .Example}}Examples:
{{.}}

{{end}}{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}`

const usageTemplate = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Flags of all commands:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasHelpSubCommands}}

More help:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{rpad .CommandPath .CommandPathPadding}} {{.Short}}{{end}}{{end}}{{end}}
`

// orderHelp makes all help lead with examples.
func orderHelp(root *cobra.Command) {
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(usageTemplate)
}

// long joins a command's description and its exit statuses.
func long(text string, statuses ...int) string {
	return strings.TrimSpace(text) + "\n\n" + exitHelp(statuses...)
}

// oneArg asks for exactly one argument, by its name in the usage line.
func oneArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("want one %s\nsee `%s --help`", name, cmd.CommandPath())
		}
		return nil
	}
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q is one argument too many\nsee `%s --help`", args[0], cmd.CommandPath())
	}
	return nil
}
