package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sideledger/ledger/sqlstore"
)

func newBackup(e *env) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Copy a live ledger into FILE", Args: cobra.ExactArgs(1),
		Long: "Copies the ledger, as of one moment and while a server goes on writing, into a new file that only its owner can read.\nFor PostgreSQL use pg_dump.",
		RunE: func(cmd *cobra.Command, args []string) error { return runBackup(cmd, e, &f, args[0]) },
	}
	f.AddFlags(cmd.Flags())
	return cmd
}

func runBackup(cmd *cobra.Command, e *env, f *configFlags, file string) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	store, err := sqlstore.Open(cmd.Context(), sqlstore.Config{URL: c.Database, Clock: time.Now, Log: e.log})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	if err := store.Backup(cmd.Context(), file); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(e.stderr, "the ledger was copied to "+file+". Secret fields stand in it as ciphertext; the key is not in it")
	return nil
}
