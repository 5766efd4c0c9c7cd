package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

type rehearseOptions struct {
	system  string
	window  string
	kinds   []string
	place   string
	show    string
	timeout time.Duration
}

// AddFlags adds the flags to a command.
func (o *rehearseOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.system, "system", "", "`NAME` of the system; with --window it may be left out: all that its entries name")
	f.StringVar(&o.window, "window", "", "`ID` of the window whose entries say which kinds and where")
	f.StringArrayVar(&o.kinds, "kind", nil, "only this `KIND` (repeatable)")
	f.StringVar(&o.place, "place", "", "where a canary is to stand, as `JSON` members of a resource: {\"owner\":\"acme\",\"repo\":\"shop\"}, or @FILE")
	f.StringVar(&o.show, "show", "", "show the rehearsal that has this window `ID` of its own, and make none")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "wait for at most `D` for each system")
	cmd.MarkFlagsMutuallyExclusive("show", "system")
	cmd.MarkFlagsMutuallyExclusive("show", "window")
	cmd.MarkFlagsOneRequired("system", "window", "show")
}

func newRehearse(a *app) *cobra.Command {
	o := new(rehearseOptions)
	cmd := &cobra.Command{
		Use:   "rehearse --system NAME [--window ID]",
		Short: "Prove before the window that a system's effects can be taken back",
		Long: long(`
Makes a harmless resource of each kind that has one, changes it, and takes both back: in a window of its own, by
the same server, credential and rollback that will do it at night. That a credential can read does not prove that
it can delete; this does. Nothing is touched but what the rehearsal made. What an earlier rehearsal of the system
left unfinished is taken back first. A kind without a harmless resource is said to be not rehearsable, and why.
Calls have to be listed under effects in the system's configuration.

Exits 0 if something was rehearsed and all of it went well; 5 if a step was refused or failed; 3 if somebody
else changed the canary, nobody knows how a step ended, or nothing could be rehearsed.`,
			exitDone, exitError, exitPerson, exitAuth, exitFailed, exitRunning, exitInterrupted),
		Example: `  rollback rehearse --system hooks --place '{"owner":"acme","repo":"shop"}'
  rollback rehearse --window 0193c1f2-…
  rollback rehearse --system edge --kind caddy.route --place '{"server":"srv0"}' -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runRehearse(cmd.Context(), o) },
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	return cmd
}

func (a *app) runRehearse(ctx context.Context, o *rehearseOptions) error {
	c, err := a.server()
	if err != nil {
		return err
	}
	out := wire.RehearsalList{Items: []wire.Rehearsal{}}
	if o.show != "" {
		r, err := c.Rehearsal(ctx, o.show)
		if err != nil {
			return err
		}
		out.Items = append(out.Items, *r)
		return a.showRehearsals(out)
	}
	requests, err := o.requests(ctx, a, c)
	if err != nil {
		return err
	}
	for _, r := range requests {
		a.say("rehearsing %s", r.System)
		done, err := c.Rehearse(ctx, r, o.timeout)
		if err != nil {
			return lostRehearsal(err, r.System)
		}
		out.Items = append(out.Items, *done)
	}
	return a.showRehearsals(out)
}

// lostRehearsal says what is known of one whose outcome the ledger did not answer.
func lostRehearsal(err error, system string) error {
	if !client.Unreachable(err) {
		return err
	}
	return errors.Join(err, errors.New("nobody here knows how far it came; rehearse "+system+" again: what was left is taken back first"))
}

// requests are one for each system.
func (o *rehearseOptions) requests(ctx context.Context, a *app, c *client.Client) ([]wire.RehearsalRequest, error) {
	r := wire.RehearsalRequest{System: o.system, Window: o.window, Kinds: o.kinds}
	var err error
	if r.Place, err = readPlace(a, o.place); err != nil {
		return nil, err
	}
	if o.system != "" {
		return []wire.RehearsalRequest{r}, nil
	}
	systems := map[string]bool{}
	for e, err := range c.AllEntries(ctx, o.window, client.EntryQuery{Limit: 1000}) {
		if err != nil {
			return nil, err
		}
		systems[e.System] = true
	}
	var out []wire.RehearsalRequest
	for _, name := range sortedKeys(systems) {
		r.System = name
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, errors.New("the window has no entries yet: name the systems, with --system")
	}
	return out, nil
}
