package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"sideledger/ledger"
	"sideledger/ledger/heads"
	"sideledger/ledger/journal"
	"sideledger/ledger/sqlstore"
)

type rebuildOptions struct {
	configFlags
	from       string
	acceptLoss bool
}

func newRebuild(e *env) *cobra.Command {
	var o rebuildOptions
	cmd := &cobra.Command{
		Use: "rebuild --from MIRROR", Short: "Make the ledger again from a mirror", Args: cobra.NoArgs,
		Long: `Makes the ledger again, in an empty database, from the journal records that a mirror's folder holds. Every hash is
checked. Windows, entries, attempts, rollbacks and journals are as they were; tokens and first answers of
Idempotency-Keys stand in no journal: a new admin token is made, the others have to be made anew. Put the note key of the
old ledger (DATABASE.note-key), if it is there still, beside the new database before: clients then notice what the
mirror does not have. Be sure that the old ledger does not run any more.

Exit status: 0 it is made, 1 error, 3 the mirror is damaged and nothing was made (--accept-loss takes what is good).`,
		Example: "  ledgerd rebuild --from /mnt/mirror --database sqlite:ledger.db\n  ledgerd rebuild --from /mnt/mirror --config ledgerd.yaml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRebuild(cmd.Context(), e, &o) },
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.from, "from", "", "the mirror's folder")
	cmd.Flags().BoolVar(&o.acceptLoss, "accept-loss", false, "of a damaged mirror take every window up to its first bad record")
	return cmd
}

func runRebuild(ctx context.Context, e *env, o *rebuildOptions) error {
	c, err := o.load()
	if err != nil {
		return err
	}
	if o.from == "" {
		return errors.New("--from: want the mirror's folder")
	}
	unlock, err := lockLedger(&c)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := open(ctx, e, c)
	if err != nil {
		return err
	}
	defer p.close()
	if empty, err := p.store.Empty(ctx); err != nil {
		return err
	} else if !empty {
		return fmt.Errorf("%s is not empty: a ledger is made in an empty database only", c.Database)
	}
	copied, err := readCopy(ctx, o.from, nil)
	if err != nil {
		return err
	}
	if len(copied.seen.Damages) > 0 && !o.acceptLoss {
		for _, d := range copied.seen.Damages {
			_, _ = fmt.Fprintln(e.stderr, "the mirror is damaged: "+d.String())
		}
		return exitError{exitPerson}
	}
	return p.rebuild(ctx, e, copied)
}

// rebuild fills an empty database.
func (p *parts) rebuild(ctx context.Context, e *env, c *mirrorCopy) error {
	id, incarnation := c.identity()
	if id != "" {
		if err := errors.Join(p.store.SetFact(ctx, factID, []byte(id)), p.store.SetFact(ctx, factIncarnation, []byte(incarnation))); err != nil {
			return err
		}
	}
	if err := c.absorb(ctx, p.store); err != nil {
		return err
	}
	v := &vigil{store: p.store, log: p.log}
	if err := v.identify(ctx, p.config.noteKey()); err != nil {
		return err
	}
	if err := c.adoptLeaves(ctx, p.store); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(e.stderr, "%d records of %d windows were taken in\n", c.seen.Records, len(c.seen.Windows))
	return firstToken(ctx, e, p)
}

// A mirrorCopy is what was read from a mirror: all of it, or what a ledger lacks.
type mirrorCopy struct {
	name    string // of the mirror, as it is remembered
	seen    *journal.Mirror
	records map[string][]journal.Record // by window, in order
}

// readCopy reads a mirror's folder. have: how many records of each window are here already.
func readCopy(ctx context.Context, dir string, have map[string]int64) (*mirrorCopy, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := &mirrorCopy{name: "folder:" + full, records: map[string][]journal.Record{}}
	c.seen, err = journal.ReadMirror(os.DirFS(full), func(r journal.Mirrored) error {
		if r.Number > have[r.WindowID] {
			c.records[r.WindowID] = append(c.records[r.WindowID], r.Record)
		}
		return ctx.Err()
	})
	return c, err
}

// absorb takes the records into the ledger, window by window.
func (c *mirrorCopy) absorb(ctx context.Context, s *sqlstore.Store) error {
	for _, id := range c.seen.Windows {
		if len(c.records[id]) == 0 {
			continue
		}
		windowID, err := uuid.Parse(id)
		if err != nil {
			return fmt.Errorf("read the mirror: %w", err)
		}
		if err := s.Absorb(ctx, windowID, c.records[id]); err != nil {
			return err
		}
	}
	return s.SetMirrored(ctx, c.name, c.seen.Heads)
}

// identity returns the ledger's id and incarnation as the newest signed head names them; empty: there is none.
func (c *mirrorCopy) identity() (id, incarnation string) {
	if len(c.seen.Signed) == 0 {
		return "", ""
	}
	origin, _, _ := strings.Cut(c.seen.Signed[len(c.seen.Signed)-1].Note, "\n")
	parts := strings.Split(origin, "/")
	if len(parts) != 3 || parts[0] != "sideledger" {
		return "", ""
	}
	return parts[1], parts[2]
}

// leaves returns the leaves of the signed tree of the newest incarnation, with its newest note.
func (c *mirrorCopy) leaves() (list []journal.Leaf, note string) {
	_, newest := c.identity()
	for _, s := range c.seen.Signed {
		origin, _, _ := strings.Cut(s.Note, "\n")
		if !strings.HasSuffix(origin, "/"+newest) || s.First > int64(len(list)) {
			continue // of an earlier incarnation
		}
		list = append(list[:s.First], s.Leaves...)
		note = s.Note
	}
	return list, note
}

// adoptLeaves adds the leaves that the mirror has beyond those of the ledger, if they give the root that was signed. Others
// are left alone: the heads are signed anew.
func (c *mirrorCopy) adoptLeaves(ctx context.Context, s *sqlstore.Store) error {
	there, note := c.leaves()
	here, err := s.Leaves(ctx)
	if err != nil || len(there) <= len(here) {
		return err
	}
	for i := range here {
		if here[i] != there[i] {
			return ledger.Conflict("take over the signed tree", "", "leaf %d of the mirror's signed tree is another one here", i)
		}
	}
	var tree heads.Tree
	if err := tree.Add(there...); err != nil {
		return err
	}
	root, err := tree.Root(tree.Len())
	if err != nil || !strings.Contains(note, fmt.Sprintf("\n%d\n%s\n", tree.Len(), root.String())) {
		return err
	}
	return s.AddSigned(ctx, journal.SignedHead{Note: note, First: int64(len(here)), Leaves: there[len(here):]})
}
