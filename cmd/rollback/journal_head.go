package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sideledger/ledger/journal"
)

func newJournalHead(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "head",
		Short: "Fetch a signed head over all windows, to keep elsewhere",
		Long: long(`
Prints a signed note over the heads of all windows, a checkpoint in C2SP's format, and says by which key it is signed. Kept
where nobody who can write the ledger's database can write, it finds later what was removed, cut off or chained anew:
ledgerd verify --head FILE --key KEY.`, exitDone, exitError, exitAuth),
		Example: `  rollback journal head >head.note
  ledgerd verify --config ledgerd.yaml --head head.note --key "$(cat ledger.key)"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runJournalHead(cmd.Context()) },
	}
	return cmd
}

func (a *app) runJournalHead(ctx context.Context) error {
	c, err := a.server()
	if err != nil {
		return err
	}
	h, err := c.Head(ctx)
	if err != nil {
		return err
	}
	a.say("signed by %s", h.Key)
	return a.show(view{value: h, names: []string{h.Key}, text: func(p *page) { p.printf("%s", cleanLines(h.Note)) }})
}

// verifyMirror checks a mirror's folder, of all windows.
func (a *app) verifyMirror(dir string) error {
	m, err := journal.ReadMirror(os.DirFS(dir), func(journal.Mirrored) error { return nil })
	if err != nil {
		return err
	}
	for _, name := range m.Torn {
		a.say("%s: the last line is not whole, as after a power cut: nobody was answered on it", name)
	}
	if len(m.Damages) > 0 {
		var text []string
		for _, d := range m.Damages {
			text = append(text, d.String())
		}
		return errors.New(dir + " is damaged: " + strings.Join(text, "; "))
	}
	_, err = fmt.Fprintf(a.stdout, "OK  %d records of %d windows, %d signed heads\n", m.Records, len(m.Windows), len(m.Signed))
	return wrapWrite(err)
}
