package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newTopics are the help texts that belong to no command: `rollback help NAME`.
func newTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What each exit status means", Long: exitTopic()},
		{Use: "environment", Short: "Variables that the commands read", Long: environmentTopic},
		{Use: "formats", Short: "Formats of -o, and what they hold", Long: formatsTopic},
	}
}

func exitTopic() string {
	var b strings.Builder
	b.WriteString("Exit statuses of all commands:\n\n")
	for _, row := range exitTable {
		fmt.Fprintf(&b, "  %3d  %s\n", row.status, row.means)
	}
	b.WriteString(`
` + "`record -- COMMAND`" + ` exits with the command's own status, or with 128 and the number of the signal that
ended it. Where the intent could not be recorded the command was not run, and the status is 1 or 4.
` + "`do` and `curl`" + ` end as curl does: see their help.`)
	return b.String()
}

const environmentTopic = `Variables:

  ROLLBACK_URL         where the ledger is; default http://127.0.0.1:8420.
                       file:DIR records into fsynced files of DIR with no server at all; ledgerd import DIR
                       takes them in later.
  ROLLBACK_TOKEN       the token. It is never a flag, and record -- COMMAND does not pass it on.
  ROLLBACK_TOKEN_FILE  a file that holds the token, where ROLLBACK_TOKEN is not set.
  TRACEPARENT          the span that the script runs under (W3C Trace Context): entries and rollbacks keep its trace.
  ROLLBACK_WINDOW      the window of commands that record or look. It is never enough to undo one.
  ROLLBACK_SOURCE      what ` + "`rollback curl`" + ` says as an entry's source; the shim says the script's name.
  XDG_STATE_HOME       the spool is kept below it, in rollback/spool, and in rollback/heads what a ledger has answered: by it a
                       ledger that was restored finds out what it lacks; default ~/.local/state.
  NO_COLOR             no colour. CLICOLOR_FORCE=1: colour in pipes too. --color goes before both.`

const formatsTopic = `Formats of -o:

  text   for people. Symbols always stand beside a word:
         ~ change back   - delete   + make again   = already undone   * retained   . waived or void
         ? a person decides (drifted, in doubt, late)   ! a step for a person   x blocked or failed
  json   one document, as the API answers it.
  jsonl  one document a line: lists one item a line, a plan one step a line and last the plan without its
         steps, a followed rollback one journal event a line ({"id", "kind", "data"}) and last the rollback.
  name   ids alone, one a line: what was made or changed, the entries that a plan would undo, the entries
         that verify found drifted.
  shell  plan only: curl lines, credentials as $VARIABLES.

Data is written to stdout, talk to stderr.`
