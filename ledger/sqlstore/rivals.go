package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// A liveWindow is a window whose open entries may stand in another's way.
type liveWindow struct {
	ID         uuid.UUID `bun:"id"`
	Name       string    `bun:"name"`
	State      string    `bun:"state"`
	Resume     string    `bun:"resume"`
	RollbackID uuid.UUID `bun:"rollback_id"`
	LastSeq    int64     `bun:"last_seq"`
	Run        string    `bun:"run"`
}

func (w *liveWindow) fields() []any {
	return []any{&w.ID, &w.Name, &w.State, &w.Resume, &w.RollbackID, &w.LastSeq, &w.Run}
}

// selectLive names the states as the index windows_live does. A kept window is live while a rollback is under way in it.
const selectLive = `SELECT w.id, w.name, w.state, w.resume, w.rollback_id, w.last_seq, COALESCE(r.state, '') AS run
	FROM windows AS w LEFT JOIN rollbacks AS r ON r.id = w.rollback_id
	WHERE w.state IN ('open', 'sealed', 'rolling_back', 'stuck')
	UNION ALL SELECT w.id, w.name, w.state, w.resume, w.rollback_id, w.last_seq, r.state AS run
	FROM rollbacks AS r JOIN windows AS w ON w.id = r.window_id
	WHERE r.state NOT IN ('finished', 'cancelled') AND w.state = 'kept'`

// A scene is the live windows beside one.
type scene map[uuid.UUID]liveWindow

func readLive(ctx context.Context, db bun.IDB) ([]liveWindow, error) {
	var list []liveWindow
	err := db.NewRaw(selectLive).Scan(ctx, &list)
	return list, err
}

// readLiveWindows reads them behind those that stand in the list.
func readLiveWindows(list *[]liveWindow) step {
	return step{query: selectLive, rowFunc: func(scan scanFunc) error {
		var w liveWindow
		err := scan(w.fields()...)
		*list = append(*list, w)
		return err
	}}
}

func sceneOf(list []liveWindow, but uuid.UUID) scene {
	out := scene{}
	for _, w := range list {
		if w.ID != but {
			out[w.ID] = w
		}
	}
	return out
}

// rivalRow is the few columns of an entry that an overlap is judged by.
type rivalRow struct {
	ID          uuid.UUID `bun:"id"`
	WindowID    uuid.UUID `bun:"window_id"`
	Seq         int64     `bun:"seq"`
	State       string    `bun:"state"`
	ResourceKey []byte    `bun:"resource_key"`
	RecordedAt  int64     `bun:"recorded_at"`
	AppliedAt   int64     `bun:"applied_at"`
	PerformBy   int64     `bun:"perform_by"`
}

// refsAtOnce limits how many places of the index one read names.
const refsAtOnce = 500

// rivals reads the open entries of the scene's windows on these resources.
func (s scene) rivals(ctx context.Context, db bun.IDB, keys []ledger.Key) ([]ledger.Rival, error) {
	var refs []int64
	for id, w := range s {
		for _, k := range keys {
			refs = append(refs, resourceRefs(id, k, int(w.LastSeq))...)
		}
	}
	asked := setOf(keys)
	var out []ledger.Rival
	for part := range slices.Chunk(refs, refsAtOnce) {
		var rows []rivalRow
		err := askRivals(db, part).Scan(ctx, &rows)
		if err != nil {
			return nil, fmt.Errorf("read entries of other windows: %w", err)
		}
		for i := range rows {
			if out, err = s.add(out, &rows[i], asked); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func askRivals(db bun.IDB, refs []int64) *bun.SelectQuery {
	return db.NewSelect().TableExpr("entries").
		Column("id", "window_id", "seq", "state", "resource_key", "recorded_at", "applied_at", "perform_by").
		Where("resource_ref IN (?)", bun.List(refs)).Where("open")
}

func renamedOf(q *bun.SelectQuery, windows []uuid.UUID) *bun.SelectQuery {
	return q.Where("window_id IN (?)", bun.List(windows)).Where("alias IS NOT NULL")
}

func setOf(keys []ledger.Key) map[ledger.Key]bool {
	out := make(map[ledger.Key]bool, len(keys))
	for _, k := range keys {
		out[k] = true
	}
	return out
}

// add turns a row into a rival if it is one: two resources may share a ref, and so may two windows.
func (s scene) add(out []ledger.Rival, r *rivalRow, asked map[ledger.Key]bool) ([]ledger.Rival, error) {
	w, live := s[r.WindowID]
	var key [32]byte
	if err := hash(&key, r.ResourceKey); err != nil || !live || !asked[key] {
		return out, err
	}
	return append(out, ledger.Rival{
		WindowID: w.ID, Window: w.Name, State: ledger.WindowState(w.State), Resume: ledger.WindowState(w.Resume), Run: ledger.RollbackState(w.Run),
		EntryID: r.ID, Seq: int(r.Seq), Key: key, Entry: ledger.EntryState(r.State),
		RecordedAt: moment(r.RecordedAt), AppliedAt: moment(r.AppliedAt), PerformBy: moment(r.PerformBy),
	}), nil
}

// renamed reads the entries with an alias of the scene's windows and of one more.
func (s scene) renamed(ctx context.Context, db bun.IDB, own uuid.UUID) ([]entryRow, error) {
	ids := []uuid.UUID{own}
	for id := range s {
		ids = append(ids, id)
	}
	var rows []entryRow
	for part := range slices.Chunk(ids, refsAtOnce) {
		var found []entryRow
		err := renamedOf(db.NewSelect().Model(&found), part).Scan(ctx)
		if err != nil {
			return nil, fmt.Errorf("read renamed entries: %w", err)
		}
		rows = append(rows, found...)
	}
	return rows, nil
}

// Rivals implements [ledger.Scanner].
func (s *Store) Rivals(ctx context.Context, windowID uuid.UUID, keys []ledger.Key) (out []ledger.Rival, err error) {
	err = s.snapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		list, err := readLive(ctx, tx)
		if err != nil {
			return err
		}
		out, err = sceneOf(list, windowID).rivals(ctx, tx, keys)
		return err
	})
	return out, s.dialect.problem("list rivals of", windowID.String(), err)
}

// Renamed implements [ledger.Scanner].
func (s *Store) Renamed(ctx context.Context, windowID uuid.UUID) (out []ledger.Entry, err error) {
	err = s.snapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		list, err := readLive(ctx, tx)
		if beside := sceneOf(list, windowID); err == nil && len(beside) > 0 {
			var rows []entryRow
			rows, err = beside.renamed(ctx, tx, windowID)
			if err == nil {
				out, err = convert(rows, (*entryRow).entry)
			}
		}
		return err
	})
	return out, s.dialect.problem("list renamed entries beside", windowID.String(), err)
}

