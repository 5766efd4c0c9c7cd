package runner_test

import (
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/secrets"
)

// An effect that turns up again after its undo is recorded anew; its secrets go with it, bound to the new entry.
func TestASecretEffectThatTurnsUpAgainIsUndoneAgain(t *testing.T) {
	b := newBench(t)
	key := secrets.NewKey()
	root, err := secrets.NewRoot(key)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Open(key, nil, root)
	if err != nil {
		t.Fatal(err)
	}
	b.ledger = ledger.New(ledger.Config{Store: b.store, Systems: b.third, Clock: time.Now, Log: quiet(), Waker: b.waker, Cipher: ring})
	older := draft("/older", `{"v":1}`, `{"v":2}`)
	b.record(older)
	d := draft("/late", `{"token":"canary-alpha"}`, `{"token":"canary-beta"}`)
	d.State, d.Perform, d.Secret = ledger.EntryIntended, time.Millisecond, []string{"/token"}
	e := b.record(d)[0]
	b.third.Set("/late", `{"token":"canary-beta"}`) // it happened; undone; and then its script's retry arrives
	b.third.OnUndo = func(_ int, at string) (bool, error) {
		if at == "/older" {
			b.third.State["/late"] = `{"token":"canary-beta"}`
		}
		return false, nil
	}
	run := b.rollback(ledger.RollbackRequest{})
	if !run.Complete || run.Counts.Undone != 3 || b.third.Get("/late") != `{"token":"canary-alpha"}` {
		t.Errorf("%+v, it shows %s", run.Counts, b.third.Get("/late"))
	}
	list, err := b.ledger.Entries(t.Context(), ledger.EntryQuery{WindowID: b.window, Limit: 10})
	if err != nil || len(list) != 3 {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	again := list[2]
	if again.ID == e.ID || len(again.Encrypted) != 2 || string(again.Before.JSON) != string(e.Before.JSON) || strings.Contains(string(again.Before.JSON), "canary") {
		t.Errorf("recorded again as %+v", again.Draft)
	}
}
