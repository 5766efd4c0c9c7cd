package runner_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sideledger/ledger"
)

// A call that the walk did not wait for ends as any other: what is stuck by it, before the restore, says what waits.
func TestSlowCallBeforeTheRestoreSaysWhatWaits(t *testing.T) {
	slow := func(at string) {
		if at == "/early" {
			time.Sleep(time.Minute)
		}
	}
	for name, set := range map[string]func(*bench){
		"undo": func(b *bench) {
			b.third.OnUndo = func(_ int, at string) (bool, error) { slow(at); return false, nil }
			b.third.OnAnswer = func(_ int, at string) (ledger.Answer, bool) {
				slow(at)
				return ledger.Answer{Class: ledger.AnswerRefused, Status: 422, Detail: "it answered 422"}, at == "/early"
			}
		},
		"look": func(b *bench) {
			b.third.OnLook = func(_ int, at string) error { slow(at); return nil }
			b.third.Set("/early", `{"v":"somebody else's"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRestoreBench(t, openStore(t))
				early := b.record(marked(draft("/early", `{"v":1}`, `{"v":2}`)))[0]
				set(b)
				id := b.start(withRestore).ID
				b.runner().RunOne(t.Context(), id)
				e := b.entry(early.ID)
				if e.State != ledger.EntryStuck || !strings.HasSuffix(e.Detail, "; the restore of the snapshot waits for it") {
					t.Errorf("entry is %s %s: %q", e.State, e.Reason, e.Detail)
				}
				b.wantState(b.restore(), "applied")
			})
		})
	}
}

// A server that stops lets the calls that it did not wait for be answered, and writes what they brought.
func TestStoppingWritesWhatFlew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		blind := b.record(draft("/blind", `{"v":1}`, `{"v":2}`))[0]
		b.third.Blind["/blind"] = true
		b.third.OnUndo = func(int, string) (bool, error) { time.Sleep(10 * time.Second); return false, nil }
		id := b.start(ledger.RollbackRequest{}).ID
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second) // its undo flies by then
		defer cancel()
		r := b.runner()
		r.Grace = time.Minute
		r.RunOne(ctx, id)
		b.wantState(blind, "undone unverified")
		b.checkJournal()
	})
}
