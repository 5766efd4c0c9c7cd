package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger/ledgertest"
)

// A PostgreSQL that freezes takes no reader with it: every read is answered 503 in its time, and all goes on when the database does.
func TestFrozenDatabase(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"direct", "PgBouncer"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var database ledgertest.Postgres
			t.Cleanup(func() {
				if err := database.Stop(); err != nil {
					t.Error(err)
				}
			})
			url := database.Database(t)
			if name == "PgBouncer" {
				url = database.Bouncer(t)(url)
			}
			freezeUnder(t, &database, url)
		})
	}
}

func freezeUnder(t *testing.T, database *ledgertest.Postgres, url string) {
	t.Helper()
	third := &counting{state: map[string]string{}}
	web := httptest.NewServer(third)
	t.Cleanup(web.Close)
	s := newServerAt(t, buildServer(t), web.URL, site{t.TempDir(), url}, "")
	s.start()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	window, err := s.client.OpenWindow(ctx, wire.WindowDraft{Name: "frozen"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Record(ctx, window.ID, putDraft("/before")); err != nil {
		t.Fatal(err)
	}
	database.Freeze(t)
	var wg sync.WaitGroup
	at := "/v1/windows/" + window.ID
	for _, path := range []string{"/v1/windows", at, at + "/entries", at + "/journal", at + "/plan", "/v1/systems", "/v1/head", "/readyz"} {
		for range 4 { // more than there are connections
			wg.Go(func() {
				began := time.Now()
				_, err := s.client.Send(ctx, client.Call{Method: http.MethodGet, Path: path})
				var e *client.Error
				if !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable {
					t.Errorf("GET %s of a frozen database: %v", path, err)
				}
				if took := time.Since(began); took > 30*time.Second { // 10 s are promised; a loaded machine has some more
					t.Errorf("GET %s took %v", path, took)
				}
			})
		}
	}
	wg.Wait()
	database.Thaw(t)
	for {
		_, err := s.client.Window(ctx, window.ID)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the database goes on, and nobody reads: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := s.client.Record(ctx, window.ID, putDraft("/after")); err != nil {
		t.Errorf("nobody records: %v", err)
	}
	s.run("verify")
}