// scene returns the live windows beside the unit's, as they are after the steps before. Those that this transaction holds are as it left them.
func (t *tx) scene(before ...step) (scene, error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	list, err := t.b.liveWindows(before...)
	if err != nil {
		return nil, err
	}
	out := sceneOf(list, t.win.ID)
	for _, f := range t.b.order {
		if f.win.ID == t.win.ID {
			continue
		}
		out.place(&f.win)
	}
	return out, nil
}

// place puts a window that the transaction holds in the place of its row.
func (s scene) place(w *ledger.Window) {
	row, known := s[w.ID]
	switch {
	case !known && !w.State.Live():
		return
	case !known || row.RollbackID != w.RollbackID:
		row.Run = ""
		if w.RollbackID != uuid.Nil {
			row.Run = string(ledger.RollbackQueued) // this transaction has just begun it
		}
	}
	row.ID, row.Name, row.State, row.Resume, row.LastSeq = w.ID, w.Name, string(w.State), string(w.Resume), int64(w.LastSeq)
	row.RollbackID = w.RollbackID
	s[w.ID] = row
}

// liveWindows reads the live windows; where there is one writer once in a transaction, as nobody else changes them
// meanwhile.
func (b *batch) liveWindows(before ...step) ([]liveWindow, error) {
	if b.live != nil {
		return b.live, b.ask(before...)
	}
	if len(before) == 0 && b.ahead.live != nil {
		return b.ahead.live, nil
	}
	list := []liveWindow{}
	err := b.ask(append(before, readLiveWindows(&list))...)
	if err == nil && b.c.dialect.lock == "" {
		b.live = list
	}
	return list, err
}

// Rivals implements [ledger.RivalTx]. Entries that were kept back are looked through as they are.
func (t *tx) Rivals(keys []ledger.Key) ([]ledger.Rival, error) {
	beside, err := t.scene(t.b.c.lockResources(keys)...)
	if err != nil || len(beside) == 0 || len(keys) == 0 {
		return nil, err
	}
	out, err := beside.rivals(t.b.ctx, t.b.c.db, keys)
	if err != nil {
		return nil, t.b.fail(err)
	}
	asked := setOf(keys)
	for _, r := range t.b.entries[t.b.written:] {
		if !r.Open || len(r.ResourceKey) == 0 {
			continue
		}
		out, err = beside.add(out, &rivalRow{
			ID: r.ID, WindowID: r.WindowID, Seq: r.Seq, State: r.State, ResourceKey: r.ResourceKey,
			RecordedAt: r.RecordedAt, AppliedAt: r.AppliedAt, PerformBy: r.PerformBy,
		}, asked)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Renamed implements [ledger.RivalTx].
func (t *tx) Renamed() ([]ledger.Entry, error) {
	beside, err := t.scene()
	if err != nil || len(beside) == 0 {
		return nil, err
	}
	if err := t.b.flush(); err != nil {
		return nil, err
	}
	rows, err := beside.renamed(t.b.ctx, t.b.c.db, t.win.ID)
	if err != nil {
		return nil, t.b.fail(err)
	}
	for _, r := range t.b.entries[t.b.written:] {
		if _, live := beside[r.WindowID]; len(r.Alias) > 0 && (live || r.WindowID == t.win.ID) {
			rows = append(rows, *r)
		}
	}
	return convert(rows, (*entryRow).entry)
}

// resourceSlots is how many locks stand for all resources where transactions run side by side: few, since a server has
// room for some thousands of them.
const resourceSlots = 64

// lockResources makes units that ask for one resource follow each other, to the end of their transactions. SQLite has
// one writer anyway.
func (c *conn) lockResources(keys []ledger.Key) []step {
	if c.dialect.lock == "" || len(keys) == 0 {
		return nil
	}
	slots := make([]int32, len(keys))
	for i, k := range keys {
		slots[i] = int32(k[0] % resourceSlots)
	}
	slices.Sort(slots) // in one order, so that no two wait for each other
	return []step{{query: c.dialect.lock, args: []any{slices.Compact(slots)}}}
}
