package sqlstore

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// What a unit foresees is read behind the fence: a unit that has waited for another process there sees what that one did.
func TestForeseenBehindTheFence(t *testing.T) {
	url := migrated(t)
	one, two := openBare(t, Config{URL: url}), openBare(t, Config{URL: url})
	w := open(t, one)
	e := ledgertest.NewEntry(w.ID, "a")
	if err := ledgertest.Record(t.Context(), one, w.ID, &e); err != nil {
		t.Fatal(err)
	}
	inside, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	go func() {
		ended <- one.Update(context.Background(), w.ID, func(tx ledger.Tx) error {
			close(inside)
			<-goOn
			moved := e
			moved.Detail = "by the other process"
			return tx.SaveEntry(&moved, e.State)
		})
	}()
	<-inside
	go func() {
		ctx := ledger.Foresee(context.Background(), ledger.Foresight{Entries: []uuid.UUID{e.ID}})
		ended <- two.Update(ctx, w.ID, func(tx ledger.Tx) error {
			list, err := tx.FindEntries([]uuid.UUID{e.ID})
			if err == nil && (len(list) != 1 || list[0].Detail != "by the other process") {
				t.Errorf("it saw %+v", list)
			}
			return err
		})
	}()
	const waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	for waiting := 0; waiting == 0; time.Sleep(time.Millisecond) {
		if err := one.read.QueryRowContext(t.Context(), waits).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	close(goOn)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
