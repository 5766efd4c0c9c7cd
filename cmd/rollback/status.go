package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

type statusOptions struct {
	window  string
	follow  bool
	timeout time.Duration
}

// AddFlags adds the flags to a command.
func (o *statusOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.window, "window", "", "`ID` of the window (ROLLBACK_WINDOW); without one: the list of windows")
	f.BoolVar(&o.follow, "follow", false, "follow what happens, and the rollback to its end")
	f.DurationVar(&o.timeout, "timeout", 0, "follow for at most `D` (30m)")
}

func newStatus(a *app) *cobra.Command {
	o := new(statusOptions)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show where a window and its rollback are",
		Long: long(`
Shows a window, its last rollback, and what is stuck with the command to type next. Without --follow it
exits 0 whatever it shows. With --follow it shows each entry as it is recorded, and follows a rollback to
its end: then it exits as that rollback does, at once where one is over already, but for a window that is
open: there it waits for the next.`,
			exitDone, exitError, exitPerson, exitAuth, exitFailed, exitRunning, exitInterrupted),
		Example: `  rollback status
  rollback status --window ID
  rollback status --window ID --follow`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runStatus(cmd.Context(), cmd, o) },
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	return cmd
}

func (a *app) runStatus(ctx context.Context, cmd *cobra.Command, o *statusOptions) error {
	named := cmd.Flags().Changed("window") || a.getenv("ROLLBACK_WINDOW") != ""
	switch {
	case !named && o.follow:
		return errors.New("which window? Say --window ID, or set ROLLBACK_WINDOW")
	case cmd.Flags().Changed("timeout") && (!o.follow || o.timeout <= 0):
		return errors.New("--timeout goes with --follow and must be more than 0")
	case !named:
		return a.runWindowList(ctx, &windowListOptions{limit: 20})
	}
	id, err := a.windowOr(o.window, cmd.Flags().Changed("window"))
	if err != nil {
		return err
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	if o.follow {
		return a.followWindow(ctx, c, id, o.timeout)
	}
	return a.showStatus(ctx, c, id)
}

func (a *app) showStatus(ctx context.Context, c *client.Client, id string) error {
	w, err := c.Window(ctx, id)
	if err != nil {
		return err
	}
	report := wire.WindowReport{Window: *w, Stuck: []wire.Entry{}}
	if w.RollbackID != nil {
		if report.Rollback, err = c.Rollback(ctx, *w.RollbackID); err != nil {
			return err
		}
	}
	if w.Counts.Stuck > 0 {
		whole := &wire.Rollback{WindowID: id}
		if report.Stuck, err = stuckOf(ctx, c, whole); err != nil {
			return err
		}
	}
	report.Warnings = credentialWarnings(ctx, c, w)
	return a.show(view{value: report, names: []string{w.ID}, text: func(p *page) {
		p.window(a, w)
		for _, text := range report.Warnings {
			p.printf("%s %s\n", p.paint(tintBad, "!"), clean(text))
		}
		if report.Rollback != nil {
			p.printf("\n")
			p.rollback(report.Rollback)
		}
		p.stuck(report.Stuck)
		if report.Rollback != nil {
			p.held(report.Rollback.Held)
		}
	}})
}

// credentialWarnings says what a window that is not over has to know of the credentials of systems. Where it cannot be
// read, nothing is said: the state of the window is what was asked for.
func credentialWarnings(ctx context.Context, c *client.Client, w *wire.Window) []string {
	if w.State == "kept" || w.State == "rolled_back" {
		return nil
	}
	list, err := c.SystemsFor(ctx, w.ID)
	if err != nil {
		return nil
	}
	var out []string
	for _, s := range list.Items {
		if s.Credential != nil && s.Credential.Warning != "" {
			out = append(out, s.Credential.Warning)
		}
	}
	return out
}

// followWindow shows a window's journal as it grows, and a rollback to its end.
func (a *app) followWindow(ctx context.Context, c *client.Client, id string, timeout time.Duration) error {
	w, err := c.Window(ctx, id)
	if err != nil {
		return err
	}
	if w.RollbackID != nil {
		rb, err := c.Rollback(ctx, *w.RollbackID)
		if err != nil {
			return err
		}
		// An open window goes on after a partial run, and after a cancelled one that was reopened.
		if w.State != "open" || !rb.Over() {
			return a.followToEnd(ctx, c, rb, timeout)
		}
	}
	return a.awaitRollback(ctx, c, w, timeout)
}

// awaitRollback shows what is recorded in a window until a rollback begins, and follows that.
func (a *app) awaitRollback(ctx context.Context, c *client.Client, w *wire.Window, timeout time.Duration) error {
	if a.output == formatText {
		p := a.page(a.stdout)
		p.window(a, w)
		if p.err != nil {
			return wrapWrite(p.err)
		}
	}
	followed := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		followed, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
		defer cancel()
	}
	run, err := a.watchWindow(followed, c, w)
	switch {
	case err == nil:
		rb, err := c.Rollback(ctx, run)
		if err != nil {
			return err
		}
		return a.followToEnd(ctx, c, rb, timeout)
	case errors.Is(context.Cause(followed), errTimeout):
		a.say("no rollback has begun in %s", timeout)
		return exitWith(exitRunning)
	default:
		return err
	}
}

// watchWindow shows records until a rollback begins, and returns its id.
func (a *app) watchWindow(ctx context.Context, c *client.Client, w *wire.Window) (run string, err error) {
	lost := false
	out := a.page(a.stdout)
	err = c.WindowEvents(ctx, w.ID, client.Watch{
		After: w.Head.Number,
		LostFunc: func(err error) {
			if !lost {
				a.say("connection lost: %v; trying again", err)
			}
			lost = true
		},
		OpenFunc: func() {
			if lost {
				a.say("connected again")
			}
			lost = false
		},
	}, func(e wire.Event) error {
		var r wire.Record
		if err := json.Unmarshal(e.Data, &r); err != nil {
			return fmt.Errorf("read record %d: %w", e.ID, err)
		}
		if err := a.showRecord(out, e, &r); err != nil {
			return err
		}
		if r.Rollback != nil && r.RollbackID != "" {
			run = r.RollbackID
			return errOver
		}
		return nil
	})
	if errors.Is(err, errOver) {
		err = nil
	}
	return run, err
}

// showRecord shows one record of a followed window.
func (a *app) showRecord(p *page, e wire.Event, r *wire.Record) error {
	if a.output != formatText {
		if a.output == formatName {
			return nil
		}
		return a.showLine(e)
	}
	line := r.At.UTC().Format("15:04:05Z") + "  " + clean(r.Kind)
	if r.Entry != nil {
		line += fmt.Sprintf("  entry %d  %s %s  %s", r.Entry.Seq, clean(r.Entry.System), clean(r.Entry.Kind), clean(r.Entry.State))
	}
	if r.Note != "" {
		line += "  " + clean(r.Note)
	}
	p.printf("%s\n", line)
	return wrapWrite(p.err)
}
