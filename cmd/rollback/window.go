package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

func newWindow(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "window",
		Short: "Open, list, show, seal, reopen and keep windows",
		Long:  long("A window is one maintenance window: the unit that an operator rolls back.", exitDone, exitError, exitAuth),
		Example: `  rollback window open "edge 4.2" --ticket CHG123 --snapshot vm-118
  rollback window list --state open
  rollback window seal ID --reason "upgrade finished"
  rollback window keep ID --reason "accepted by the owner"`,
		Args: func(cmd *cobra.Command, args []string) error { return noArgs(cmd, args) },
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWindowOpen(a), newWindowList(a), newWindowShow(a))
	cmd.AddCommand(newWindowMove(a, windowMove{
		name: "seal", short: "Close a window to new intents",
		long:    "Closes the window to new intents; facts are still taken. It never refuses over intents that nobody has reported on.",
		example: `  rollback window seal ID --reason "upgrade finished"`,
		call:    (*client.Client).Seal,
	}), newWindowMove(a, windowMove{
		name: "reopen", short: "Take a seal or a keep back",
		long:    "Opens a sealed window to new intents again; a kept window becomes sealed, so that its effects can be rolled back.",
		example: `  rollback window reopen ID --reason "one more step"`,
		call:    (*client.Client).Reopen,
	}), newWindowMove(a, windowMove{
		name: "keep", short: "Accept the upgrade: the window's effects stay",
		long:    "Accepts the upgrade: the window's effects stay, and nothing will be undone until somebody reopens it.",
		example: `  rollback window keep ID --reason "accepted by the owner"`,
		call:    (*client.Client).Keep,
	}))
	return cmd
}

// showWindow shows one window.
func (a *app) showWindow(w *wire.Window) error {
	return a.show(view{value: w, names: []string{w.ID}, text: func(p *page) { p.window(a, w) }})
}

// completeWindows completes --window with the ids of windows and their names.
func completeWindows(a *app, cmd *cobra.Command) {
	// The only error is that the flag does not exist, and a command without it completes nothing.
	_ = cmd.RegisterFlagCompletionFunc("window", a.windowIDs)
}

// windowIDs lists windows for the shell's completion; nothing where there is no answer.
func (a *app) windowIDs(cmd *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
	c, err := a.server()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), dialTimeout)
	defer cancel()
	list, err := c.Windows(ctx, client.WindowQuery{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, w := range list.Items {
		if strings.HasPrefix(w.ID, begin) {
			out = append(out, w.ID+"\t"+clean(w.Name)+" ("+clean(w.State)+")")
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
