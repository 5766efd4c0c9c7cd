package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

type windowListOptions struct {
	state string
	limit int
}

// AddFlags adds the flags to a command.
func (o *windowListOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.state, "state", "", "only windows in this `STATE`: open, sealed, kept, rolling_back, rolled_back or stuck")
	f.IntVar(&o.limit, "limit", 100, "at most `N` windows, newest first; 0: all")
}

func newWindowList(a *app) *cobra.Command {
	o := new(windowListOptions)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List windows, newest first",
		Long:  long("Lists windows, newest first.", exitDone, exitError, exitAuth),
		Example: `  rollback window list
  rollback window list --state stuck -o name`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runWindowList(cmd.Context(), o) },
	}
	o.AddFlags(cmd)
	return cmd
}

func (a *app) runWindowList(ctx context.Context, o *windowListOptions) error {
	if o.limit < 0 {
		return errors.New("--limit must not be negative")
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	list := wire.WindowList{Items: []wire.Window{}}
	q := client.WindowQuery{State: o.state, Limit: 1000}
	if o.limit > 0 {
		q.Limit = min(o.limit, 1000)
	}
	for w, err := range c.AllWindows(ctx, q) {
		if err != nil {
			return err
		}
		list.Items = append(list.Items, w)
		if len(list.Items) == o.limit {
			break
		}
	}
	return a.showWindows(list)
}

func (a *app) showWindows(list wire.WindowList) error {
	v := view{value: list, lines: []any{}, names: []string{}}
	rows := [][]cell{header("WINDOW", "STATE", "ENTRIES", "OPENED", "NAME")}
	for _, w := range list.Items {
		v.lines, v.names = append(v.lines, w), append(v.names, w.ID)
		n := closedOf(w.Counts) + w.Counts.Stuck + w.Counts.Remaining
		rows = append(rows, []cell{
			{clean(w.ID), tintNone},
			{clean(w.State), stateTint(w.State)},
			{strconv.Itoa(n), tintNone},
			{w.CreatedAt.UTC().Format("2006-01-02 15:04Z"), tintNone},
			{clean(w.Name), tintNone},
		})
	}
	v.text = func(p *page) {
		if len(list.Items) == 0 {
			p.printf("no windows\n")
			return
		}
		p.table(rows)
	}
	return a.show(v)
}

// stateTint returns the colour of a window's state.
func stateTint(state string) tint {
	switch state {
	case "stuck":
		return tintWarn
	case "rolled_back", "kept":
		return tintGood
	default:
		return tintChange
	}
}
