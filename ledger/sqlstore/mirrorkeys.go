package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger/journal"
)

// Wrapped keys stand in no record, so they go to the mirrors beside the records. The data key of an entry goes in the
// write that takes its first record there. What no record tells, a root secret that was made and a rotation, changes the
// ledger's mark of keys; a mirror that is not known to have everything under that mark gets every key that there is.

// factKeys is the ledger's mark of keys; with a mirror's name behind it, the mark that the mirror has.
const factKeys = "keys"

// firstKeys is the mark of a ledger in which nothing has set one: of a version before it.
const firstKeys = "first"

func factKeysOf(mirror string) string { return factKeys + ":" + mirror }

// keysChanged sets another mark, in the transaction that changes the keys.
func keysChanged(ctx context.Context, db bun.IDB) error {
	return putFact(ctx, db, factKeys, []byte(uuid.NewString()))
}

// keyMark returns a mark of keys as it is stored.
func (s *Store) keyMark(ctx context.Context, name string) (string, error) {
	raw, err := s.Fact(ctx, name)
	return string(raw), err
}

// startKeys finds out whether a mirror has every key.
func (f *feed) startKeys(ctx context.Context, k *sink) error {
	want, err := f.store.keyMark(ctx, factKeys)
	if err != nil {
		return err
	}
	if !k.keysMoved {
		if k.keys, err = f.store.keyMark(ctx, factKeysOf(k.Name())); err != nil {
			return err
		}
	}
	if root, err := f.store.RootKey(ctx); err != nil || root == nil {
		return err // no secret field can have been recorded
	}
	if k.keys != cmp.Or(want, firstKeys) {
		k.keyless = true
		f.away.Store(true)
	}
	return nil
}

// hurryKeys brings the mirrors their keys now, if one lacks some, and not only with the next record. What fails is
// tried again then.
func (f *feed) hurryKeys(ctx context.Context) {
	for _, k := range f.sinks {
		if !k.keyless {
			continue
		}
		if err := f.ready(ctx); err != nil {
			f.store.cfg.Log.WarnContext(ctx, "a mirror has not got the wrapped keys of secret fields yet", slog.Any("err", err))
		}
		return
	}
}

// bringKeys brings a mirror every key. f.writing is held.
func (f *feed) bringKeys(ctx context.Context, k *sink) error {
	if !k.keyless {
		return nil
	}
	mark, err := f.store.keyMark(ctx, factKeys) // before the keys are read: what changes meanwhile has another one
	if err != nil {
		return err
	}
	root, err := f.store.RootKey(ctx)
	if err != nil {
		return err
	}
	page := []journal.WrappedKey{{Root: root}}
	for after := (uuid.UUID{}); len(page) > 0; {
		if err := f.sendKeys(ctx, k, page); err != nil {
			return fmt.Errorf("mirror %s: %w", k.Name(), err)
		}
		list, err := f.store.DataKeys(ctx, uuid.Nil, after, mirrorPage)
		if err != nil {
			return err
		}
		page = page[:0]
		for _, one := range list {
			page, after = append(page, wrappedKey(one.Entry, one.Wrapped)), one.Entry
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	k.keyless, k.keys, k.keysMoved = false, cmp.Or(mark, firstKeys), true
	return nil
}

func (f *feed) sendKeys(ctx context.Context, k *sink, page []journal.WrappedKey) error {
	return k.Write(ctx, page, nil)
}

func wrappedKey(entry uuid.UUID, wrapped []byte) journal.WrappedKey {
	return journal.WrappedKey{EntryID: entry.String(), DataKey: wrapped}
}

// keysOf returns the data keys of the entries that records tell of, each once: of the entries that the transaction has added,
// if the records are its own, and else of those in the database.
func (f *feed) keysOf(ctx context.Context, added map[uuid.UUID]*entryRow, records []journal.Mirrored) ([]journal.WrappedKey, error) {
	var out []journal.WrappedKey
	var ids []uuid.UUID
	met := map[uuid.UUID]bool{}
	for _, r := range records {
		id, err := uuid.Parse(r.EntryID)
		if err != nil || met[id] {
			continue // a record that is about no entry has no id
		}
		met[id] = true
		if row := added[id]; row != nil && len(row.DataKey) > 0 {
			out = append(out, wrappedKey(id, row.DataKey))
		}
		ids = append(ids, id)
	}
	if added != nil || len(ids) == 0 {
		return out, nil
	}
	var rows []entryRow
	err := f.store.read.NewSelect().Model(&rows).Column("id", "data_key").
		Where("id IN (?)", bun.List(ids)).Where("data_key IS NOT NULL").OrderExpr("id").Scan(ctx)
	for i := range rows {
		out = append(out, wrappedKey(rows[i].ID, rows[i].DataKey))
	}
	return out, f.store.dialect.problem("list data keys", "", err)
}

// MirrorKeys brings every mirror the keys that it lacks, as after a rotation. That it has them is stored with the next
// change, or by [Store.Close].
func (s *Store) MirrorKeys(ctx context.Context) error {
	if s.feed == nil {
		return nil
	}
	for _, k := range s.feed.sinks {
		if err := s.feed.startKeys(ctx, k); err != nil {
			return err
		}
	}
	return s.feed.ready(ctx)
}

// ForgetMirroredKeys lets a mirror get every key again: it was read, and lacks one.
func (s *Store) ForgetMirroredKeys(ctx context.Context, mirror string) error {
	return s.SetFact(ctx, factKeysOf(mirror), nil)
}
