package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// A Mirror keeps the journal's records somewhere else, and the wrapped keys of their secret fields. Write is called after
// a commit and before anybody is answered; nil means that keys and records are durable there. Records of one window come in
// order and without gaps, and not before the keys that open them. After an error the same ones come again, since nobody
// knows. One call is made at a time, and the writer waits for it: Write bounds the time that it takes.
type Mirror interface {
	Name() string // for good: how far the mirror is, is remembered under it
	Write(ctx context.Context, keys []journal.WrappedKey, records []journal.Mirrored) error
}

// mirrorPage is how many records go in one write, when a mirror is caught up.
const mirrorPage = 500

// A feed brings the journal's records to the mirrors. Only what is in all of them is answered.
type feed struct {
	store *Store
	away  atomic.Bool // a mirror lacks something that was committed: nothing is added until it has it

	sinks   []*sink
	writing sync.Mutex // held while mirrors are written; the writer waits for it, so whoever holds it waits for no change
	mu      sync.Mutex // held for a moment, for what the sinks have
}

// A sink is one mirror and what it has. The maps are read and changed with the feed's mu held.
type sink struct {
	Mirror
	at     map[uuid.UUID]int64 // by window: the record up to which nothing is missing
	moved  map[uuid.UUID]bool  // at is not stored yet
	behind map[uuid.UUID]bool  // windows of which it lacks something

	keys      string // mark of the keys that it has
	keysMoved bool   // keys is not stored yet
	keyless   bool   // it lacks keys that no record brings
}

// A wanted is a window and the record up to which mirrors must have its journal.
type wanted struct {
	id     uuid.UUID
	number int64
}

// StartMirrors reads how far the mirrors are. It is called once, when the database is migrated and before the first
// change; what a mirror lacks is brought to it before the next answer. A Store without mirrors needs it not.
func (s *Store) StartMirrors(ctx context.Context, mirrors ...Mirror) error {
	if len(mirrors) == 0 {
		return nil
	}
	f := &feed{store: s}
	for _, m := range mirrors {
		k := &sink{Mirror: m, at: map[uuid.UUID]int64{}, moved: map[uuid.UUID]bool{}, behind: map[uuid.UUID]bool{}}
		var rows []struct {
			WindowID   uuid.UUID `bun:"window_id"`
			HeadNumber int64     `bun:"head_number"`
			Number     int64     `bun:"number"`
		}
		err := s.read.NewSelect().TableExpr("windows AS w").ColumnExpr("w.id AS window_id, w.head_number, COALESCE(m.number, 0) AS number").
			Join("LEFT JOIN mirrored AS m ON m.window_id = w.id AND m.mirror = ?", m.Name()).Scan(ctx, &rows)
		if err != nil {
			return fmt.Errorf("read how far the mirrors are: %w", err)
		}
		for _, r := range rows {
			k.at[r.WindowID] = r.Number
			if r.Number < r.HeadNumber {
				k.behind[r.WindowID] = true
				f.away.Store(true)
			}
		}
		if err := f.startKeys(ctx, k); err != nil {
			return err
		}
		f.sinks = append(f.sinks, k)
	}
	s.feed = f
	f.hurryKeys(ctx)
	return nil
}

// MirrorAway reports whether a mirror lacks something that was committed: nothing is recorded until it has that.
func (s *Store) MirrorAway() bool { return s.feed != nil && s.feed.away.Load() }

// ready catches up what the mirrors lack, if they lack something; an error says that nothing may be added.
func (f *feed) ready(ctx context.Context) error {
	if f == nil || !f.away.Load() {
		return nil
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	return f.catchUp(ctx)
}

// catchUp brings every mirror what it lacks. f.writing is held.
func (f *feed) catchUp(ctx context.Context) error {
	if !f.away.Load() {
		return nil
	}
	for _, k := range f.sinks {
		if err := f.bringKeys(ctx, k); err != nil {
			return err
		}
		for _, id := range f.lacks(k) {
			w, err := f.store.FindWindow(ctx, id)
			if err == nil {
				err = f.write(ctx, k, []wanted{{id, w.Head.Number}}, nil)
			}
			if err != nil {
				return err
			}
		}
	}
	f.away.Store(false)
	return nil
}

// lacks returns the windows of which a mirror lacks something.
func (f *feed) lacks(k *sink) []uuid.UUID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.SortedFunc(maps.Keys(k.behind), compareIDs)
}

// has returns up to which record a mirror has a window's journal.
func (f *feed) has(k *sink, id uuid.UUID) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return k.at[id]
}

func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// keeps reports whether every mirror has all that was committed in a window.
func (f *feed) keeps(id uuid.UUID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !slices.ContainsFunc(f.sinks, func(k *sink) bool { return k.behind[id] })
}

