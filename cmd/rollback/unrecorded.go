package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

type unrecordedOptions struct {
	window string
	place  string
	query  client.UnrecordedQuery
}

// AddFlags adds the flags to a command.
func (o *unrecordedOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.window, "window", "", "`ID` of the window")
	f.StringVar(&o.query.System, "system", "", "`NAME` of one system; without it all that the window's entries name")
	f.StringArrayVar(&o.query.Kinds, "kind", nil, "only this `KIND` (repeatable)")
	f.StringVar(&o.place, "place", "", "where to look, as `JSON` members of a resource: {\"owner\":\"acme\",\"repo\":\"shop\"}, or @FILE; default: where the entries are")
	f.BoolVar(&o.query.All, "all", false, "also what the third party says is older than the window")
}

func newUnrecorded(a *app) *cobra.Command {
	o := new(unrecordedOptions)
	cmd := &cobra.Command{
		Use:   "unrecorded --window ID",
		Short: "List what third parties hold that no entry names",
		Long: long(`
Reads the lists of the window's systems and shows what no entry of any window names: as far as the third party says
when, only what was made or changed since the window opened. It changes nothing. What cannot be listed is said.`,
			exitDone, exitError, exitAuth, exitDrift) + "\n\nHere 6 means: something is there that nobody recorded.",
		Example: `  rollback unrecorded --window ID
  rollback unrecorded --window ID --system hooks --place '{"owner":"acme","repo":"shop"}' --all`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runUnrecorded(cmd.Context(), cmd, o) },
	}
	o.AddFlags(cmd)
	completeWindows(a, cmd)
	return cmd
}

func (a *app) runUnrecorded(ctx context.Context, cmd *cobra.Command, o *unrecordedOptions) error {
	id, err := a.windowOr(o.window, cmd.Flags().Changed("window"))
	if err != nil {
		return err
	}
	if o.query.Place, err = readPlace(a, o.place); err != nil {
		return err
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	u, err := c.Unrecorded(ctx, id, o.query)
	if err != nil {
		return err
	}
	if err := a.showUnrecorded(u); err != nil {
		return err
	}
	if len(u.Items) > 0 {
		return exitWith(exitDrift)
	}
	return nil
}

// readPlace reads the value of --place; nil: it is not given.
func readPlace(a *app, value string) (json.RawMessage, error) {
	if value == "" {
		return nil, nil
	}
	raw, err := readData(a.stdin, value, false)
	if err == nil && !json.Valid(raw) {
		err = errors.New("--place is not JSON")
	}
	return raw, err
}

func (a *app) showUnrecorded(u *wire.Unrecorded) error {
	v := view{value: u, lines: []any{}, names: []string{}}
	rows := [][]cell{header("SYSTEM", "KIND", "SINCE THE WINDOW", "WHEN", "RESOURCE")}
	for _, f := range u.Items {
		v.lines, v.names = append(v.lines, f), append(v.names, string(f.Resource))
		sign := map[string]string{"created": "+ created", "changed": "~ changed", "older": ". older", "undated": "? nobody knows"}[f.Sign]
		resource := describe(f.Resource)
		if f.Canary {
			resource += "  (a rehearsal's)"
		}
		rows = append(rows, []cell{
			{clean(f.System), tintNone}, {clean(f.Kind), tintNone}, {sign, tintWarn}, {whenOf(f), tintDim}, {resource, tintNone},
		})
	}
	v.text = func(p *page) {
		if len(u.Items) > 0 {
			p.table(rows)
		}
		for _, l := range u.Lists {
			p.enumeration(&l)
		}
		p.printf("%d unrecorded.\n", len(u.Items))
	}
	return a.show(v)
}

func whenOf(f wire.Foreign) string {
	at := f.Created
	if f.Sign == "changed" || at == nil {
		at = f.Changed
	}
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// enumeration says what a list leaves open.
func (p *page) enumeration(l *wire.Enumeration) {
	name := clean(l.System) + " " + clean(l.Kind)
	if len(l.Place) > 0 && string(l.Place) != "{}" {
		name += " at " + describe(l.Place)
	}
	switch {
	case l.Why != "":
		p.printf("%s: not listed: %s\n", name, clean(l.Why))
		return
	case l.Part:
		p.printf("%s: %s, and there may be more than the list shows\n", name, counted(l.Held, "is there", "are there"))
	default:
		p.printf("%s: %s\n", name, counted(l.Held, "is there", "are there"))
	}
	if l.Older > 0 {
		p.printf("  %d that nobody recorded are older than the window (--all shows them)\n", l.Older)
	}
}
