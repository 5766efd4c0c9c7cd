package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"sideledger/ledger/journal"
)

type rebuildOptions struct {
	configFlags
	from       string
	acceptLoss bool
	withoutKey bool
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

If entries have secret fields, the key that these are under has to be where secrets.key says, or in DATABASE.secrets-key:
the mirror has their data keys, wrapped under it. Without the key nothing is made; --without-secrets-key makes the
ledger all the same, and those entries end blocked until the key is there.

Exit status: 0 it is made; 1 error; 3 nothing was made: the folder has no record of a ledger (is it mounted?), or the
mirror is damaged, or lacks keys of secret fields (--accept-loss takes what is good), or the key is not here. A rebuild
that fails takes away again the files that it made. A database that it had begun to fill otherwise, as on PostgreSQL, is
refused by every command: make it anew.`,
		Example: "  ledgerd rebuild --from /mnt/mirror --database sqlite:ledger.db\n  ledgerd rebuild --from /mnt/mirror --config ledgerd.yaml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRebuild(cmd.Context(), e, &o) },
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.from, "from", "", "the mirror's folder")
	cmd.Flags().BoolVar(&o.acceptLoss, "accept-loss", false, "of a damaged mirror take every window up to its first bad record, and the keys that open")
	cmd.Flags().BoolVar(&o.withoutKey, "without-secrets-key", false, "make the ledger although the key of its secret fields is not here")
	return cmd
}

func runRebuild(ctx context.Context, e *env, o *rebuildOptions) error {
	if o.from == "" {
		return errors.New("--from: want the mirror's folder")
	}
	c, err := o.load()
	if err != nil {
		return err
	}
	copied, err := readCopy(ctx, o.from, nil, nil)
	if err != nil {
		return err
	}
	keys := chooseKeys(&c, e.getenv, copied)
	if o.refuses(e, &c, copied, keys) {
		return exitError{exitPerson}
	}
	made := newMakings(&c)
	unlock, err := lockLedger(&c)
	if err != nil {
		return err
	}
	defer unlock()
	// Its keys are in the mirror: none may be made here.
	err = opened(ctx, e, c, opening{closed: true, filling: true}, func(p *parts) error {
		return p.solely(ctx, e, func(ctx context.Context) error {
			if empty, err := p.store.Empty(ctx); err != nil {
				return err
			} else if !empty {
				return fmt.Errorf("%s is not empty: a ledger is made in an empty database only", p.config.Database)
			}
			return p.filled(ctx, func() error { return p.rebuild(ctx, e, copied, keys) })
		})
	})
	if err != nil {
		return errors.Join(err, made.remove())
	}
	return nil
}

// makings are the files that a rebuild would make.
type makings []string

// newMakings finds them; none, if the database is there already. PostgreSQL's are not ours.
func newMakings(c *Config) makings {
	file := c.sqliteFile()
	if file == "" {
		return nil
	}
	if _, err := os.Lstat(file); err == nil {
		return nil
	}
	var out makings
	for _, suffix := range []string{"", "-wal", "-shm", ".reserve", ".admin-token", ".note-key", ".lock"} {
		if _, err := os.Lstat(realPath(file) + suffix); errors.Is(err, fs.ErrNotExist) {
			out = append(out, realPath(file)+suffix)
		}
	}
	return out
}

// remove takes away what a rebuild made before it failed; the lock, which is still held, last.
func (m makings) remove() error {
	var errs []error
	for _, file := range m {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("take away what was made: %w", err))
		}
	}
	return errors.Join(errs...)
}

// refuses says what is wrong with the mirror, or which key is missing, unless that was accepted.
func (o *rebuildOptions) refuses(e *env, c *Config, copied *mirrorCopy, keys *keyChoice) bool {
	refused := copied.empty()
	if refused {
		_, _ = fmt.Fprintf(e.stderr, "there is no record of a ledger in %s: is the mirror mounted there, and is it the folder with the *%s files? Nothing was made\n", o.from, journal.SegmentSuffix)
	}
	for _, d := range slices.Concat(copied.seen.Damages, keys.bad) {
		_, _ = fmt.Fprintln(e.stderr, "the mirror is damaged: "+d.String())
		refused = refused || !o.acceptLoss
	}
	if keys.shut == nil {
		return refused
	}
	_, _ = fmt.Fprintf(e.stderr, "%s.\nPut it into %s, or say in secrets.key where it is (secrets.previous: an older one).\n", keys.shut, c.keyFile())
	if o.withoutKey {
		_, _ = fmt.Fprintln(e.stderr, "Until it is there, these entries end blocked (secret_unreadable): `ledgerd rollback --without-secrets-key` undoes the others, and a server does not start")
		return refused
	}
	_, _ = fmt.Fprintln(e.stderr, "Nothing was made. Without it these entries cannot be undone; --without-secrets-key makes the ledger all the same, and they end blocked until it is there")
	return true
}

// rebuild fills an empty database.
func (p *parts) rebuild(ctx context.Context, e *env, c *mirrorCopy, keys *keyChoice) error {
	id, incarnation := c.identity()
	if id != "" {
		if err := errors.Join(p.store.SetFact(ctx, factID, []byte(id)), p.store.SetFact(ctx, factIncarnation, []byte(incarnation))); err != nil {
			return err
		}
	}
	if err := p.keepRoot(ctx, keys.root); err != nil {
		return err
	}
	if err := c.absorb(ctx, p.store, keys.data, nil); err != nil {
		return err
	}
	if _, err := p.newVigil(ctx); err != nil {
		return err
	}
	if err := c.adoptLeaves(ctx, p.store); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(e.stderr, "%d records of %d windows were taken in, and the data keys of %d entries with secret fields\n", c.seen.Records, len(c.seen.Windows), len(keys.data))
	return firstToken(ctx, e, p)
}

// keepRoot keeps the root secret of a ledger that is made again; nil: it has none. Nothing is under the one that an empty
// database may have.
func (p *parts) keepRoot(ctx context.Context, root []byte) error {
	if root == nil {
		return nil
	}
	here, err := p.store.RootKey(ctx)
	if err != nil {
		return err
	}
	if here != nil {
		return p.store.ReplaceRootKey(ctx, here, root)
	}
	return p.store.InsertRootKey(ctx, root)
}
