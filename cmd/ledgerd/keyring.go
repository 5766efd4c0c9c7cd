package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sideledger/ledger"
	"sideledger/ledger/secrets"
	"sideledger/ledger/sqlstore"
)

// SecretsConfig says which key the values of secret fields are kept under.
type SecretsConfig struct {
	Key      string   `yaml:"key"`      // env:NAME or file:/path; empty: a file beside the database, made at first start
	Previous []string `yaml:"previous"` // keys that something may still be under, until `ledgerd rewrap` has run
}

func (c *SecretsConfig) validate() error {
	if c.Key != "" {
		if msg := secrets.CheckReference(c.Key); msg != "" {
			return errors.New("secrets.key: " + msg)
		}
	}
	for i, ref := range c.Previous {
		if msg := secrets.CheckReference(ref); msg != "" {
			return fmt.Errorf("secrets.previous[%d]: %s", i, msg)
		}
	}
	return nil
}

// keyFile is where the key is kept when the configuration names none.
func (c *Config) keyFile() string {
	name := "ledgerd.secrets-key"
	if db := c.sqliteFile(); db != "" {
		name = realPath(db) + ".secrets-key"
	}
	if full, err := filepath.Abs(name); err == nil {
		return full
	}
	return name
}

// loadKeys reads the configured keys. made says that there is no key yet, and none is configured.
func (c *Config) loadKeys(getenv func(string) string) (current secrets.Key, previous []secrets.Key, missing bool, err error) {
	for i, ref := range c.Secrets.Previous {
		k, err := secrets.Load(ref, getenv)
		if err != nil {
			return current, nil, false, fmt.Errorf("secrets.previous[%d]: %w", i, err)
		}
		previous = append(previous, k)
	}
	ref := c.Secrets.Key
	if ref == "" {
		ref = "file:" + c.keyFile()
	}
	current, err = secrets.Load(ref, getenv)
	if c.Secrets.Key == "" && errors.Is(err, os.ErrNotExist) {
		return current, previous, true, nil
	}
	if err != nil {
		err = fmt.Errorf("secrets.key: %w", err)
	}
	return current, previous, false, err
}

// openKeyring returns what opens the secret fields of this ledger. On its first start a ledger gets a key file
// beside it, unless the configuration names a key. A key that is not the ledger's is an error here, rather than at
// the first entry that needs it.
func openKeyring(ctx context.Context, e *env, c *Config, store *sqlstore.Store) (*secrets.Keyring, error) {
	root, err := store.RootKey(ctx)
	if err != nil {
		return nil, err
	}
	current, previous, missing, err := c.loadKeys(e.getenv)
	switch {
	case err != nil:
		return nil, err
	case missing && root != nil:
		return nil, fmt.Errorf("secrets.key: the secret fields of this ledger are under key %s, which was kept in %s and is not there: "+
			"put it back, or say in secrets.key where it is. No other key can take its place", secrets.KeyID(root), c.keyFile())
	case missing:
		if current, err = makeKey(e, c); err != nil {
			return nil, err
		}
	}
	if root == nil {
		if root, err = makeRoot(ctx, store, current); err != nil {
			return nil, err
		}
	}
	ring, err := secrets.Open(current, previous, root)
	var wrong *secrets.WrongKeyError
	if errors.As(err, &wrong) {
		return nil, fmt.Errorf("secrets.key: this is not the key of this ledger: want key %s, have %v; name the right one in secrets.key, or the old one in secrets.previous", wrong.Want, wrong.Have)
	}
	if err != nil {
		return nil, fmt.Errorf("secrets.key: %w", err)
	}
	return ring, nil
}

// makeKey makes the key file of a ledger that has none, and says where it is. Another process may be first.
func makeKey(e *env, c *Config) (secrets.Key, error) {
	file := c.keyFile()
	k := secrets.NewKey()
	err := secrets.WriteKey(file, k)
	if errors.Is(err, os.ErrExist) {
		return secrets.Load("file:"+file, e.getenv)
	}
	if err != nil {
		return k, err
	}
	_, err = fmt.Fprintf(e.stderr, "a key for secret fields was made; it is in %s: keep a copy of it elsewhere, apart from the backups\n", file)
	return k, err
}

func makeRoot(ctx context.Context, store *sqlstore.Store, k secrets.Key) ([]byte, error) {
	root, err := secrets.NewRoot(k)
	if err != nil {
		return nil, err
	}
	if err = store.InsertRootKey(ctx, root); ledger.CodeOf(err) == ledger.CodeConflict {
		return store.RootKey(ctx)
	}
	return root, err
}
