package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"sideledger/api/wire"
)

type verifyOptions struct{ window string }

// AddFlags adds the flags to a command.
func (o *verifyOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.window, "window", "", "`ID` of the window")
}

func newVerify(a *app) *cobra.Command {
	o := new(verifyOptions)
	cmd := &cobra.Command{
		Use:   "verify --window ID",
		Short: "Read every third party again and compare with the recorded state",
		Long: long(`
Looks at every third party and compares each closed or applied entry with its recorded state. It changes
nothing. An entry that no look can tell is "unknown", which is said and is no drift.`,
			exitDone, exitError, exitAuth, exitDrift),
		Example: `  rollback verify --window ID
  rollback verify --window ID -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runVerify(cmd.Context(), cmd, o) },
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	return cmd
}

func (a *app) runVerify(ctx context.Context, cmd *cobra.Command, o *verifyOptions) error {
	id, err := a.windowOr(o.window, cmd.Flags().Changed("window"))
	if err != nil {
		return err
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	result, err := c.Verify(ctx, id)
	if err != nil {
		return err
	}
	if result.Items == nil {
		result.Items = []wire.Verified{}
	}
	drifted, err := a.showVerified(result)
	if err != nil {
		return err
	}
	if drifted > 0 {
		return exitWith(exitDrift)
	}
	return nil
}

// showVerified shows the comparison and returns how many entries drifted.
func (a *app) showVerified(result *wire.VerifyResult) (int, error) {
	v := view{value: result, lines: []any{}, names: []string{}}
	counts := map[string]int{}
	var rows [][]cell
	for _, item := range result.Items {
		counts[item.Verdict]++
		v.lines = append(v.lines, item)
		if item.Verdict == "drifted" {
			v.names = append(v.names, item.EntryID)
		}
		symbol, tint := "=", tintGood
		switch item.Verdict {
		case "drifted":
			symbol, tint = "?", tintWarn
		case "unknown":
			symbol, tint = "!", tintDim
		}
		rows = append(rows, []cell{
			{fmt.Sprintf("%5s", strconv.Itoa(item.Seq)), tintNone},
			{symbol + " " + clean(item.Verdict), tint},
			{clean(item.EntryID), tintDim},
			{clean(item.Detail), tintNone},
		})
	}
	v.text = func(p *page) {
		p.table(rows)
		p.printf("Verified: %d same, %d drifted, %d unknown.\n", counts["same"], counts["drifted"], counts["unknown"])
	}
	return counts["drifted"], a.show(v)
}
