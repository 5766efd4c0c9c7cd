package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

type recordOptions struct {
	entryFlags

	take    []string
	spool   bool
	flush   bool
	verbose bool
}

// AddFlags adds the flags to a command.
func (o *recordOptions) AddFlags(cmd *cobra.Command) {
	o.entryFlags.AddFlags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&o.take, "take", nil, "take a value from the command's JSON output: `MEMBER=EXPRESSION`, as in resource.id=.id, with jq syntax (repeatable)")
	f.BoolVar(&o.spool, "spool", false, "where the ledger cannot be reached: record into the spool and go on")
	f.BoolVar(&o.flush, "flush", false, "send the spool and record nothing")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say on stderr what is recorded")
}

func newRecord(a *app) *cobra.Command {
	o := new(recordOptions)
	cmd := &cobra.Command{
		Use:   "record [entry flags] [-- COMMAND ...]",
		Short: "Record a side effect; with a command, run it between intent and outcome",
		Long: long(`
Without a command it records one entry and prints its id. With one it records the intent first, and runs the
command only when that is durable; stdin, stdout and stderr are the command's, and signals are passed on.
While the command runs the intent is renewed. It exits 0: the entry is applied. It exits otherwise: the entry
stays intended, as nobody knows whether the effect is there. It cannot be started: the entry is void.

Where the ledger cannot be reached the command is not run, unless --spool says to go on: then the entry is
kept in a file ($XDG_STATE_HOME/rollback/spool), which the next record or record --flush sends. An outcome
that cannot be reported is kept there in any case.`,
			exitDone, exitError, exitAuth, exitNotStarted, exitInterrupted),
		Example: `  rollback record --system edge --kind caddy.route --action create --capture \
      --resource '{"id":"hook","server":"edge"}' -- ./register-hook
  rollback record --system shop --kind http.request --action create --before null \
      --resource '{}' --take resource.id=.id --take after=. \
      --undo @undo.json --read @read.json -- curl -fsS --json @hook.json https://shop.example/hooks
  id=$(rollback record --system flags --kind unleash.toggle --action update --capture --resource @flag.json)
  rollback record --flush`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runRecord(cmd.Context(), cmd, o, args) },
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	return cmd
}

func (a *app) runRecord(ctx context.Context, cmd *cobra.Command, o *recordOptions, args []string) error {
	if o.flush {
		return a.flushSpool(ctx, cmd, o, args)
	}
	if err := o.checkCommand(cmd, args); err != nil {
		return err
	}
	takes, err := readTakes(o.take, len(args) > 0)
	if err != nil {
		return err
	}
	window, err := a.windowOr(o.window, cmd.Flags().Changed("window"))
	if err != nil {
		return err
	}
	draft, err := o.read(cmd, &inputs{stdin: a.stdin})
	if err != nil {
		return err
	}
	rec, err := a.recorder(window, o.spool)
	if err != nil {
		return err
	}
	if len(args) > 0 {
		w := wrapper{app: a, rec: rec, draft: draft, takes: takes, argv: args, verbose: o.verbose}
		return w.run(ctx)
	}
	e, err := rec.record(ctx, draft)
	if err != nil {
		return err
	}
	a.warn(e)
	return a.showRecorded(e, &draft)
}

// checkCommand holds the command to its place behind the two dashes.
func (o *recordOptions) checkCommand(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 0 && cmd.ArgsLenAtDash() != 0:
		return fmt.Errorf("%q: a command stands behind --, as in `rollback record [flags] -- %s`", args[0], args[0])
	case len(args) == 0 && cmd.ArgsLenAtDash() == 0:
		return errors.New("no command behind --")
	case len(args) > 0 && o.draft.State == "applied":
		return errors.New("--state applied goes without a command: its effect is there already")
	}
	return nil
}

// warn says what the ledger warned about when it recorded an entry.
func (a *app) warn(e *wire.Entry) {
	if e == nil {
		return
	}
	for _, w := range e.Warnings {
		a.say("entry %d (%s %s): %s", e.Seq, e.System, e.Kind, w)
	}
}

// showRecorded prints the entry; as text its id alone. Where no server has answered it is the draft.
func (a *app) showRecorded(e *wire.Entry, d *wire.EntryDraft) error {
	var value any = d
	if e != nil {
		value = e
	}
	return a.show(view{value: value, names: []string{d.ID}, text: func(p *page) { p.printf("%s\n", d.ID) }})
}

// flushSpool sends the spool and says how much of it is left.
func (a *app) flushSpool(ctx context.Context, cmd *cobra.Command, o *recordOptions, args []string) error {
	if len(args) > 0 {
		return errors.New("--flush goes without a command")
	}
	base, folder, err := a.address()
	if err != nil {
		return err
	}
	if folder != "" {
		return errors.New("--flush needs a server: what is recorded with ROLLBACK_URL=file:DIR is taken in by `ledgerd import DIR`")
	}
	only := ""
	if cmd.Flags().Changed("window") {
		if only, err = checkID("window", o.window); err != nil {
			return err
		}
	}
	s, err := a.spool()
	if err != nil {
		return err
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	all, err := s.flushAll(ctx, c, base, only)
	if err != nil {
		return err
	}
	a.say("%d recorded calls sent, %d kept", all.done, all.kept)
	switch {
	case all.err == nil && all.kept == 0:
		return nil
	case refusesUs(all.err):
		return exitWith(exitAuth)
	default:
		return exitWith(exitError)
	}
}

// readEntry reads an answer that is an entry.
func readEntry(answer *client.Answer) (*wire.Entry, error) {
	e := new(wire.Entry)
	if err := json.Unmarshal(answer.Body, e); err != nil {
		return nil, fmt.Errorf("read the entry that was answered: %w", err)
	}
	return e, nil
}
