package main

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// racedRuns is how many rollbacks are under way when their replica dies.
const racedRuns = 6

// The replica that runs rollbacks is killed, and both others find its leases dead at the same moment: each run goes on at
// one of them, no lease is had twice, and nothing is undone twice.
//
// It is for what only whole processes can show: that they get as far as the race, through a pooler too, and come out of it well. Whether
// they meet in the one moment that matters is chance; that the rules hold in it is proved without chance, by TestLeaseOfTheDeadHasOneHeir
// (the lease that was seen) and by "FencedRollback" of the store's suite (the epoch).
func TestReplicasRaceForTheDead(t *testing.T) {
	t.Parallel()
	for name, through := range map[string]func(string) string{
		"direct": func(url string) string { return url }, "PgBouncer": postgres.Bouncer(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newFleet(t, through(migratedPostgres(t))).raceForTheDead()
		})
	}
}

func (f *fleet) raceForTheDead() {
	f.Helper()
	reached, answer := make(chan struct{}), make(chan struct{})
	var windows, runs []string
	for i := range racedRuns {
		windows = append(windows, f.open(fmt.Sprint("raced ", i)))
		f.record(windows[i], "c", 2)
	}
	f.third.holdAll(racedRuns, reached, answer)
	for _, w := range windows {
		r, err := f.list[0].client.StartRollback(f.Context(), w, wire.RollbackRequest{Reason: "r"}, 0)
		if err != nil {
			f.Fatal(err)
		}
		runs = append(runs, r.ID)
	}
	<-reached // each run has one undo at the third party
	victim := f.holder(runs[0])
	mine := slices.DeleteFunc(slices.Clone(runs), func(run string) bool { return !victim.claimed(run) })
	others := slices.DeleteFunc(slices.Clone(f.list), func(s *server) bool { return s == victim })
	f.sleepWhile(others, func() {
		victim.kill()
		close(answer)
		time.Sleep(ledger.LeaseTime + time.Second) // what they know of its leases is older than those last
	})
	for _, run := range runs {
		if r := f.over(others[0], run); !r.Complete {
			f.Errorf("%+v", r)
		}
	}
	f.checkRaced(mine, others)
	if calls := f.third.take(); len(calls) != 2*racedRuns || len(slices.Compact(slices.Sorted(slices.Values(calls)))) != len(calls) {
		f.Errorf("%d undos of %d entries: %v", len(calls), 2*racedRuns, calls)
	}
	others[0].run("verify")
}

// sleepWhile stops replicas, and lets them go on together when fn is done.
func (f *fleet) sleepWhile(list []*server, fn func()) {
	f.Helper()
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		for _, s := range list {
			if err := s.cmd.Process.Signal(sig); err != nil {
				f.Fatal(err)
			}
		}
		if sig == syscall.SIGSTOP {
			fn()
		}
	}
}

// checkRaced holds the runs of a dead replica to one heir each, and all leases to one holder each.
func (f *fleet) checkRaced(runs []string, heirs []*server) {
	f.Helper()
	holders := map[claim]int{}
	won := map[*server]int{}
	for _, s := range f.list {
		for _, c := range s.claims() {
			holders[c]++
		}
	}
	for c, n := range holders {
		if n > 1 {
			f.Errorf("%d replicas had lease %d of run %s", n, c.epoch, c.rollback)
		}
	}
	for _, run := range runs {
		n := 0
		for _, s := range heirs {
			if s.claimed(run) {
				n++
				won[s]++
			}
		}
		if n != 1 {
			f.Errorf("%d replicas went on with run %s", n, run)
		}
	}
	f.Logf("%d runs of the dead one; the others went on with %d and %d", len(runs), won[heirs[0]], won[heirs[1]])
}
