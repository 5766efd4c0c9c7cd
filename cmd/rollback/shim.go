package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// shimText defines curl as a function of a POSIX shell. %s is this program, quoted for the shell.
const shimText = `# sideledger: changing calls to hosts of configured systems go through the ledger.
curl() {
  ROLLBACK_SOURCE="${ROLLBACK_SOURCE:-$0}" %s curl "$@"
}
`

func newShim(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "shim",
		Short: "Print a shell function curl that goes through the ledger",
		Long: long(`
Prints a function curl for bash, dash and other POSIX shells. With it a script's changing calls to the hosts of
configured systems are made by the server and recorded; every other call, and every read, is made by the real curl.
It needs ROLLBACK_WINDOW, and holds for the shell that reads it: not for programs that the script starts.`,
			exitDone, exitError),
		Example: `  eval "$(rollback shim)"
  curl -fsS -X PATCH --json @route.json http://edge.example:2019/id/shop`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			if _, err := fmt.Fprintf(a.stdout, shimText, shellQuoted(self)); err != nil {
				return fmt.Errorf("write to stdout: %w", err)
			}
			return nil
		},
	}
}

// shellQuoted quotes text for a POSIX shell.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
