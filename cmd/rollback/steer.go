package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// steers are the commands that stop a rollback and let it go on; each is one call of the API.
var steers = []steer{
	{
		use: "pause", short: "Stop a rollback until it is resumed",
		says: "Stops the window's rollback between two attempts: what was sent is finished, nothing more is sent until\n`rollback resume`. Pausing a paused one changes nothing.",
		do:   (*client.Client).Pause,
	},
	{
		use: "resume", short: "Go on with a paused rollback",
		says: "Goes on with the window's paused rollback exactly where it stopped. Resuming one that runs changes nothing.",
		do:   (*client.Client).Resume,
	},
	{
		use: "cancel", short: "End a rollback and leave the rest as it is",
		says: "Ends the window's rollback after what was sent already. What it has undone stays undone, the rest stays as it is\n" +
			"and is not shown as rolled back. Another rollback of the window may be started later.",
		do: (*client.Client).Cancel,
	},
}

// A steer is one of them.
type steer struct {
	use, short, says string
	do               func(*client.Client, context.Context, string) (*wire.Rollback, error)
}

func newSteer(a *app, s steer) *cobra.Command {
	var window string
	cmd := &cobra.Command{
		Use:     s.use + " --window ID",
		Short:   s.short,
		Long:    long("\n"+s.says+" It exits 0 once that is taken in.", exitDone, exitError, exitAuth),
		Example: "  rollback " + s.use + " --window ID",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runSteer(cmd.Context(), s, window) },
	}
	cmd.Flags().StringVar(&window, "window", "", "full `ID` of the window whose rollback is meant; ROLLBACK_WINDOW is not enough here")
	completeWindows(a, cmd)
	return cmd
}

func (a *app) runSteer(ctx context.Context, s steer, window string) error {
	c, run, err := a.runOf(ctx, window)
	if err != nil {
		return err
	}
	rb, err := s.do(c, ctx, run)
	if err != nil {
		return err
	}
	report := wire.RollbackReport{Rollback: *rb}
	if rb.Over() {
		if report, err = readReport(ctx, c, rb); err != nil {
			return err
		}
	}
	if err := a.showRollback(report); err != nil {
		return err
	}
	if s.use == "cancel" && !rb.Over() {
		a.say("it ends after what was sent already. Follow it:\n  %s", followCommand(rb.WindowID))
	}
	return nil
}

// runOf returns the running or last rollback of a window that is named in full.
func (a *app) runOf(ctx context.Context, window string) (*client.Client, string, error) {
	if window == "" {
		return nil, "", errors.New("which window? Say --window ID")
	}
	id, err := checkID("window", window)
	if err != nil {
		return nil, "", err
	}
	c, err := a.server()
	if err != nil {
		return nil, "", err
	}
	w, err := c.Window(ctx, id)
	if err != nil {
		return nil, "", err
	}
	if w.RollbackID == nil {
		return nil, "", fmt.Errorf("no rollback of window %s has begun", id)
	}
	return c, *w.RollbackID, nil
}
