package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"sideledger/ledger/journal"
	"sideledger/ledger/secrets"
	"sideledger/ledger/sqlstore"
)

// rewrapPage is how many data keys are wrapped anew in one transaction.
const rewrapPage = 200

type rewrapOptions struct {
	configFlags
	newKey string
}

func newRewrap(e *env) *cobra.Command {
	var o rewrapOptions
	cmd := &cobra.Command{
		Use: "rewrap", Short: "Rotate the key of secret fields: wrap every data key under the current key", Args: cobra.NoArgs,
		Long: `Wraps the data key of every entry with secret fields, and the ledger's root secret, under the key that secrets.key
names, in the ledger and then in its mirrors. Ciphertexts, fingerprints and journals stay as they are. It may be run
beside a server, and again at any time.

The way to a new key: make one with --new-key FILE; put it into secrets.key and the old one into
secrets.previous; restart the server; run rewrap; take the old one out of secrets.previous and restart.

A mirror is only added to, so the old wrappings stay there: if the old key was given away, name a new mirror then.

Exit status: 0 everything is under the current key, in every mirror too; 1 error.`,
		Example: "  ledgerd rewrap --new-key /etc/ledgerd/key-2027\n  ledgerd rewrap --config ledgerd.yaml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRewrap(cmd.Context(), e, &o) },
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.newKey, "new-key", "", "make a new key in FILE, and do nothing else")
	return cmd
}

func runRewrap(ctx context.Context, e *env, o *rewrapOptions) error {
	if o.newKey != "" {
		return newKeyFile(e, o.newKey)
	}
	c, err := o.load()
	if err != nil {
		return err
	}
	store, err := openStore(ctx, c, e.log, opening{recovering: true})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	ring, err := openKeyring(ctx, e, &c, store)
	if err != nil {
		return err
	}
	n, err := rewrapAll(ctx, store, ring)
	_, _ = fmt.Fprintf(e.stderr, "%d keys were wrapped anew under key %s\n", n, ring.CurrentID())
	if err == nil && len(c.Mirror) > 0 {
		err = mirrorRewrapped(ctx, e, c, store)
	}
	return err
}

// mirrorRewrapped brings the mirrors what was wrapped anew. They may be written beside a server that writes them too.
func mirrorRewrapped(ctx context.Context, e *env, c Config, store *sqlstore.Store) (err error) {
	list, err := newMirrors(e, c)
	if err == nil {
		defer func() { err = errors.Join(err, list.close()) }()
		err = list.start(ctx, store)
	}
	if err == nil {
		err = store.MirrorKeys(ctx)
	}
	if err == nil {
		err = store.Close() // which stores that the mirrors have them
	}
	if err != nil {
		return fmt.Errorf("%w\nthe keys are wrapped anew in the ledger, and not known to be so in every mirror: run rewrap again before the old key is taken out", err)
	}
	return nil
}

func newKeyFile(e *env, name string) error {
	full, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	k := secrets.NewKey()
	if err := secrets.WriteKey(full, k); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stderr, "key %s was made: secrets: {key: \"file:%s\", previous: [the old one]}\n", k.ID(), full)
	return err
}

// rewrapAll returns how many keys it has wrapped anew.
func rewrapAll(ctx context.Context, store *sqlstore.Store, ring *secrets.Keyring) (n int, err error) {
	var after uuid.UUID
	for {
		list, err := store.DataKeys(ctx, uuid.Nil, after, rewrapPage)
		if err != nil {
			return n, err
		}
		var changes []sqlstore.Rewrapping
		for _, k := range list {
			out, changed, err := ring.RewrapDataKey(k.Entry, k.Wrapped)
			if err != nil {
				return n, fmt.Errorf("entry %s: %w", k.Entry, err)
			}
			if changed {
				changes = append(changes, sqlstore.Rewrapping{Entry: k.Entry, Old: k.Wrapped, New: out})
			}
		}
		if err := store.ReplaceDataKeys(ctx, changes); err != nil {
			return n, err
		}
		n += len(changes)
		if len(list) < rewrapPage {
			break
		}
		after = list[len(list)-1].Entry
	}
	root, err := store.RootKey(ctx) // last: an interrupted run is then seen to be unfinished
	if err != nil {
		return n, err
	}
	out, changed, err := ring.RewrapRoot(root)
	if err != nil || !changed {
		return n, err
	}
	return n + 1, store.ReplaceRootKey(ctx, root, out)
}

type keysOptions struct {
	configFlags
	window string
}

func newKeys(e *env) *cobra.Command {
	var o keysOptions
	cmd := &cobra.Command{
		Use: "keys [--window ID]", Short: "Print the wrapped data keys that belong beside an exported journal", Args: cobra.NoArgs,
		Long: `Prints the wrapped data keys of entries with secret fields, one JSON line each, and the ledger's wrapped root secret
first. A journal holds secret values as ciphertext and does not hold these keys, so that they can be rotated: keep
this file beside it. It is of no use without the key that secrets.key names.`,
		Example: "  ledgerd keys --window ID --config ledgerd.yaml >ID.keys",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runKeys(cmd.Context(), e, &o) },
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.window, "window", "", "the window whose keys are printed; none: those of all windows")
	return cmd
}

func runKeys(ctx context.Context, e *env, o *keysOptions) error {
	var window uuid.UUID
	var err error
	if o.window != "" {
		if window, err = uuid.Parse(o.window); err != nil {
			return fmt.Errorf("--window: want a window's id")
		}
	}
	c, err := o.load()
	if err != nil {
		return err
	}
	store, err := sqlstore.Open(ctx, sqlstore.Config{URL: c.Database, Clock: time.Now, Log: e.log})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	return printKeys(ctx, e, store, window)
}

func printKeys(ctx context.Context, e *env, store *sqlstore.Store, window uuid.UUID) error {
	out := json.NewEncoder(e.stdout)
	root, err := store.RootKey(ctx)
	if err != nil {
		return err
	}
	if err := out.Encode(journal.WrappedKey{Root: root, Key: secrets.KeyID(root)}); err != nil {
		return err
	}
	return eachDataKey(ctx, store, window, func(k sqlstore.DataKey) error {
		return out.Encode(journal.WrappedKey{EntryID: k.Entry.String(), Key: secrets.KeyID(k.Wrapped), DataKey: k.Wrapped})
	})
}

// eachDataKey calls fn with every data key of a window, or of all windows for a zero one, in the order of the entries' ids.
func eachDataKey(ctx context.Context, store *sqlstore.Store, window uuid.UUID, fn func(sqlstore.DataKey) error) error {
	for after := (uuid.UUID{}); ; {
		list, err := store.DataKeys(ctx, window, after, rewrapPage)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, k := range list {
			if err := fn(k); err != nil {
				return err
			}
			after = k.Entry
		}
	}
}
