package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// The names of what the ledger knows of itself.
const (
	factSafeMode = "safe_mode"
	factID       = "id"
	factNote     = "note"
	factSent     = "signed_sent" // how many leaves of the signed tree each mirror is known to have
	factKey      = "note_key"
)

// Fact returns what the ledger knows of itself under a name; nil: nothing.
func (s *Store) Fact(ctx context.Context, name string) ([]byte, error) {
	var values [][]byte
	err := s.read.NewSelect().TableExpr("facts").Column("value").Where("name = ?", name).Scan(ctx, &values)
	if err != nil || len(values) == 0 {
		return nil, s.dialect.problem("read fact "+name, "", err)
	}
	return values[0], nil
}

// SetFact stores what the ledger knows of itself; nil removes it.
func (s *Store) SetFact(ctx context.Context, name string, value []byte) error {
	return s.change(ctx, "store fact "+name, func(ctx context.Context, db bun.IDB) error {
		if value == nil {
			_, err := db.NewDelete().TableExpr("facts").Where("name = ?", name).Exec(ctx)
			return err
		}
		return putFact(ctx, db, name, value)
	})
}

const saveFact = "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

func putFact(ctx context.Context, db bun.IDB, name string, value []byte) error {
	_, err := db.NewRaw(saveFact, name, value).Exec(ctx)
	return err
}

// Safe returns why the ledger takes no changes, as this process knows it; nil: it does.
func (s *Store) Safe() *ledger.SafeMode { return s.safe.Load() }

// LoadSafe reads whether the ledger is in safe mode. It is called once the database is migrated.
func (s *Store) LoadSafe(ctx context.Context) error {
	raw, err := s.Fact(ctx, factSafeMode)
	if err != nil || len(raw) == 0 {
		return err
	}
	var safe ledger.SafeMode
	if err := json.Unmarshal(raw, &safe); err != nil {
		return fmt.Errorf("read why the ledger is in safe mode: %w", err)
	}
	s.safe.Store(&safe)
	return nil
}

// EnterSafe takes no changes from here on, durably, until [Store.LeaveSafe]. Whoever is in the middle of a change ends
// it. Saying the same again changes nothing.
func (s *Store) EnterSafe(ctx context.Context, missing ...ledger.Missing) error {
	for {
		old := s.safe.Load()
		next, any := old, false
		for _, m := range missing {
			var changed bool
			next, changed = next.With(s.cfg.Clock.Now(), m)
			any = any || changed
		}
		if !any {
			return nil
		}
		if !s.safe.CompareAndSwap(old, next) {
			continue
		}
		raw, err := json.Marshal(next)
		if err != nil {
			return err
		}
		return s.SetFact(context.WithoutCancel(ctx), factSafeMode, raw)
	}
}

// LeaveSafe takes changes again.
func (s *Store) LeaveSafe(ctx context.Context) error {
	if err := s.SetFact(ctx, factSafeMode, nil); err != nil {
		return err
	}
	s.safe.Store(nil)
	return nil
}

// refuses says why a change of a window is not made: the ledger is in safe mode.
func (s *Store) refuses(u *unit) error {
	safe := s.safe.Load()
	if safe == nil || u.directFunc != nil || s.cfg.Recovering {
		return nil
	}
	return safe.Err(u.op)
}
