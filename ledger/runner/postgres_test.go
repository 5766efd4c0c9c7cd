package runner_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sideledger/ledger/ledgertest"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
)

// postgres is one cluster for the tests of this package; TestMain stops it.
var postgres ledgertest.Postgres

func TestMain(m *testing.M) {
	m.Run()
	if err := postgres.Stop(); err != nil {
		panic(err)
	}
}

// migrated is the address of a new ledger on PostgreSQL.
func migrated(t testing.TB) string {
	t.Helper()
	return postgres.Copy(t, func(url string) error {
		s, err := sqlstore.Open(context.Background(), sqlstore.Config{URL: url, Clock: time.Now, Log: quiet()})
		if err != nil {
			return err
		}
		c := runner.RiverConfig{URL: url, Log: quiet()}
		return errors.Join(s.Migrate(context.Background()), runner.MigrateRiver(context.Background(), c), s.Close())
	})
}

func onPostgres(t testing.TB) bool { return strings.HasPrefix(t.Name(), "TestOnPostgres/") }

// leap is how many writes a crash test of every write goes on by.
func leap(t testing.TB) int {
	if onPostgres(t) {
		return 5
	}
	return 1
}

// step is how many writes, or answers, a crash test goes on by. On PostgreSQL a new ledger takes longer, and a death at one
// write looks as on SQLite to all but the store.
func step(t testing.TB) int {
	return max(leap(t), crashStep)
}

// The crash tests of this package on PostgreSQL.
func TestOnPostgres(t *testing.T) {
	migrated(t) // the cluster starts outside of any simulated time
	for name, test := range map[string]func(*testing.T){
		"DeathAtEveryWrite": TestDeathAtEveryWrite, "EveryAnswerLost": TestEveryAnswerLost,
		"LostAnswersOfWhatMayNotBeRepeated": TestLostAnswersOfWhatMayNotBeRepeated,
		"ThirtyPercentOfAnswersLost":        TestThirtyPercentOfAnswersLost, "FiftyTriggersOneRun": TestFiftyTriggersOneRun,
		"StaleRunnerWritesNothing": TestStaleRunnerWritesNothing, "HalfRestored": TestHalfRestored,
		"WritesOfUnknownOutcome": TestWritesOfUnknownOutcome,
	} {
		t.Run(name, test)
	}
}
