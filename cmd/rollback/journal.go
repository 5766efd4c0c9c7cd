package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sideledger/api/wire"
	"sideledger/ledger/journal"
)

type journalOptions struct {
	window string
	out    string
}

// AddFlags adds the flags to a command.
func (o *journalOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.window, "window", "", "`ID` of the window")
	cmd.Flags().StringVar(&o.out, "out", "", "write it into `FILE` instead of stdout")
}

func newJournal(a *app) *cobra.Command {
	o := new(journalOptions)
	cmd := &cobra.Command{
		Use:   "journal --window ID",
		Short: "Fetch a window's journal, or verify one offline",
		Long: long(`
Writes the hash-chained journal of a window as JSON lines, and checks every link on the way. With --out
the file appears only when the whole journal is in it and verifies.`, exitDone, exitError, exitAuth),
		Example: `  rollback journal --window ID --out journal.jsonl
  rollback journal verify journal.jsonl
  rollback journal head >head.note`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runJournal(cmd.Context(), cmd, o) },
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	cmd.AddCommand(newJournalVerify(a), newJournalHead(a))
	return cmd
}

func (a *app) runJournal(ctx context.Context, cmd *cobra.Command, o *journalOptions) error {
	id, err := a.windowOr(o.window, cmd.Flags().Changed("window"))
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("out") && o.out == "" {
		return errors.New("--out is empty")
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	body, err := c.Journal(ctx, id)
	if err != nil {
		return err
	}
	defer body.Close()
	if o.out == "" {
		_, err := copyJournal(a.stdout, body)
		return err
	}
	report, err := saveJournal(o.out, body)
	if err != nil {
		return err
	}
	a.say("%s: %s, head %s", o.out, recordsOf(report), hex.EncodeToString(report.Head[:]))
	return nil
}

// recordsOf says which records a journal has.
func recordsOf(r journal.Report) string {
	if r.Begins > 1 {
		return fmt.Sprintf("records %d to %d (the earlier ones were removed by retention)", r.Begins, r.Records)
	}
	return fmt.Sprintf("%d records", r.Records)
}

// saveJournal writes the file whole and verified, or not at all.
func saveJournal(name string, body io.Reader) (report journal.Report, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return report, fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	report, err = copyJournal(f, body)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	return report, err
}

// copyJournal copies a journal byte for byte and verifies it on the way.
func copyJournal(w io.Writer, body io.Reader) (journal.Report, error) {
	report, err := journal.Verify(io.TeeReader(body, w))
	if err == nil && !report.OK {
		// What comes after a bad record is copied too: a person will want to see it.
		_, err = io.Copy(w, body)
	}
	switch {
	case err != nil:
		return report, fmt.Errorf("copy the journal: %w", err)
	case !report.OK:
		return report, fmt.Errorf("the journal does not verify, or it broke off: record %d: %s", report.FirstBad, report.Problem)
	}
	return report, nil
}

func newJournalVerify(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE|MIRROR",
		Short: "Check a journal file, or the folder of a mirror, offline",
		Long: long(`
Checks that every record follows from its bytes and the record before it, and that the file is whole; names
the first bad record. No server is asked. It does not show that the whole file was not replaced: compare the
head with one that was kept elsewhere. FILE may be - for stdin. Of a mirror's folder every window is checked.`, exitDone, exitError),
		Example: `  rollback journal verify journal.jsonl
  rollback journal verify /mnt/mirror
  rollback journal --window ID | rollback journal verify -`,
		Args: oneArg("FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return a.runJournalVerify(args[0]) },
	}
}

func (a *app) runJournalVerify(name string) error {
	in := a.stdin
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return a.verifyMirror(name)
	}
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // the operator names the file
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		defer f.Close()
		in = f
	}
	report, err := journal.Verify(in)
	if err != nil {
		return err
	}
	out := wire.JournalReport{
		OK: report.OK, WindowID: report.WindowID, Begins: report.Begins, Records: report.Records, Head: hex.EncodeToString(report.Head[:]),
		FirstBad: report.FirstBad, Problem: report.Problem,
	}
	err = a.show(view{value: out, names: []string{out.WindowID}, text: func(p *page) {
		if out.OK {
			p.printf("%s  window %s, %s, head %s\n", p.paint(tintGood, "= verified"), clean(out.WindowID), recordsOf(report), out.Head)
			return
		}
		p.printf("%s  record %d: %s\n", p.paint(tintBad, "x broken"), out.FirstBad, clean(out.Problem))
		p.printf("  %d good records before it, the last with hash %s\n", out.Records, out.Head)
	}})
	if err != nil {
		return err
	}
	if !report.OK {
		return exitWith(exitError)
	}
	return nil
}
