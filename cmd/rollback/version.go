package main

import (
	"context"

	"github.com/spf13/cobra"

	"sideledger/api/wire"
)

type versionOptions struct{ server bool }

// AddFlags adds the flags to a command.
func (o *versionOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.server, "server", false, "ask the server for its version too")
}

func newVersion(a *app) *cobra.Command {
	o := new(versionOptions)
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this command, and of the server",
		Long:    long("Shows the version of this command; with --server also that of the server.", exitDone, exitError),
		Example: "  rollback version\n  rollback version --server",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runVersion(cmd.Context(), o) },
	}
	o.AddFlags(cmd)
	return cmd
}

func (a *app) runVersion(ctx context.Context, o *versionOptions) error {
	own := wire.Version{Version: versionOf()}
	out := map[string]wire.Version{"rollback": own}
	if o.server {
		c, err := a.server()
		if err != nil {
			return err
		}
		v, err := c.Version(ctx)
		if err != nil {
			return err
		}
		out["ledgerd"] = *v
	}
	return a.show(view{value: out, names: []string{own.Version}, text: func(p *page) {
		p.printf("rollback %s\n", clean(own.Version))
		if v, ok := out["ledgerd"]; ok {
			p.printf("ledgerd %s\n", clean(v.Version))
		}
	}})
}
