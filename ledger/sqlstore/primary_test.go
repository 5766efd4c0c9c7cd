package sqlstore

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// pairStore is a store on a PostgreSQL with a synchronous standby, and an open window in it.
func pairStore(t *testing.T) (*ledgertest.Pair, *Store) {
	t.Helper()
	p := ledgertest.StartPair(t, true)
	p.Synced()
	s := openBare(t, Config{URL: p.URL()})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p, s
}

// durability asks until the server's configuration, which is read again, has reached the sessions.
func durability(t *testing.T, s *Store, want ledger.Durability) {
	t.Helper()
	for range 10_000 {
		if err := s.AskPrimary(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.Durability() == want {
			return
		}
	}
	t.Fatalf("%s, want %s", s.Durability(), want)
}

// A record is said to be replicated only where it is on two disks when it is answered.
func TestDurability(t *testing.T) {
	t.Parallel()
	p, s := pairStore(t)
	for _, c := range []struct {
		setting string
		want    ledger.Durability
	}{
		{"synchronous_commit = on", ledger.DurabilityReplicated},
		{"synchronous_commit = remote_write", ledger.DurabilityLocal}, // in the standby's memory
		{"synchronous_commit = remote_apply", ledger.DurabilityReplicated},
		{"synchronous_commit = local", ledger.DurabilityLocal},
		{"synchronous_commit = on", ledger.DurabilityReplicated},
		{"synchronous_standby_names = ''", ledger.DurabilityLocal},
	} {
		p.SQL("ALTER SYSTEM SET " + c.setting)
		p.SQL("SELECT pg_reload_conf()")
		t.Log(c.setting)
		durability(t, s, c.want)
	}
}

// A server that takes no writes any more is away, and no connection to it is used again.
func TestServerBecomesReadOnly(t *testing.T) {
	t.Parallel()
	p, s := pairStore(t)
	window := openWindowIn(t, s)
	update := func() error { return s.Update(t.Context(), window, func(ledger.Tx) error { return nil }) }
	p.SQL("ALTER SYSTEM SET default_transaction_read_only = on")
	p.SQL("SELECT pg_reload_conf()")
	var err error
	for err == nil {
		err = update()
	}
	for range 100 { // more than there are connections; a new one is refused
		if ledger.CodeOf(err) != ledger.CodeUnavailable {
			t.Fatalf("%v", err)
		}
		err = update()
	}
	if !errors.As(err, new(*pgconn.ConnectError)) {
		t.Errorf("a connection to a server that takes no writes is still used: %v", err)
	}
	p.SQL("ALTER SYSTEM SET default_transaction_read_only = off")
	p.SQL("SELECT pg_reload_conf()")
	p.Await("SHOW default_transaction_read_only", "off")
	if err := update(); err != nil {
		t.Error(err)
	}
}

// syncing is how many commits wait for the standby.
const syncing = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

// A commit that was not waited with for the standby, since somebody cancelled that, is not answered as done.
func TestCancelledWaitIsNoAnswer(t *testing.T) {
	t.Parallel()
	p, s := pairStore(t)
	window := openWindowIn(t, s)
	p.Hold()
	done := make(chan error, 1)
	go func() { done <- s.Update(t.Context(), window, func(ledger.Tx) error { return nil }) }()
	p.Await(syncing, "1")
	p.SQL("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	if err := <-done; !isUnknown(err) {
		t.Errorf("a commit that the standby does not have was answered: %v", err)
	}
	p.Release()
	if err := s.Update(t.Context(), window, func(ledger.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
}

// A first answer that is asked for again rests on what may be at the primary alone: it is given once the standby has it.
func TestReplayWaitsForTheStandby(t *testing.T) {
	t.Parallel()
	p, s := pairStore(t)
	window := openWindowIn(t, s)
	p.Hold()
	done := make(chan error, 1)
	go func() { done <- s.Update(t.Context(), window, func(ledger.Tx) error { return &ledger.ReplayError{} }) }()
	p.Await("SELECT ("+syncing+") + ("+idle+")", "1")
	select {
	case err := <-done:
		t.Errorf("answered without the standby: %v", err)
		return
	default:
	}
	p.Release()
	if err := <-done; !errors.As(err, new(*ledger.ReplayError)) {
		t.Error(err)
	}
}

// idle counts sessions of ours whose last statement ended a transaction without waiting.
const idle = "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'idle' AND query = 'ROLLBACK'"

// What is not the server that was known, or the same at an earlier place of its log, takes no changes until it is trusted.
func TestSuspicion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		next  serverState
		fresh bool
	}{
		"the same, later":            {serverState{id: "1/2", place: 11}, false},
		"the same, at its place":     {serverState{id: "1/2", place: 10}, false},
		"put back":                   {serverState{id: "1/2", place: 9}, true},
		"promoted":                   {serverState{id: "1/3", place: 11}, true},
		"another cluster":            {serverState{id: "2/2", place: 11}, true},
		"one that must not be asked": {serverState{}, false},
	} {
		p := newPrimary()
		p.meet(serverState{id: "1/2", place: 10}, p.seen())
		if fresh := p.meet(c.next, p.seen()); fresh != c.fresh {
			t.Errorf("%s: suspect %t", name, fresh)
		}
		record, direct, sign := p.refuse(&unit{}), p.refuse(&unit{directFunc: noChange}), p.refuse(&unit{directFunc: noChange, wary: true})
		if (record != nil) != c.fresh || direct != nil || (sign != nil) != c.fresh {
			t.Errorf("%s: %v, %v, %v", name, record, direct, sign)
		}
		s := &Store{primary: p}
		n := s.Suspicion()
		s.Trust(n)
		if err := p.refuse(&unit{}); (n > 0) != c.fresh || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func noChange(context.Context, bun.IDB) error { return nil }
