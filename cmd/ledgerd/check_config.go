package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sideledger/remediators"
)

func newCheckConfig(e *env) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "check-config", Short: "Read the configuration and say what is wrong with it", Args: cobra.NoArgs,
		Long: "Reads the configuration as serve would, without a database and without calling anybody.\nExit status: 0 it can be served (warnings included), 1 it cannot.",
		RunE: func(*cobra.Command, []string) error { return runCheckConfig(e, &f) },
	}
	f.AddFlags(cmd.Flags())
	return cmd
}

func runCheckConfig(e *env, f *configFlags) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	registry, warnings, err := remediators.NewRegistry(remediators.Options{
		Systems: c.Systems, Factories: factories(), Clock: time.Now, Log: e.log, Getenv: e.getenv,
	})
	if err != nil {
		return err
	}
	defer registry.Close()
	if _, _, _, err := c.loadKeys(e.getenv); err != nil {
		return err
	}
	for _, w := range warnings {
		_, _ = fmt.Fprintln(e.stdout, "warning: "+w.String())
	}
	for _, name := range slices.Sorted(maps.Keys(c.Systems)) {
		sys := c.Systems[name]
		for _, ref := range sys.References() {
			if _, err := remediators.Resolve(ref, e.getenv); err != nil {
				_, _ = fmt.Fprintf(e.stdout, "warning: systems.%s: %v here: its calls would be refused, and its entries end blocked\n", name, err)
			}
		}
	}
	for _, s := range registry.List() {
		_, _ = fmt.Fprintf(e.stdout, "system %s: %s %s\n", s.Name, s.Remediator, s.URL)
	}
	return nil
}
