package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

func newWindowShow(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a window and its entries",
		Long:  long("Shows a window; as text also its entries, newest first.", exitDone, exitError, exitAuth),
		Example: `  rollback window show ID
  rollback window show ID -o json`,
		Args:              oneArg("ID"),
		ValidArgsFunction: a.windowIDs,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runWindowShow(cmd.Context(), args[0]) },
	}
	return cmd
}

func (a *app) runWindowShow(ctx context.Context, arg string) error {
	id, err := checkID("window", arg)
	if err != nil {
		return err
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	w, err := c.Window(ctx, id)
	if err != nil {
		return err
	}
	if a.output != formatText {
		return a.showWindow(w)
	}
	rows := [][]cell{header("ENTRY", "STATE", "SYSTEM", "KIND", "ACTION", "RESOURCE", "SOURCE")}
	for e, err := range c.AllEntries(ctx, id, client.EntryQuery{Desc: true, Limit: 1000}) {
		if err != nil {
			return err
		}
		rows = append(rows, entryRow(&e))
	}
	return a.show(view{text: func(p *page) {
		p.window(a, w)
		if len(rows) > 1 {
			p.printf("\n")
			p.table(rows)
		}
	}})
}

func entryRow(e *wire.Entry) []cell {
	state, tint := clean(e.State), tintNone
	switch {
	case e.State == "stuck":
		symbol, t := reasonSymbol(e.Reason)
		state, tint = symbol+" stuck: "+clean(e.Reason), t
	case e.State == "undone":
		state, tint = clean(e.Outcome), tintGood
	case e.OnRollback == "retain":
		state += ", retained"
	}
	return []cell{
		{strconv.Itoa(e.Seq), tintNone},
		{state, tint},
		{clean(e.System), tintNone},
		{clean(e.Kind), tintNone},
		{clean(e.Action), tintNone},
		{short(resourceOf(e), 80), tintNone},
		{clean(e.Source), tintDim},
	}
}
