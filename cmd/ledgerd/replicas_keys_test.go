package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// keyRounds is how often one key goes to two replicas at the same moment.
const keyRounds = 20

// A keyed is two clients of one token, each at a replica of its own, over a system that takes calls.
type keyed struct {
	*fleet
	edge    *edge
	window  string
	clients [2]*client.Client
}

// newKeyed starts one. A client asks again, and soon, where it is told to.
func newKeyed(t *testing.T, tries int) *keyed {
	t.Helper()
	k := &keyed{edge: &edge{hold: make(chan struct{}), begun: make(chan struct{}, 1)}}
	web := httptest.NewServer(k.edge)
	t.Cleanup(web.Close)
	k.fleet = newFleet(t, migratedPostgres(t),
		fmt.Sprintf("  edge: {remediator: http, profile: caddy, url: %q, allow_private: true, effects: [\"* /config/*\"]}\n", web.URL))
	k.window = k.open("keys")
	token := k.list[0].run("token", "create", "--role", "admin")
	soon := func(ctx context.Context, _ time.Duration) error {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	for i := range k.clients {
		var err error
		if k.clients[i], err = client.New(client.Config{URL: k.list[i].url, Token: token, Tries: tries, PauseFunc: soon}); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *keyed) call(path string) wire.EffectRequest {
	return wire.EffectRequest{Call: wire.EffectCall{Method: "PATCH", Path: path}, Entry: wire.EffectEntry{System: "edge"}}
}

// One key of a record and of a call through the ledger comes to two replicas at the same moment: there is one entry of
// each, one call at the third party, and every caller gets the same answer.
func TestOneKeyAtTwoReplicas(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, 2000)
	for round := range keyRounds {
		ctx := client.WithKey(t.Context(), fmt.Sprint("key ", round))
		draft, call := putDraft(fmt.Sprint("/recorded/", round)), k.call(fmt.Sprint("/config/", round))
		draft.ID = ""
		var entries [2]*wire.Entry
		var effects [2]*wire.Effect
		var errs [4]error
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for i, c := range k.clients {
			wg.Go(func() {
				<-begin
				entries[i], errs[i] = c.Record(ctx, k.window, draft)
			})
			wg.Go(func() {
				<-begin
				effects[i], errs[2+i] = c.Effect(ctx, k.window, call, 0)
			})
		}
		close(begin)
		wg.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if d := cmp.Diff(entries[0], entries[1]); d != "" {
			t.Errorf("round %d: the record has two answers:\n%s", round, d)
		}
		if d := cmp.Diff(effects[0], effects[1]); d != "" || effects[0].Outcome != "applied" {
			t.Errorf("round %d: the call was %s and has two answers:\n%s", round, effects[0].Outcome, d)
		}
		if calls := k.edge.take(); len(calls) != 1 {
			t.Errorf("round %d: the third party was called %d times: %v", round, len(calls), calls)
		}
	}
	if seqs := k.list[2].checkRecorded(k.window, map[string]bool{}); len(seqs) == 0 {
		t.Error("nothing was recorded")
	}
	if w, err := k.list[2].client.Window(t.Context(), k.window); err != nil || w.Counts.Remaining != 2*keyRounds {
		t.Errorf("%+v, %v: want %d entries", w, err, 2*keyRounds)
	}
}

// While a call is on its way at one replica, another one that is asked under its key says that it is to be asked again, and
// has the first answer then.
func TestKeyOfACallThatIsUnderWayElsewhere(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, 1)
	ctx := client.WithKey(t.Context(), "one key")
	call := k.call("/config/a?hold=1")
	type answered struct {
		effect *wire.Effect
		err    error
	}
	first := make(chan answered, 1)
	go func() {
		e, err := k.clients[0].Effect(ctx, k.window, call, time.Minute)
		first <- answered{e, err}
	}()
	<-k.edge.begun
	_, err := k.clients[1].Effect(ctx, k.window, call, time.Minute)
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusConflict || refused.RetryAfter != time.Second {
		t.Errorf("meanwhile: %v", err)
	}
	close(k.edge.hold)
	one := <-first
	two, err := k.clients[1].Effect(ctx, k.window, call, time.Minute)
	if err := errors.Join(one.err, err); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(one.effect, two); d != "" || one.effect.Outcome != "applied" {
		t.Errorf("the call was %s; its answers differ:\n%s", one.effect.Outcome, d)
	}
	if calls := k.edge.take(); len(calls) != 1 {
		t.Errorf("the third party was called %d times: %v", len(calls), calls)
	}
}
