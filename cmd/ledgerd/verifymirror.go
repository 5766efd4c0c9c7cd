package main

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"sideledger/ledger/heads"
	"sideledger/ledger/journal"
	"sideledger/ledger/sqlstore"
)

// verifyCopy compares the ledger with the mirror in a folder, record by record. torn are segments whose last line is not whole.
func (p *parts) verifyCopy(ctx context.Context, dir, key string) (bad []journal.Damage, torn []string, err error) {
	name, err := copyName(dir)
	if err != nil {
		return nil, nil, err
	}
	had, err := p.store.MirroredUpTo(ctx, name) // before the mirror is read: a server may be writing both
	if err != nil {
		return nil, nil, err
	}
	m := &comparison{store: p.store, bad: map[string]*journal.Damage{}}
	c, err := readCopy(ctx, dir, nil, func(r journal.Mirrored) error { return m.take(ctx, r) })
	if err == nil {
		err = m.flush(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, d := range c.seen.Damages {
		d.Problem = "in the mirror: " + d.Problem
		bad = append(bad, d)
	}
	for _, id := range c.seen.Windows {
		if d := m.bad[id]; d != nil {
			bad = append(bad, *d)
		}
	}
	for id, number := range had {
		if has := c.seen.Heads[id].Number; has < number {
			bad = append(bad, journal.Damage{WindowID: id, Number: has + 1, Problem: "the mirror had it and has it no more"})
		}
	}
	keys, err := c.damagedKeys(ctx, p.store)
	if err != nil {
		return nil, nil, err
	}
	signed, err := p.verifySigned(ctx, c, key)
	return slices.Concat(bad, keys, signed), c.seen.Torn, err
}

// verifySigned compares the newest signed head of a mirror with its leaves, and those with the journals.
func (p *parts) verifySigned(ctx context.Context, c *mirrorCopy, key string) (bad []journal.Damage, err error) {
	signed, note := c.leaves()
	if note == "" {
		return nil, nil
	}
	var tree heads.Tree
	if err := tree.Add(signed...); err != nil {
		return nil, err
	}
	if problem := checkNote(note, key, "", &tree); problem != "" {
		bad = append(bad, journal.Damage{Problem: "the newest signed head of the mirror: " + problem})
	}
	more, err := p.verifyLeaves(ctx, signed)
	return append(bad, more...), err
}

// A comparison finds the first record of each window that is another one here than in the mirror, or is not here. What is read from the
// mirror was committed here before.
type comparison struct {
	store  *sqlstore.Store
	bad    map[string]*journal.Damage // by window
	places map[string]int             // of a window in list: its newest one
	list   []stretch                  // not compared yet
	count  int                        // of their hashes
}

// A stretch is some records of one window, one after the other, as a mirror has them.
type stretch struct {
	window string
	first  int64
	hashes [][32]byte
}

// compareMany is how many hashes are compared at a time.
const compareMany = 2000

func (m *comparison) take(ctx context.Context, r journal.Mirrored) error {
	if m.bad[r.WindowID] != nil {
		return nil
	}
	at, known := m.places[r.WindowID]
	if !known || r.Number != m.list[at].first+int64(len(m.list[at].hashes)) {
		if m.places == nil {
			m.places = map[string]int{}
		}
		at = len(m.list)
		m.places[r.WindowID], m.list = at, append(m.list, stretch{window: r.WindowID, first: r.Number})
	}
	m.list[at].hashes = append(m.list[at].hashes, r.Hash)
	if m.count++; m.count < compareMany {
		return nil
	}
	return m.flush(ctx)
}

// flush compares what was taken.
func (m *comparison) flush(ctx context.Context) error {
	for _, r := range m.list {
		if m.bad[r.window] != nil {
			continue
		}
		d, err := m.compare(ctx, r)
		if err != nil {
			return err
		}
		if d != nil {
			m.bad[r.window] = d
		}
	}
	m.places, m.list, m.count = nil, nil, 0
	return nil
}

func (m *comparison) compare(ctx context.Context, r stretch) (*journal.Damage, error) {
	id, err := uuid.Parse(r.window)
	if err != nil {
		return &journal.Damage{WindowID: r.window, Number: r.first, Problem: "it is in the mirror, and is of no window: its id is none"}, nil //nolint:nilerr // it is what is wrong
	}
	first, here, err := m.store.Hashes(ctx, id, r.first, r.first+int64(len(r.hashes))-1)
	if err != nil {
		return nil, err
	}
	for i, there := range r.hashes {
		number := r.first + int64(i)
		hash, ok := here[number]
		switch {
		case number < first: // it was removed here, in the open
		case !ok:
			return &journal.Damage{WindowID: r.window, Number: number, Problem: "it is in the mirror and not here"}, nil
		case hash != there:
			return &journal.Damage{WindowID: r.window, Number: number, Problem: "it is another one in the mirror"}, nil
		}
	}
	return nil, nil //nolint:nilnil // they agree
}
