package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/heads"
	"sideledger/ledger/journal"
	"sideledger/ledger/sqlstore"
)

// A mirrorCopy is what was read from a mirror, but for its records: these are read again where they are needed, so that none is kept.
type mirrorCopy struct {
	name   string // of the mirror, as it is remembered
	dir    string // its folder
	seen   *journal.Mirror
	sealed map[uuid.UUID]string // entries with secret fields that the records tell of, with their windows
}

// copyName returns under which name the mirror in a folder is remembered.
func copyName(dir string) (string, error) {
	full, err := filepath.Abs(dir)
	return copyPrefix + full, err
}

const copyPrefix = "folder:"

// readCopy reads a mirror's folder. have: how many records of each window are here already. eachFunc, which may be nil, gets the
// others, those of a window in order.
func readCopy(ctx context.Context, dir string, have map[string]int64, eachFunc func(journal.Mirrored) error) (*mirrorCopy, error) {
	name, err := copyName(dir)
	if err != nil {
		return nil, err
	}
	c := &mirrorCopy{name: name, dir: strings.TrimPrefix(name, copyPrefix), sealed: map[uuid.UUID]string{}}
	c.seen, err = journal.ReadMirror(os.DirFS(c.dir), func(r journal.Mirrored) error {
		if r.Number <= have[r.WindowID] {
			return ctx.Err()
		}
		if err := c.seal(r); err != nil || eachFunc == nil {
			return errors.Join(err, ctx.Err())
		}
		return errors.Join(eachFunc(r), ctx.Err())
	})
	return c, err
}

// again reads the mirror once more, and calls eachFunc with every record that it had the first time. If it has changed meanwhile that is
// an error, at the end.
func (c *mirrorCopy) again(ctx context.Context, eachFunc func(journal.Mirrored) error) error {
	c.seen.Forget() // where a large window's records are, is remembered once
	now, err := journal.ReadMirror(os.DirFS(c.dir), func(r journal.Mirrored) error {
		if r.Number > c.seen.Heads[r.WindowID].Number {
			return ctx.Err()
		}
		return errors.Join(eachFunc(r), ctx.Err())
	})
	if err != nil {
		return err
	}
	for id, h := range c.seen.Heads {
		hash, _, err := now.HashAt(id, h.Number)
		if err != nil {
			return err
		}
		if hex.EncodeToString(hash[:]) != h.Hash {
			return fmt.Errorf("the mirror %s has changed while it was read: record %d of window %s is not the one that was there", c.name, h.Number, id)
		}
	}
	return nil
}

// empty reports whether the folder is no mirror: a ledger's has a signed head at least.
func (c *mirrorCopy) empty() bool {
	return c.seen.Records == 0 && len(c.seen.Signed) == 0
}

// seal remembers the entry of a record if that has secret fields.
func (c *mirrorCopy) seal(r journal.Mirrored) error {
	id, err := ledger.SecretEntry(r.Record)
	if err == nil && id != uuid.Nil {
		c.sealed[id] = r.WindowID
	}
	return err
}

// absorb takes the records into the ledger, those that skipFunc, which may be nil, does not pass over. keys are the wrapped data keys
// of entries.
func (c *mirrorCopy) absorb(ctx context.Context, s *sqlstore.Store, keys map[uuid.UUID][]byte, skipFunc func(journal.Mirrored) bool) error {
	err := s.Absorb(ctx, keys, func(takeFunc func(uuid.UUID, journal.Record) error) error {
		return c.again(ctx, func(r journal.Mirrored) error {
			if skipFunc != nil && skipFunc(r) {
				return nil
			}
			windowID, err := uuid.Parse(r.WindowID)
			if err != nil {
				return fmt.Errorf("read the mirror: %w", err)
			}
			return takeFunc(windowID, r.Record)
		})
	})
	if err != nil {
		return err
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
