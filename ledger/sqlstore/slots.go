package sqlstore

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sideledger/ledger"
)

// A slot is one that this process has.
type slot struct {
	turns  *Turns
	system string
	holder string
	since  atomic.Int64 // unix time in ns, by this process's clock, just before the last statement that prolonged it; 0: it is lost
}

// askSlot takes a free slot: one that nobody has, and nobody else waits for. The first choice is the one that this process waits for.
const askSlot = `INSERT INTO slots AS s (system, slot, holder, until, wanted_by, wanted_until)
	SELECT ?, n.slot, ?, clock_timestamp() + ?::bigint * interval '1 microsecond', ?, '-infinity'
	FROM generate_series(0, ?::bigint - 1) AS n(slot) LEFT JOIN slots AS o ON o.system = ? AND o.slot = n.slot
	WHERE o.slot IS NULL OR o.until < clock_timestamp() AND (o.wanted_by = ? OR o.wanted_until < clock_timestamp())
	ORDER BY o.wanted_by = ? DESC NULLS LAST, random() LIMIT 1
	ON CONFLICT (system, slot) DO UPDATE
	SET holder = excluded.holder, until = clock_timestamp() + ?::bigint * interval '1 microsecond', wanted_by = excluded.wanted_by, wanted_until = '-infinity'
	WHERE s.until < clock_timestamp() AND (s.wanted_by = excluded.wanted_by OR s.wanted_until < clock_timestamp())
	RETURNING ` + unhurried + `, s.slot`

// askNext keeps one of the slots for this process, once it is free: the one that is kept for it already, or one that is kept for nobody.
const askNext = `UPDATE slots SET wanted_by = ?, wanted_until = clock_timestamp() + ?::bigint * interval '1 microsecond'
	WHERE (wanted_by = ? OR wanted_until < clock_timestamp()) AND system = ? AND slot = (
		SELECT slot FROM slots WHERE system = ? AND slot < ? AND (wanted_by = ? OR wanted_until < clock_timestamp())
		ORDER BY wanted_by = ? AND wanted_until >= clock_timestamp() DESC, random() LIMIT 1)
	RETURNING ` + unhurried + `, slot`

// Slot implements [ledger.Turns].
func (t *Turns) Slot(ctx context.Context, system string, n int) (ledger.Slot, error) {
	own := &slot{turns: t, system: system, holder: ledger.NewID().String()}
	began, term := t.store.cfg.Clock.Now(), t.term.Microseconds()
	var number int64
	found, err := t.ask(ctx, "take a slot", []any{&number}, askSlot, system, own.holder, term, t.id, n, system, t.id, t.id, term)
	switch {
	case err != nil:
		return nil, err
	case found:
		own.since.Store(began.UnixNano())
		t.hold(own)
		return own, nil
	}
	_, err = t.ask(ctx, "wait for a slot", []any{&number}, askNext, t.id, t.wanted.Microseconds(), t.id, system, system, n, t.id, t.id)
	return nil, err
}

// Stands implements [ledger.Slot].
func (s *slot) Stands() bool {
	since := s.since.Load()
	return since != 0 && s.turns.store.cfg.Clock.Now().Sub(time.Unix(0, since)) < s.turns.term
}

// Free implements [ledger.Slot].
func (s *slot) Free() {
	t := s.turns
	t.mu.Lock()
	delete(t.held, s.holder)
	t.mu.Unlock()
	var number int64
	_, err := t.ask(context.Background(), "give a slot back", []any{&number},
		"UPDATE slots SET until = '-infinity' WHERE system = ? AND holder = ? RETURNING "+unhurried+", slot", s.system, s.holder)
	if err != nil {
		t.store.cfg.Log.Warn("a slot ends by itself", slog.String("system", s.system), slog.Any("err", err))
	}
}

// hold lets a slot be renewed until it is given back.
func (t *Turns) hold(s *slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held[s.holder] = s
	if !t.renewing {
		t.renewing = true
		go t.keep()
	}
}

// keep renews all that this process holds, until it holds nothing.
func (t *Turns) keep() {
	tick := time.NewTicker(t.term / 3)
	defer tick.Stop()
	for range tick.C {
		t.mu.Lock()
		held := maps.Clone(t.held)
		t.renewing = len(held) > 0
		t.mu.Unlock()
		if len(held) == 0 {
			return
		}
		if err := t.renew(held); err != nil {
			t.store.cfg.Log.Warn("slots of systems are not renewed", slog.Any("err", err))
		}
	}
}

// renewAll passes over slots that were given back meanwhile.
const renewAll = `WITH renewed AS (
		UPDATE slots SET until = clock_timestamp() + ?::bigint * interval '1 microsecond'
		WHERE holder = ANY (string_to_array(?, ',')) AND until > '-infinity' RETURNING holder)
	SELECT ` + unhurried + `, COALESCE(string_agg(holder, ','), '') FROM renewed`

// renew renews slots. One that another process has taken, or that the server has forgotten, is lost.
func (t *Turns) renew(held map[string]*slot) error {
	began := t.store.cfg.Clock.Now()
	var renewed string
	holders := strings.Join(slices.Collect(maps.Keys(held)), ",")
	if _, err := t.ask(context.Background(), "renew slots", []any{&renewed}, renewAll, t.term.Microseconds(), holders); err != nil {
		return err
	}
	kept := strings.Split(renewed, ",")
	t.mu.Lock()
	defer t.mu.Unlock()
	for holder, s := range held {
		switch {
		case slices.Contains(kept, holder):
			s.since.Store(began.UnixNano())
		case t.held[holder] != nil: // else it was given back
			s.since.Store(0)
			delete(t.held, holder)
			t.store.cfg.Log.Warn("a slot was lost: it was not renewed in time", slog.String("system", s.system))
		}
	}
	return nil
}
