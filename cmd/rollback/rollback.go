package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// rollbackOptions are the flags of `rollback --window ID`.
type rollbackOptions struct {
	selection

	window   string
	reason   string
	plan     string
	onStuck  string
	parallel int
	dryRun   bool
	yes      bool
	detach   bool
	timeout  time.Duration
}

// AddFlags adds the flags to a command.
func (o *rollbackOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.window, "window", "", "full `ID` of the window to roll back; ROLLBACK_WINDOW is not enough here")
	f.StringVar(&o.reason, "reason", "", "why; stored and shown")
	f.StringVar(&o.plan, "plan", "", "run exactly the plan in `FILE`, which rollback plan --out saved: refused if the window has moved since")
	f.StringVar(&o.onStuck, "on-stuck", "", "what a stuck entry holds, as `MODE`: continue (only what it depends on), system (the rest of that system) or halt")
	f.IntVar(&o.parallel, "parallel", 1, "undo at up to `N` systems at once (64 at most): each newest first, --depends-on is kept over all")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the plan and change nothing")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.BoolVar(&o.detach, "detach", false, "start it and do not follow")
	f.DurationVar(&o.timeout, "timeout", 0, "follow for at most `D` (30m); the rollback goes on after it")
	o.selection.AddFlags(cmd)
	cmd.MarkFlagsMutuallyExclusive("detach", "timeout")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "detach")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "plan")
}

// newRollback is the root command. Its Args stay nil, so that a mistyped subcommand is refused with a
// suggestion.
func newRollback(a *app) *cobra.Command {
	o := new(rollbackOptions)
	cmd := &cobra.Command{
		Use:   "rollback --window ID",
		Short: "Undo what a maintenance window changed at third parties",
		Long: long(rootLong, exitDone, exitError, exitPerson, exitAuth, exitFailed, exitRunning, exitInterrupted) +
			"\n\nCtrl-C detaches: the server goes on, and a message says how to follow again.",
		Example: rootExample,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runRollback(cmd.Context(), cmd, o) },
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	return cmd
}

func (o *rollbackOptions) check(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("window") {
		return errors.New("which window? Say --window ID; ROLLBACK_WINDOW is not enough to undo one.\nsee `rollback --help`")
	}
	id, err := checkID("window", o.window)
	if err != nil {
		return err
	}
	o.window = id
	switch o.onStuck {
	case "", "continue", "system", "halt":
	default:
		return fmt.Errorf("--on-stuck takes continue, system or halt, not %q", o.onStuck)
	}
	if o.parallel < 1 || o.parallel > 64 {
		return fmt.Errorf("--parallel takes 1 to 64, not %d", o.parallel)
	}
	if cmd.Flags().Changed("plan") && o.plan == "" {
		return errors.New("--plan is empty")
	}
	if cmd.Flags().Changed("timeout") && o.timeout <= 0 {
		return errors.New("--timeout must be more than 0")
	}
	return o.selected(cmd)
}

func (a *app) runRollback(ctx context.Context, cmd *cobra.Command, o *rollbackOptions) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	if a.output == formatShell && !o.dryRun {
		return errors.New("-o shell goes with --dry-run, or with `rollback plan`")
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	if o.dryRun {
		_, err := a.showPlan(ctx, c, planned{window: o.window, selection: o.selection})
		return err
	}
	fingerprint, err := a.approve(ctx, c, o)
	if err != nil {
		return err
	}
	return a.undo(ctx, c, o, fingerprint)
}

// approve returns the fingerprint of the plan that is to be run; "" for whatever is there. It asks where
// there is somebody to ask.
func (a *app) approve(ctx context.Context, c *client.Client, o *rollbackOptions) (string, error) {
	if o.plan != "" {
		return o.load()
	}
	if o.yes || !terminal(a.stdin) || !terminal(a.stderr) {
		return "", nil
	}
	plan, err := a.previewPlan(ctx, c, planned{window: o.window, selection: o.selection})
	if err != nil {
		return "", err
	}
	fmt.Fprintf(a.stderr, "\nUndo this now? Only \"yes\" starts it: ")
	answer, err := a.readLine(ctx)
	if err != nil {
		fmt.Fprintln(a.stderr)
		return "", fmt.Errorf("nothing was started: %w", err)
	}
	if !strings.EqualFold(answer, "yes") {
		return "", errors.New("nothing was started")
	}
	return plan.Fingerprint, nil
}

// readLine reads one line from stdin, and returns early when the context ends.
func (a *app) readLine(ctx context.Context) (string, error) {
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		line, err := bufio.NewReader(a.stdin).ReadString('\n')
		got <- result{strings.TrimSpace(line), err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Canceled
	case r := <-got:
		if r.err != nil && r.line == "" {
			return "", errors.New("no answer")
		}
		return r.line, nil
	}
}

// load reads a saved plan, which names its window and its selection itself.
func (o *rollbackOptions) load() (string, error) {
	b, err := os.ReadFile(o.plan)
	if err != nil {
		return "", fmt.Errorf("read the plan: %w", err)
	}
	var saved wire.SavedPlan
	if err := json.Unmarshal(b, &saved); err != nil || saved.Fingerprint == "" {
		return "", fmt.Errorf("%s is not a plan that `rollback plan --out` saved", o.plan)
	}
	if saved.WindowID != o.window {
		return "", fmt.Errorf("%s is a plan of another window, %s", o.plan, saved.WindowID)
	}
	if !o.all() {
		return "", errors.New("a saved plan has its own selection: leave out --only, --exclude, --to-entry and --to-tag")
	}
	if o.restore && !saved.Selection.RestoreSnapshot {
		return "", fmt.Errorf("%s is a plan that leaves the snapshot alone: plan again with --restore-snapshot", o.plan)
	}
	o.selection = selectionOf(saved.Selection)
	return saved.Fingerprint, nil
}

