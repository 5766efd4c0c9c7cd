package sqlstore

import (
	"context"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// threeTurns are the limits of three processes on one database.
func threeTurns(t testing.TB, url string) (out [3]*Turns) {
	t.Helper()
	for i := range out {
		out[i] = openBare(t, Config{URL: url}).Turns()
		out[i].wanted = time.Hour
	}
	return out
}

func TestLimits(t *testing.T) {
	through := postgres.Bouncer(t)
	for name, url := range map[string]func(t *testing.T) string{
		"Postgres":  func(t *testing.T) string { return migrated(t) },
		"PgBouncer": func(t *testing.T) string { return through(migrated(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			ledgertest.TestLimits(t, func(t *testing.T) (out [3]ledgertest.Limits) {
				for i, turns := range threeTurns(t, url(t)) {
					turns.wanted = 1 // as good as nothing: whoever is first gets it
					out[i] = turns
				}
				return out
			})
		})
	}
	if turns := sqliteStore(t).Turns(); turns != nil {
		t.Error("an embedded ledger shares limits")
	}
}

// set changes rows of limits, in place of time that passes.
func (t *Turns) set(tb testing.TB, query string) {
	tb.Helper()
	if _, err := t.store.write.DB.ExecContext(tb.Context(), query); err != nil {
		tb.Fatal(err)
	}
}

// slot takes the one slot of a system, or says that it cannot be had.
func (t *Turns) slot(tb testing.TB, system string) *slot {
	tb.Helper()
	s, err := t.Slot(tb.Context(), system, 1)
	if err != nil {
		tb.Fatal(err)
	}
	own, _ := s.(*slot)
	return own
}

// ends returns when the slot of a system ends.
func (t *Turns) ends(tb testing.TB, system string) (in time.Duration) {
	tb.Helper()
	row := t.store.read.DB.QueryRowContext(tb.Context(),
		"SELECT (extract(epoch FROM until - clock_timestamp()) * 1000000)::bigint * 1000 FROM slots WHERE system = $1 AND until > '-infinity'", system)
	if err := row.Scan(&in); err != nil {
		tb.Fatal(err)
	}
	return in
}

// A slot is free a term after its process has died, and not before. One that was stopped, and wakes up, knows that it has lost it, and
// takes nothing from the one who has it.
func TestSlotOfADeadProcess(t *testing.T) {
	ts := threeTurns(t, migrated(t))
	dead, other := ts[0], ts[1]
	clock := ledgertest.NewClock()
	dead.store.cfg.Clock = clock.Now
	dead.renewing = true // by nobody: it is dead
	s := dead.slot(t, "a")
	if left := other.ends(t, "a"); left > ledger.LeaseTime || left <= 0 {
		t.Errorf("it ends in %v", left)
	}
	if other.slot(t, "a") != nil {
		t.Fatal("two have one slot")
	}
	clock.Advance(ledger.LeaseTime - 1)
	if !s.Stands() {
		t.Error("it ends too early")
	}
	if clock.Advance(1); s.Stands() {
		t.Error("it was not renewed for its whole term, and stands")
	}
	if err := dead.renew(map[string]*slot{s.holder: s}); err != nil || !s.Stands() {
		t.Errorf("nobody has taken it: %v", err)
	}
	dead.set(t, "UPDATE slots SET until = clock_timestamp() - interval '1 microsecond'")
	taken := other.slot(t, "a")
	if taken == nil {
		t.Fatal("the slot of a dead process is not free")
	}
	if err := dead.renew(map[string]*slot{s.holder: s}); err != nil || s.Stands() {
		t.Errorf("somebody else has it: %v", err)
	}
	s.Free()
	if dead.slot(t, "a") != nil || !taken.Stands() {
		t.Error("it was taken from the one who has it")
	}
	taken.Free()
	if err := other.renew(map[string]*slot{taken.holder: taken}); err != nil || dead.slot(t, "a") == nil {
		t.Errorf("a slot that was given back was renewed: %v", err)
	}
}

// What a process has is renewed in time without its doing anything.
func TestSlotsAreRenewed(t *testing.T) {
	turns := threeTurns(t, migrated(t))[0]
	s := turns.slot(t, "a")
	turns.set(t, "UPDATE slots SET until = clock_timestamp()")
	for turns.ends(t, "a") <= 0 {
		time.Sleep(10 * time.Millisecond)
	}
	s.Free()
}

// Who asked in vain has the next go at a slot: a process that asks again and again does not keep the others out. Who died
// waiting does so for a moment.
func TestNextSlot(t *testing.T) {
	ts := threeTurns(t, migrated(t))
	s := ts[0].slot(t, "a")
	for round := range 20 {
		has, waits, late := ts[round%3], ts[(round+1)%3], ts[(round+2)%3]
		if waits.slot(t, "a") != nil || late.slot(t, "a") != nil {
			t.Fatal("two have one slot")
		}
		s.Free()
		if has.slot(t, "a") != nil || late.slot(t, "a") != nil {
			t.Fatalf("round %d: somebody who did not wait, or not for so long, got it", round)
		}
		if s = waits.slot(t, "a"); s == nil {
			t.Fatalf("round %d: who waits did not get it", round)
		}
	}
	if ts[0].slot(t, "a") != nil {
		t.Fatal("two have one slot")
	}
	s.Free()
	ts[0].set(t, "UPDATE slots SET wanted_until = clock_timestamp() - interval '1 microsecond'")
	if s = ts[1].slot(t, "a"); s == nil {
		t.Fatal("it is kept for somebody who is dead")
	}
	s.Free()
}

// A minute later the places are free again.
func TestDeletionsOfAMinute(t *testing.T) {
	ts := threeTurns(t, migrated(t))
	count := func() bool {
		ok, err := ts[0].CountDeletion(t.Context(), "a", 2, false)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	for i, want := range []bool{true, true, false} {
		if count() != want {
			t.Errorf("deletion %d of two: counted: %v", i+1, !want)
		}
	}
	ts[1].set(t, "UPDATE deletions SET times[1] = times[1] - interval '1 minute'")
	if !count() || count() {
		t.Error("one place is free a minute later")
	}
}

// A turn is given back by who reserved it last, and nobody else, also where two asked within one microsecond.
func TestTurnsOfOneMicrosecond(t *testing.T) {
	turns := threeTurns(t, migrated(t))[0]
	var list []ledger.Turn
	for range 2 {
		turn, _, err := turns.Turn(t.Context(), "a", ledger.Pace{Every: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, turn)
	}
	_, err := turns.store.write.DB.ExecContext(t.Context(), "UPDATE turns SET asked_at = $1", list[0].Asked)
	if err != nil {
		t.Fatal(err)
	}
	if err := turns.ReturnTurn(t.Context(), "a", list[0]); err != nil {
		t.Fatal(err)
	}
	if turn, _, err := turns.Turn(t.Context(), "a", ledger.Pace{Every: time.Hour}); err != nil || turn.Wait < 119*time.Minute {
		t.Errorf("the third turn comes after %v, %v", turn.Wait, err)
	}
}

// A clock of the server that is set back lets nobody wait for it.
func TestTurnsAfterTheClockWasSetBack(t *testing.T) {
	turns := threeTurns(t, migrated(t))[0]
	ask := func() ledger.Turn {
		turn, ok, err := turns.Turn(t.Context(), "a", ledger.Pace{Every: time.Minute})
		if err != nil || !ok {
			t.Fatal(err)
		}
		return turn
	}
	ask()
	turns.set(t, "UPDATE turns SET asked_at = asked_at + interval '1 hour'")
	if turn := ask(); turn.Wait != time.Minute {
		t.Errorf("the next turn comes after %v", turn.Wait)
	}
}

// A limit is asked for without waiting for a standby, or for the disk: while every commit waits for a standby that is not there, limits
// are answered.
func TestLimitsWaitForNoStandby(t *testing.T) {
	turns := openStore(t, Config{URL: ledgertest.StartPostgres(t)}).Turns()
	turns.set(t, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	turns.set(t, "SELECT pg_reload_conf()")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() {
		for {
			_, err := turns.store.write.DB.ExecContext(ctx, "INSERT INTO duties (name, holder, until) VALUES ($1, '', now())", ledger.NewID().String())
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	for waiting := 0; waiting == 0; {
		row := turns.store.read.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		if err := row.Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // what is new, and what is there
		if _, ok, err := turns.Turn(t.Context(), "a", ledger.Pace{Every: time.Hour}); err != nil || !ok {
			t.Errorf("turn: %v, %v", ok, err)
		}
		if s := turns.slot(t, "a"); s != nil {
			s.Free()
		} else {
			t.Error("no slot")
		}
		if ok, err := turns.CountDeletion(t.Context(), "a", 5, false); err != nil || !ok {
			t.Errorf("deletion: %v, %v", ok, err)
		}
	}
	cancel()
	<-ended
	var logged int
	row := turns.store.read.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_class WHERE relname IN ('turns', 'slots', 'deletions') AND relpersistence <> 'u'")
	if err := row.Scan(&logged); err != nil || logged != 0 {
		t.Errorf("%d tables of limits are in the log that standbys get, %v", logged, err)
	}
}
