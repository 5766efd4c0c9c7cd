package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/google/uuid"

	"sideledger/ledger/journal"
	"sideledger/ledger/secrets"
	"sideledger/ledger/sqlstore"
)

// A keyChoice is which of a mirror's wrapped keys a ledger is made again with.
type keyChoice struct {
	root []byte               // nil: none fits, and the ledger makes a new one
	data map[uuid.UUID][]byte // by entry
	bad  []journal.Damage     // entries whose secret fields will not open, whatever key is put back
	shut *shutError           // entries whose secret fields do not open with the keys that are here; nil: all do
}

// A shutError says that secret fields are under a key that is not here.
type shutError struct {
	want    string // id of the key
	entries int    // how many need it
	err     error  // what was found in its place; nil: nothing
}

// Error says which key is missing.
func (e *shutError) Error() string {
	text := fmt.Sprintf("the secret fields of %d entries in this mirror are under key %s, which is not here", e.entries, e.want)
	var wrong *secrets.WrongKeyError
	switch {
	case errors.As(e.err, &wrong):
		text += fmt.Sprintf("; here are %v", wrong.Have)
	case e.err != nil && !errors.Is(e.err, os.ErrNotExist):
		text += " (" + e.err.Error() + ")"
	}
	return text
}

// chooseKeys chooses what a new ledger is made with. Nothing is made by it.
func chooseKeys(c *Config, getenv func(string) string, copied *mirrorCopy) *keyChoice {
	out := &keyChoice{}
	roots, sealed := copied.seen.Keys.Root, copied.sealed
	switch {
	case len(sealed) == 0:
		roots = nil // no entry needs one
	case len(roots) == 0:
		out.bad = []journal.Damage{{Problem: fmt.Sprintf("it has no keys of secret fields, and %d entries have such fields: the mirror was last written by a version "+
			"that kept none there, or they were removed. These entries will end blocked", len(sealed))}}
	}
	if len(roots) == 0 {
		return out
	}
	ring, root, err := openRoot(c, getenv, roots)
	newest := roots[len(roots)-1]
	var wrong *secrets.WrongKeyError
	switch {
	case err == nil:
		out.root = root
		out.data, out.bad, out.shut = openDataKeys(ring, sealed, copied)
	case errors.As(err, &wrong), errors.Is(err, errNoKey):
		out.root, out.data = newest, newestKeys(sealed, copied, secrets.KeyID(newest))
		out.shut = &shutError{want: secrets.KeyID(newest), entries: len(sealed), err: err}
	default:
		out.bad = []journal.Damage{{Problem: fmt.Sprintf("the ledger's root secret in it was changed (%v), and %d entries have secret fields: they will end blocked", err, len(sealed))}}
	}
	return out
}

// errNoKey says that no key is here at all.
var errNoKey = errors.New("no key is here")

// openRoot returns the keyring of the newest root secret that the keys at hand open, and its wrapping under the current key.
func openRoot(c *Config, getenv func(string) string, roots journal.Wrappings) (ring *secrets.Keyring, root []byte, err error) {
	current, previous, missing, err := c.loadKeys(getenv)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w", errNoKey, err)
	case missing:
		return nil, nil, fmt.Errorf("%w: %w", errNoKey, os.ErrNotExist)
	}
	for _, one := range roots { // the last error is the newest one's
		var opened *secrets.Keyring
		if opened, err = secrets.Open(current, previous, one); err == nil {
			ring, root = opened, one
		}
	}
	if ring == nil {
		return nil, nil, err
	}
	root, _, err = ring.RewrapRoot(root)
	return ring, root, err
}

// openDataKeys returns the data keys of entries, wrapped under the current key. Of several wrappings any that opens does:
// they all hold one key.
func openDataKeys(ring *secrets.Keyring, sealed map[uuid.UUID]string, copied ...*mirrorCopy) (data map[uuid.UUID][]byte, bad []journal.Damage, shut *shutError) {
	data = map[uuid.UUID][]byte{}
	for _, entry := range slices.SortedFunc(maps.Keys(sealed), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		problem := "its data key is not in the mirror"
		var wrong *secrets.WrongKeyError
		for _, wrapped := range wrappingsOf(entry, copied) {
			out, _, err := ring.RewrapDataKey(entry, wrapped)
			if err == nil {
				data[entry] = out
				break
			}
			if !errors.As(err, &wrong) {
				problem = "its data key in the mirror: " + err.Error()
			}
		}
		switch {
		case data[entry] != nil:
		case wrong != nil:
			data[entry] = newestOf(wrappingsOf(entry, copied), wrong.Want)
			if shut == nil {
				shut = &shutError{want: wrong.Want, err: wrong}
			}
			shut.entries++
		default:
			bad = append(bad, journal.Damage{WindowID: sealed[entry], Problem: fmt.Sprintf("entry %s: %s. It will end blocked", entry, problem)})
		}
	}
	return data, bad, shut
}

func wrappingsOf(entry uuid.UUID, copied []*mirrorCopy) (out journal.Wrappings) {
	for _, c := range copied {
		out = append(out, c.seen.Keys.Data[entry.String()]...)
	}
	return out
}

// newestKeys returns a wrapping for each entry that has one, unopened.
func newestKeys(sealed map[uuid.UUID]string, copied *mirrorCopy, under string) map[uuid.UUID][]byte {
	data := map[uuid.UUID][]byte{}
	for entry := range sealed {
		if list := copied.seen.Keys.Data[entry.String()]; len(list) > 0 {
			data[entry] = newestOf(list, under)
		}
	}
	return data
}

// newestOf returns the newest wrapping under a key, or else the newest one.
func newestOf(list journal.Wrappings, under string) []byte {
	for _, one := range slices.Backward(list) {
		if secrets.KeyID(one) == under {
			return one
		}
	}
	return list[len(list)-1]
}

// lacksKeys returns the entries, of those given, whose wrapped data key is in the ledger and not in the mirror as it is there,
// and whether that is so of the root secret. A rotation that is under way may show so.
func (c *mirrorCopy) lacksKeys(ctx context.Context, s *sqlstore.Store) (entries []uuid.UUID, root bool, err error) {
	wrapped, err := s.RootKey(ctx)
	if err != nil {
		return nil, false, err
	}
	root = len(wrapped) > 0 && len(c.sealed) > 0 && !c.seen.Keys.Root.Has(wrapped)
	err = eachDataKey(ctx, s, uuid.Nil, func(k sqlstore.DataKey) error {
		if _, there := c.sealed[k.Entry]; there && !c.seen.Keys.Data[k.Entry.String()].Has(k.Wrapped) {
			entries = append(entries, k.Entry)
		}
		return nil
	})
	return entries, root, err
}

// damagedKeys names what lacksKeys finds.
func (c *mirrorCopy) damagedKeys(ctx context.Context, s *sqlstore.Store) ([]journal.Damage, error) {
	entries, root, err := c.lacksKeys(ctx, s)
	if err != nil || len(entries) == 0 && !root {
		return nil, err
	}
	what := "the ledger's root secret"
	if len(entries) > 0 {
		what = fmt.Sprintf("the data keys of %d entries with secret fields (the first: %s)", len(entries), entries[0])
	}
	return []journal.Damage{{Problem: fmt.Sprintf("the mirror %s has not %s as they are here: they were changed or removed there, or never brought. The next start of the server brings them", c.name, what)}}, nil
}