// undo starts the run, or joins the running one, and follows it to its end.
func (a *app) undo(ctx context.Context, c *client.Client, o *rollbackOptions, fingerprint string) error {
	rb, err := c.StartRollback(ctx, o.window, wire.RollbackRequest{
		Reason: o.reason, Plan: fingerprint, Only: o.only, Exclude: o.exclude,
		ToEntry: wire.EntryRef(o.toEntry), ToTag: o.toTag, OnStuck: o.onStuck, Parallel: o.parallel,
		RestoreSnapshot: o.restore,
	}, 0)
	var answer *client.Error
	switch {
	case err == nil:
	case errors.As(err, &answer) && answer.Status == http.StatusPreconditionFailed:
		return fmt.Errorf("the window has moved since the plan was made, so nothing was started: look again with `rollback plan --window %s`: %w", o.window, err)
	case client.Refused(err) && client.Unreachable(err): // safe mode
		return fmt.Errorf("nothing was started: %w", err)
	case client.Unreachable(err):
		err = fmt.Errorf("nobody knows whether it started; ask again, a running one is joined: %w", err)
		if ctx.Err() != nil {
			a.say("%v", err)
			return &exit{status: exitInterrupted}
		}
		return err
	default:
		return err
	}
	if o.detach && !rb.Over() {
		if err := a.showRollback(wire.RollbackReport{Rollback: *rb}); err != nil {
			return err
		}
		a.say("detached: rollback %s goes on by itself. Follow it:\n  %s", rb.ID, followCommand(o.window))
		return exitWith(exitRunning)
	}
	return a.followToEnd(ctx, c, rb, o.timeout)
}

func followCommand(window string) string { return "rollback status --window " + window + " --follow" }

// stopCommand says how to stop the rollback itself.
func stopCommand(window string) string {
	return "`rollback pause --window " + window + "`, or cancel, stops that"
}

// followToEnd follows a run until it is over, shows what became of it, and returns its exit status as an
// error.
func (a *app) followToEnd(ctx context.Context, c *client.Client, rb *wire.Rollback, timeout time.Duration) error {
	window := rb.WindowID
	if !rb.Over() {
		followed := ctx
		if timeout > 0 {
			var cancel context.CancelFunc
			followed, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
			defer cancel()
		}
		over, err := a.follow(followed, c, rb)
		switch {
		case err == nil:
			rb = over
		case errors.Is(err, errTimeout):
			a.say("still running after %s: rollback %s goes on by itself. Follow it again:\n  %s", timeout, rb.ID, followCommand(window))
			return exitWith(exitRunning)
		case ctx.Err() != nil:
			a.say("detached: rollback %s goes on by itself. Follow it again:\n  %s", rb.ID, followCommand(window))
			return exitWith(exitInterrupted)
		default:
			a.say("rollback %s goes on by itself. Follow it again:\n  %s", rb.ID, followCommand(window))
			return err
		}
	}
	report, err := readReport(ctx, c, rb)
	if err != nil {
		return err
	}
	if err := a.showRollback(report); err != nil {
		return err
	}
	return exitWith(statusOfRollback(&report.Rollback, report.Stuck))
}

// readReport reads what became of a run that is over. A late fact may come between two reads: it reads again until the
// counts and the entries are of one moment, so that what is shown agrees with itself.
func readReport(ctx context.Context, c *client.Client, rb *wire.Rollback) (wire.RollbackReport, error) {
	for {
		out := wire.RollbackReport{Rollback: *rb}
		var err error
		if out.Stuck, err = stuckOf(ctx, c, rb); err != nil {
			return out, fmt.Errorf("rollback %s is over, but what is stuck could not be read: %w", rb.ID, err)
		}
		if out.Compensated, err = compensatedOf(ctx, c, rb); err != nil {
			return out, fmt.Errorf("rollback %s is over, but what came back under another name could not be read: %w", rb.ID, err)
		}
		now, err := c.Rollback(ctx, rb.ID)
		if err != nil {
			return out, fmt.Errorf("rollback %s is over, but it could not be read again: %w", rb.ID, err)
		}
		if now.Counts == rb.Counts {
			out.Rollback = *now
			return out, nil
		}
		rb = now
	}
}

// stuckOf returns the stuck entries that a run selected, in their order.
func stuckOf(ctx context.Context, c *client.Client, rb *wire.Rollback) ([]wire.Entry, error) {
	return entriesOf(ctx, c, rb, "stuck", func(e *wire.Entry) bool { return e.OnRollback != "retain" })
}

// compensatedOf returns the entries that a run selected and that came back with a new name or secret.
func compensatedOf(ctx context.Context, c *client.Client, rb *wire.Rollback) ([]wire.Entry, error) {
	if rb.Counts.Compensated == 0 {
		return nil, nil
	}
	return entriesOf(ctx, c, rb, "undone", func(e *wire.Entry) bool { return e.Outcome == "compensated" })
}

// entriesOf returns the entries in a state that a run selected and that want accepts, in their order.
func entriesOf(ctx context.Context, c *client.Client, rb *wire.Rollback, state string, wantFunc func(*wire.Entry) bool) ([]wire.Entry, error) {
	var out []wire.Entry
	q := client.EntryQuery{States: []string{state}, Only: rb.Only, Exclude: rb.Exclude, Desc: true, Limit: 1000}
	for e, err := range c.AllEntries(ctx, rb.WindowID, q) {
		if err != nil {
			return nil, err
		}
		if e.Seq > rb.ToEntry && wantFunc(&e) {
			out = append(out, e)
		}
	}
	return out, nil
}