// push brings what a transaction has added, or has found there, to every mirror. It goes on to the others after one
// has failed. A caller that has gone does not end it.
func (f *feed) push(ctx context.Context, b *batch) error {
	var want []wanted
	for _, w := range b.order {
		if !w.fresh && w.win.Head.Number > 0 {
			want = append(want, wanted{w.win.ID, w.win.Head.Number})
		}
	}
	if len(want) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	f.writing.Lock()
	defer f.writing.Unlock()
	var errs []error
	for _, k := range f.sinks {
		if err := f.write(ctx, k, want, b); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		f.store.cfg.Log.ErrorContext(ctx, "a mirror did not take what was committed: nothing is recorded until it does", slog.Any("err", err))
		return err
	}
	return nil
}

// write brings one mirror up to what is wanted. What b, which may be nil, has not added is read from the database.
// f.writing is held.
func (f *feed) write(ctx context.Context, k *sink, want []wanted, b *batch) error {
	var out lot
	for _, w := range want {
		for f.has(k, w.id) < w.number {
			page, err := f.next(ctx, k, w, b)
			if err != nil {
				return f.lost(k, want, err)
			}
			out.keys, out.records = append(out.keys, page.keys...), append(out.records, page.records...)
			if w.number > f.has(k, w.id)+int64(len(page.records)) { // there is more: a page of its own
				if err := f.send(ctx, k, out); err != nil {
					return f.lost(k, want, err)
				}
				out = lot{}
				continue
			}
			break
		}
	}
	if err := f.send(ctx, k, out); err != nil {
		return f.lost(k, want, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range want {
		delete(k.behind, w.id)
	}
	return nil
}

// lost remembers that a mirror may lack what was wanted of it.
func (f *feed) lost(k *sink, want []wanted, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range want {
		if k.at[w.id] < w.number {
			k.behind[w.id] = true
			f.away.Store(true)
		}
	}
	return fmt.Errorf("mirror %s: %w", k.Name(), err)
}

// A lot is what goes to a mirror in one write.
type lot struct {
	keys    []journal.WrappedKey
	records []journal.Mirrored
}

// next returns the records that follow what the mirror has of a window, up to what is wanted or a page, with their keys.
func (f *feed) next(ctx context.Context, k *sink, w wanted, b *batch) (lot, error) {
	after := f.has(k, w.id)
	if b != nil {
		own, err := b.following(w.id, after)
		if err != nil {
			return lot{}, err
		}
		if len(own) > 0 {
			keys, err := f.keysOf(ctx, b.entryAt, own)
			return lot{keys, own}, err
		}
	}
	list, err := f.store.ListRecords(ctx, ledger.RecordQuery{WindowID: w.id, After: after, Limit: int(min(mirrorPage, w.number-after))})
	if err != nil {
		return lot{}, err
	}
	if len(list) > 0 && list[0].Number > after+1 {
		if _, ok := list[0].Follows(); ok {
			after = list[0].Number - 1 // what it wants next was removed in the open
		}
	}
	var out []journal.Mirrored
	for i, r := range list {
		if r.Number != after+int64(i)+1 {
			break
		}
		out = append(out, journal.Mirrored{WindowID: w.id.String(), Record: r})
	}
	if len(out) == 0 {
		return lot{}, fmt.Errorf("record %d of window %s is missing in the ledger", after+1, w.id)
	}
	keys, err := f.keysOf(ctx, nil, out)
	return lot{keys, out}, err
}

// following returns the records of a window that the batch has added, if they follow this one.
func (b *batch) following(id uuid.UUID, after int64) ([]journal.Mirrored, error) {
	var out []journal.Mirrored
	for _, r := range b.records {
		if r.WindowID == id && r.Number == after+int64(len(out))+1 {
			rec, err := r.record()
			if err != nil {
				return nil, err
			}
			out = append(out, journal.Mirrored{WindowID: id.String(), Record: rec})
		}
	}
	return out, nil
}

// send writes records and moves the positions.
func (f *feed) send(ctx context.Context, k *sink, out lot) error {
	if len(out.records) == 0 {
		return nil
	}
	if err := k.Write(ctx, out.keys, out.records); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range out.records {
		id := uuid.MustParse(r.WindowID)
		k.at[id], k.moved[id] = r.Number, true
	}
	return nil
}

// A position is how far a mirror has a window's journal, or the keys.
type position struct {
	sink   *sink
	id     uuid.UUID
	number int64
	keys   string // the mark that it has; empty: it is about a window
}

const savePosition = `INSERT INTO mirrored (mirror, window_id, number) VALUES (?, ?, ?)
	ON CONFLICT (mirror, window_id) DO UPDATE SET number = excluded.number WHERE mirrored.number < excluded.number`

// unsaved returns the positions that are not stored yet, in one order for all: on PostgreSQL two transactions may
// store the same ones.
func (f *feed) unsaved() []position {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []position
	for _, k := range f.sinks {
		for _, id := range slices.SortedFunc(maps.Keys(k.moved), compareIDs) {
			list = append(list, position{sink: k, id: id, number: k.at[id]})
		}
		if k.keysMoved {
			list = append(list, position{sink: k, keys: k.keys})
		}
	}
	return list
}

// saved forgets what a committed transaction has stored.
func (f *feed) saved(list []position) {
	if len(list) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range list {
		switch {
		case p.keys != "":
			p.sink.keysMoved = p.sink.keysMoved && p.sink.keys != p.keys
		case p.sink.at[p.id] == p.number:
			delete(p.sink.moved, p.id)
		}
	}
}

// save queues what stores positions within the transaction of b.
func (b *batch) save(list []position) {
	for _, p := range list {
		text, args := savePosition, []any{p.sink.Name(), p.id, p.number}
		if p.keys != "" {
			text, args = saveFact, []any{factKeysOf(p.sink.Name()), []byte(p.keys)}
		}
		b.later(step{query: text, args: args})
	}
}

// close stores the positions that no transaction has taken along.
func (f *feed) close(ctx context.Context) error {
	list := f.unsaved()
	if len(list) == 0 {
		return nil
	}
	c, err := f.store.conn(ctx)
	if err != nil {
		return err
	}
	b := newBatch(ctx, c, true)
	b.save(list)
	if err := b.flush(); err != nil {
		return errors.Join(fmt.Errorf("store how far a mirror is: %w", err), c.close())
	}
	f.saved(list)
	return c.close()
}

// errAway says that a mirror does not take what was committed.
func errAway(u *unit, msg string, err error) error {
	return unavailable(u.op, u.id(), msg, err)
}

const (
	msgRefused    = "the mirror does not answer, so nothing was recorded; ask again with the same id"
	msgUnmirrored = "it is recorded here and not known to be in the mirror; ask again with the same id"
)

// Mirrored brings everything that is committed to every mirror, and returns the heads of all windows, which the mirrors then
// have, in the order of their opening. Without a mirror the heads are those of the database. It keeps nobody from recording
// when it has returned: whoever stores something by these heads needs the writer, who may wait for the mirrors.
func (s *Store) Mirrored(ctx context.Context) ([]journal.Leaf, error) {
	if s.feed == nil {
		return s.heads(ctx)
	}
	heads, err := s.feed.bringAll(ctx)
	var store *ledger.Error
	if err != nil && !errors.As(err, &store) {
		err = unavailable("read heads", "", "the mirror does not answer", err)
	}
	return heads, err
}

// bringAll brings every mirror all that was committed when it was called, and returns the heads of it.
func (f *feed) bringAll(ctx context.Context) ([]journal.Leaf, error) {
	heads, err := f.store.heads(ctx) // before the lock, which the writer waits for: where windows are many it takes seconds
	if err != nil {
		return nil, err
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	if err := f.catchUp(ctx); err != nil {
		return nil, err
	}
	want := make([]wanted, 0, len(heads))
	for _, h := range heads {
		want = append(want, wanted{uuid.MustParse(h.WindowID), h.Number})
	}
	for _, k := range f.sinks {
		if err := f.write(ctx, k, want, nil); err != nil {
			return nil, err
		}
	}
	return heads, nil
}

// SetMirrored stores that a mirror has the windows' journals up to these heads: they were read from it.
func (s *Store) SetMirrored(ctx context.Context, mirror string, heads map[string]journal.Leaf) error {
	return s.change(ctx, "store how far a mirror is", func(ctx context.Context, db bun.IDB) error {
		for _, h := range heads {
			if _, err := db.NewRaw(savePosition, mirror, h.WindowID, h.Number).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// MirroredUpTo returns how far a mirror was known to be, by window. What it has may be more.
func (s *Store) MirroredUpTo(ctx context.Context, mirror string) (map[string]int64, error) {
	var rows []struct {
		WindowID uuid.UUID `bun:"window_id"`
		Number   int64     `bun:"number"`
	}
	err := s.read.NewSelect().TableExpr("mirrored").Column("window_id", "number").Where("mirror = ?", mirror).Scan(ctx, &rows)
	out := map[string]int64{}
	for _, r := range rows {
		out[r.WindowID.String()] = r.Number
	}
	return out, s.dialect.problem("read how far a mirror is", "", err)
}
