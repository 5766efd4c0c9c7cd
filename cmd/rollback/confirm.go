package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"sideledger/api/wire"
)

type confirmOptions struct {
	window string
	system string
	reason string
}

// AddFlags adds the flags to a command.
func (o *confirmOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.window, "window", "", "full `ID` of the window whose rollback waits; ROLLBACK_WINDOW is not enough here")
	f.StringVar(&o.system, "system", "", "`NAME` of the one system it goes on at; default: every one that it asked about")
	f.StringVar(&o.reason, "reason", "", "why; stored and shown (required)")
}

func newConfirm(a *app) *cobra.Command {
	o := new(confirmOptions)
	cmd := &cobra.Command{
		Use:   "confirm --window ID",
		Short: "Give the second word that a rollback waits for",
		Long: long(`
A rollback that would delete more at one system within a minute, or undo a larger share of what it holds, than
the system's guard allows waits there for a second word; `+"`rollback status`"+` says at which and why. This gives it,
for that run. The other systems go on meanwhile.`, exitDone, exitError, exitAuth),
		Example: `  rollback confirm --window ID --reason "all 200 hooks are ours"
  rollback confirm --window ID --system edge --reason "counted them"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runConfirm(cmd.Context(), o) },
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	return cmd
}

func (a *app) runConfirm(ctx context.Context, o *confirmOptions) error {
	if o.window != "" && o.reason == "" {
		return errors.New("--reason is required: it is what others will read")
	}
	c, run, err := a.runOf(ctx, o.window)
	if err != nil {
		return err
	}
	rb, err := c.Confirm(ctx, run, wire.ConfirmRequest{System: o.system, Reason: o.reason})
	if err != nil {
		return err
	}
	return a.showRollback(wire.RollbackReport{Rollback: *rb})
}
