package main

import (
	"context"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// A windowMove is one of the commands that move a window on: they differ in the call alone.
type windowMove struct {
	name, short, long, example string
	call                       func(c *client.Client, ctx context.Context, id, reason string) (*wire.Window, error)
}

type windowMoveOptions struct{ reason string }

// AddFlags adds the flags to a command.
func (o *windowMoveOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.reason, "reason", "", "why; stored and shown")
}

func newWindowMove(a *app, m windowMove) *cobra.Command {
	o := new(windowMoveOptions)
	cmd := &cobra.Command{
		Use:               m.name + " ID",
		Short:             m.short,
		Long:              long(m.long, exitDone, exitError, exitAuth),
		Example:           m.example,
		Args:              oneArg("ID"),
		ValidArgsFunction: a.windowIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runWindowMove(cmd.Context(), m, o, args[0])
		},
	}
	o.AddFlags(cmd)
	return cmd
}

func (a *app) runWindowMove(ctx context.Context, m windowMove, o *windowMoveOptions, arg string) error {
	id, err := checkID("window", arg)
	if err != nil {
		return err
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	w, err := m.call(c, ctx, id, o.reason)
	if err != nil {
		return err
	}
	return a.showWindow(w)
}
