package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

type windowOpenOptions struct {
	draft  wire.WindowDraft
	opens  string
	ends   string
	labels []string

	restore string
}

// AddFlags adds the flags to a command.
func (o *windowOpenOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.draft.Ticket, "ticket", "", "change ticket")
	f.StringVar(&o.draft.Owner, "owner", "", "who answers for it")
	f.StringVar(&o.opens, "opens-at", "", "planned begin, as `TIME` in RFC 3339")
	f.StringVar(&o.ends, "ends-at", "", "planned end, as `TIME` in RFC 3339")
	f.StringVar(&o.draft.Buffer, "buffer", "", "time kept free at the end for turning back, as `D` (30m)")
	f.StringVar(&o.draft.Snapshot, "snapshot", "", "the snapshot that was taken before it")
	f.StringVar(&o.restore, "restore", "", "how `rollback --restore-snapshot` restores it: system, kind, resource, before, undo … (`JSON`, @FILE, or - for stdin)")
	f.StringArrayVar(&o.labels, "label", nil, "`NAME=VALUE` (repeatable)")
}

func newWindowOpen(a *app) *cobra.Command {
	o := new(windowOpenOptions)
	cmd := &cobra.Command{
		Use:   "open NAME",
		Short: "Open a window",
		Long: long("Opens a window and prints its id. With ROLLBACK_URL=file:DIR the window is opened in a file of "+
			"DIR, under an id that counts there; `ledgerd import DIR` says under which id it took it in.", exitDone, exitError, exitAuth),
		Example: `  rollback window open "edge 4.2"
  ROLLBACK_WINDOW=$(rollback window open "edge 4.2" --ticket CHG123)
  rollback window open "core-net 4.2" --snapshot vm-118 --restore @restore.json`,
		Args: oneArg("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runWindowOpen(cmd.Context(), o, args[0]) },
	}
	o.AddFlags(cmd)
	return cmd
}

func (a *app) runWindowOpen(ctx context.Context, o *windowOpenOptions, name string) error {
	draft, err := o.read(name)
	if err != nil {
		return err
	}
	if draft.Restore, err = a.readRestore(o.restore); err != nil {
		return err
	}
	_, folder, err := a.address()
	if err != nil {
		return err
	}
	if folder != "" {
		return a.openInFile(ctx, folder, draft)
	}
	c, err := a.server()
	if err != nil {
		return err
	}
	w, err := c.OpenWindow(ctx, draft)
	if err != nil {
		return err
	}
	return a.showOpened(w)
}

func (o *windowOpenOptions) read(name string) (wire.WindowDraft, error) {
	d := o.draft
	d.Name = name
	if strings.TrimSpace(name) == "" {
		return d, errors.New("a window needs a name")
	}
	var err error
	if d.OpensAt, err = readTime("--opens-at", o.opens); err != nil {
		return d, err
	}
	if d.EndsAt, err = readTime("--ends-at", o.ends); err != nil {
		return d, err
	}
	if d.Buffer != "" {
		if b, err := time.ParseDuration(d.Buffer); err != nil || b < 0 {
			return d, errors.New("--buffer takes a duration such as 30m")
		}
	}
	for _, l := range o.labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			return d, errors.New("--label takes NAME=VALUE")
		}
		if d.Labels == nil {
			d.Labels = map[string]string{}
		}
		d.Labels[key] = value
	}
	return d, nil
}

// readTime reads a time in RFC 3339; nil where there is none.
func readTime(flag, s string) (*time.Time, error) {
	if s == "" {
		return nil, nil //nolint:nilnil // no time is no mistake
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, fmt.Errorf("%s takes a time such as 2026-11-21T02:00:00Z", flag)
	}
	t = t.UTC()
	return &t, nil
}

// openInFile opens a window in a file of folder.
func (a *app) openInFile(ctx context.Context, folder string, d wire.WindowDraft) error {
	id, err := newID()
	if err != nil {
		return err
	}
	body, err := client.Encode(d)
	if err != nil {
		return fmt.Errorf("encode the window: %w", err)
	}
	now := a.now()
	s := spool{app: a, dir: folder}
	call := wire.SpoolCall{At: now, Method: "POST", Path: "/v1/windows", Key: client.NewKey(), Makes: id, Body: body}
	if err := s.append(ctx, id, call); err != nil {
		return err
	}
	return a.showOpened(&wire.Window{
		ID: id, Name: d.Name, Ticket: d.Ticket, Owner: d.Owner, OpensAt: d.OpensAt, EndsAt: d.EndsAt, Buffer: d.Buffer,
		Snapshot: d.Snapshot, Labels: d.Labels, Restore: d.Restore, State: "open", CreatedAt: now,
	})
}

// showOpened prints the id of a new window, which scripts keep, and says the rest on the side.
func (a *app) showOpened(w *wire.Window) error {
	a.say("window %s is open: %s", w.ID, w.Name)
	for _, text := range w.Warnings {
		a.say("%s", text)
	}
	return a.show(view{value: w, names: []string{w.ID}, text: func(p *page) { p.printf("%s\n", clean(w.ID)) }})
}
