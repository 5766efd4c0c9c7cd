package main

import (
	"context"
	"errors"
	"time"

	"sideledger/ledger/sqlstore"
)

// factFilling stands in a database, with the time when it was begun, from before a rebuild fills it until it is whole: a rebuild may
// fail or be killed at any moment, and what it has made by then looks like a ledger. One transaction around it all would
// hold as much as the largest ledger.
const factFilling = "filling"

// filled runs fn, which fills an empty database.
func (p *parts) filled(ctx context.Context, fn func() error) error {
	if err := p.store.SetFact(ctx, factFilling, []byte(time.Now().UTC().Format(time.RFC3339))); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return p.store.SetFact(ctx, factFilling, nil)
}

// whole refuses a database that a rebuild has not filled to its end.
func whole(ctx context.Context, s *sqlstore.Store) error {
	begun, err := s.Fact(ctx, factFilling)
	if err != nil || len(begun) == 0 {
		return err
	}
	return errors.New("this database holds a part of a ledger: `ledgerd rebuild` began to fill it at " + string(begun) +
		", and failed or is still at it. If it failed, make an empty database and run it again")
}
