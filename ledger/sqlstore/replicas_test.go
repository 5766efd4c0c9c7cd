package sqlstore

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// twoReplicas are two processes' stores on one database.
func twoReplicas(t *testing.T) (a, b *Store) {
	t.Helper()
	url := migrated(t)
	return openBare(t, Config{URL: url}), openBare(t, Config{URL: url})
}

func openWindowIn(t *testing.T, s *Store) uuid.UUID {
	t.Helper()
	w := ledger.Window{WindowDraft: ledger.WindowDraft{Name: "w"}, ID: ledger.NewID(), State: ledger.WindowOpen, CreatedAt: time.Unix(1, 0).UTC()}
	if err := s.Open(t.Context(), w, func(ledger.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return w.ID
}

// While one replica is in the middle of a change of one window, another one changes another window, and waits for the
// same one.
func TestWindowsDoNotWaitForEachOther(t *testing.T) {
	a, b := twoReplicas(t)
	busy, free := openWindowIn(t, a), openWindowIn(t, a)
	entered, leave := make(chan struct{}), make(chan struct{})
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		first <- a.Update(t.Context(), busy, func(ledger.Tx) error {
			close(entered)
			<-leave
			return nil
		})
	}()
	<-entered
	if err := b.Update(t.Context(), free, func(ledger.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
	go func() { second <- b.Update(t.Context(), busy, func(ledger.Tx) error { return nil }) }()
	for waiting := 0; waiting == 0; {
		err := b.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-second:
			t.Fatalf("the same window did not wait: %v", err)
		default:
		}
	}
	close(leave)
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
}

// The store does all of it with a PgBouncer in transaction mode between.
func TestStoreBehindPgBouncer(t *testing.T) {
	if postgresStore(t).Pooled() {
		t.Error("a pooler was seen that is not there")
	}
	through := postgres.Bouncer(t)
	if err := openBare(t, Config{URL: through(postgres.Database(t))}).Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	ledgertest.TestStore(t, func(t *testing.T) ledger.Store {
		s := openBare(t, Config{URL: through(migrated(t))})
		if !s.Pooled() {
			t.Error("the pooler was not noticed")
		}
		return s
	})
}

func TestDuty(t *testing.T) {
	a, b := twoReplicas(t)
	take := func(s *Store, holder string, d time.Duration) bool {
		t.Helper()
		mine, err := s.TakeDuty(t.Context(), "heads", holder, d)
		if err != nil {
			t.Fatal(err)
		}
		return mine
	}
	if !take(a, "a", time.Hour) || take(b, "b", time.Hour) || !take(a, "a", time.Hour) {
		t.Error("the duty is not with the first who asked")
	}
	if err := b.DropDuty(t.Context(), "heads", "b"); err != nil || take(b, "b", time.Hour) {
		t.Errorf("dropped by somebody who has it not: %v", err)
	}
	if err := a.DropDuty(t.Context(), "heads", "a"); err != nil || !take(b, "b", -time.Hour) {
		t.Errorf("given back, and not to be had: %v", err)
	}
	if !take(a, "a", time.Hour) || take(b, "b", time.Hour) {
		t.Error("what has passed is not to be had")
	}
	if !take(sqliteStore(t), "x", time.Hour) {
		t.Error("an embedded ledger has every duty")
	}
}

// What a first start makes once, it makes once, though three replicas start together.
func TestAlone(t *testing.T) {
	a, b := twoReplicas(t)
	inside := make(chan struct{}, 1) // full while somebody is inside
	enter := func(s *Store) error {
		return s.Alone(t.Context(), func() error {
			select {
			case inside <- struct{}{}:
			default:
				return errors.New("two at once")
			}
			_, err := s.Fact(t.Context(), "x") // the store is free
			<-inside
			return err
		})
	}
	done := make(chan error)
	for i := range 12 {
		go func() { done <- enter([]*Store{a, b}[i%2]) }()
	}
	for range 12 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	mine := errors.New("mine")
	if err := a.Alone(context.Background(), func() error { return mine }); !errors.Is(err, mine) {
		t.Errorf("%v", err)
	}
}

// A duty that was not renewed in time can be kept from its holder for good, and from nobody else; one that was renewed stays.
func TestDutiesEnd(t *testing.T) {
	a, b := twoReplicas(t)
	take := func(s *Store, name, holder string, d time.Duration) bool {
		t.Helper()
		mine, err := s.TakeDuty(t.Context(), name, holder, d)
		if err != nil {
			t.Fatal(err)
		}
		return mine
	}
	names := func() (out []string) {
		t.Helper()
		list, err := b.Duties(t.Context(), "serving/")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			out = append(out, d.Name+" of "+d.Holder)
		}
		return out
	}
	take(a, "serving/a", "a", -time.Hour)
	take(b, "serving/b", "b", time.Hour)
	take(b, "heads", "b", -time.Hour)
	if got := names(); !slices.Equal(got, []string{"serving/b of b"}) {
		t.Errorf("%v", got)
	}
	if err := b.EndDuties(t.Context(), "serving/"); err != nil {
		t.Fatal(err)
	}
	if take(a, "serving/a", "a", time.Hour) || !take(b, "serving/b", "b", time.Hour) || !take(a, "heads", "a", time.Hour) {
		t.Error("the wrong duties were ended")
	}
	take(a, "serving/old", "old", -time.Hour)
	if err := b.ForgetDuties(t.Context(), "serving/", 2*time.Hour); err != nil || take(b, "serving/old", "new", -time.Hour) == false {
		t.Errorf("a duty that has passed is not to be had: %v", err)
	}
	if err := errors.Join(b.ForgetDuties(t.Context(), "serving/", time.Minute)); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := b.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM duties").Scan(&n); err != nil || n != 3 { // serving/a for good, serving/b, heads
		t.Errorf("%d rows are kept: %v", n, err)
	}
}
