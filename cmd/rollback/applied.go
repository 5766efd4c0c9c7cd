package main

import (
	"context"

	"github.com/spf13/cobra"

	"sideledger/api/wire"
)

type appliedOptions struct {
	window   string
	after    string
	resource string
	spool    bool
}

// AddFlags adds the flags to a command.
func (o *appliedOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.window, "window", "", "`ID` of the entry's window, for the spool (ROLLBACK_WINDOW)")
	f.StringVar(&o.after, "after", "", "the image after the effect (`JSON`, @FILE, or - for stdin)")
	f.StringVar(&o.resource, "resource", "", "what completes the resource, an id that the third party chose (`JSON`, @FILE, or - for stdin)")
	f.BoolVar(&o.spool, "spool", false, "where the ledger cannot be reached: keep it in the spool and go on")
}

func newApplied(a *app) *cobra.Command {
	o := new(appliedOptions)
	cmd := &cobra.Command{
		Use:   "applied ENTRY",
		Short: "Report that the effect of an intent is there",
		Long: long(`
Reports that the effect is there. That is a fact, and is taken in any state of the window. A report on an entry
that is still in the spool goes there too, behind it.`, exitDone, exitError, exitAuth),
		Example: `  rollback applied ENTRY
  rollback applied ENTRY --resource '{"id":"we_1Qx"}' --after @hook.json`,
		Args: oneArg("ENTRY"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runApplied(cmd.Context(), cmd, o, args[0]) },
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	return cmd
}

func (a *app) runApplied(ctx context.Context, cmd *cobra.Command, o *appliedOptions, arg string) error {
	in := &inputs{stdin: a.stdin}
	var r wire.AppliedRequest
	var err error
	if cmd.Flags().Changed("after") {
		if r.After, err = in.json("after", o.after); err != nil {
			return err
		}
	}
	if cmd.Flags().Changed("resource") {
		if r.Resource, err = in.json("resource", o.resource); err != nil {
			return err
		}
	}
	return a.runReport(ctx, cmd, reportOptions{entry: arg, window: o.window, spool: o.spool, report: report{applied: r}})
}

// reportOptions are what applied and void have in common.
type reportOptions struct {
	entry, window string
	spool         bool
	report        report
}

func (a *app) runReport(ctx context.Context, cmd *cobra.Command, o reportOptions) error {
	id, err := checkID("entry", o.entry)
	if err != nil {
		return err
	}
	window := ""
	if cmd.Flags().Changed("window") || a.getenv("ROLLBACK_WINDOW") != "" {
		if window, err = a.windowOr(o.window, cmd.Flags().Changed("window")); err != nil {
			return err
		}
	}
	rec, err := a.recorder(window, o.spool)
	if err != nil {
		return err
	}
	e, _, err := rec.report(ctx, id, o.report)
	if err != nil {
		return err
	}
	if e != nil {
		a.warn(e)
		return a.showEntry(e)
	}
	state := "applied"
	if o.report.void != "" {
		state = "void"
	}
	return a.show(view{
		value: map[string]string{"id": id, "state": state}, names: []string{id},
		text: func(p *page) { p.printf("entry %s  %s, in a file\n", id, state) },
	})
}
