package main

import (
	"errors"

	"github.com/spf13/cobra"
)

type voidOptions struct {
	window string
	reason string
	spool  bool
}

// AddFlags adds the flags to a command.
func (o *voidOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.window, "window", "", "`ID` of the entry's window, for the spool (ROLLBACK_WINDOW)")
	f.StringVar(&o.reason, "reason", "said with rollback void", "why the effect never happened")
	f.BoolVar(&o.spool, "spool", false, "where the ledger cannot be reached: keep it in the spool and go on")
}

func newVoid(a *app) *cobra.Command {
	o := new(voidOptions)
	cmd := &cobra.Command{
		Use:   "void ENTRY",
		Short: "Report that the effect of an intent never happened",
		Long: long(`
Reports that the effect never happened, also while a rollback waits for the word. A report on an entry that is
still in the spool goes there too, behind it.`, exitDone, exitError, exitAuth),
		Example: `  rollback void ENTRY --reason "the call was refused"`,
		Args:    oneArg("ENTRY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.reason == "" {
				return errors.New("--reason is empty")
			}
			return a.runReport(cmd.Context(), cmd, reportOptions{entry: args[0], window: o.window, spool: o.spool, report: report{void: o.reason}})
		},
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	return cmd
}
