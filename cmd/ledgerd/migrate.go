package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newMigrate(e *env) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring the database's schema up to date", Args: cobra.NoArgs,
		Long: "Brings the database's schema up to date. It may be run again at any time, also while a server runs.\nserve does the same by itself.",
		RunE: func(cmd *cobra.Command, _ []string) error { return runMigrate(cmd, e, &f) },
	}
	f.AddFlags(cmd.Flags())
	return cmd
}

func runMigrate(cmd *cobra.Command, e *env, f *configFlags) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	store, err := openStore(cmd.Context(), c, e.log, opening{})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(e.stderr, "the schema is up to date")
	return store.Close()
}
