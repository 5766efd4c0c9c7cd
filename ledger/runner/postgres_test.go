package runner_test

import (
	"context"
	"errors"
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

// leap is how many writes a crash test of every write goes on by.
func leap(t testing.TB) int {
	if ledgertest.OnPostgres(t) {
		return 5
	}
	return 1
}

// step is how many writes, or answers, a crash test goes on by. On PostgreSQL a new ledger takes longer, and a death at one
// write looks as on SQLite to all but the store.
func step(t testing.TB) int {
	return max(leap(t), crashStep)
}

// fewer is how often a test does what takes longer on PostgreSQL: n times, and at most so often there.
func fewer(t testing.TB, n, there int) int {
	if ledgertest.OnPostgres(t) {
		return min(n, there)
	}
	return n
}

// The tests of this package on PostgreSQL.
func TestOnPostgres(t *testing.T) {
	migrated(t) // the cluster starts outside of any simulated time
	ledgertest.Round{Tests: []func(*testing.T){
		TestAliasChain, TestAliasSurvivesCrashes, TestResidueIsCompensated, TestNewNameOutlivesAFailedLook,
		TestAttemptIsDurableBeforeTheCall, TestDeathAtEveryWriteOfBlindEntries,
		TestNothingToCompareIsBlocked, TestFinalLookBesideABlindEntry,
		TestUnsentCallsBurnNoAttempts,
		TestLateFactOpensTheRun, TestLateFactBesidePartialRun,
		TestDeathAtEveryWrite, TestEveryAnswerLost, TestLostAnswersOfWhatMayNotBeRepeated, TestThirtyPercentOfAnswersLost,
		TestFiftyTriggersOneRun, TestStaleRunnerWritesNothing,
		TestFinalLookInventsNoEffect, TestFinalLookWaitsForASystemThatIsAway, TestFinalLookThatCannotBeMadeIsSaid,
		TestFinalLookBesideAReport, TestFinalLookOfAPartialRun,
		TestSlowCallBeforeTheRestoreSaysWhatWaits, TestStoppingWritesWhatFlew,
		TestNoGraceAfterALostLease, TestGraceWhenTheServerStops,
		TestDeletionsWaitForASecondWord, TestShareWaitsForASecondWord, TestShareOfASystemThatIsAway, TestDeletionsOfTheLastMinuteCount,
		TestDeletionsAfterTheSecondWord, TestDeletionsThatCannotBeCounted, TestDeletionsAreCountedOnce,
		TestHeldIsNamed, TestHeldByWhatIsStuck,
		TestSystemsSideBySide, TestNothingIsOvertaken, TestStuckDependentHoldsOverSystems, TestHaltStopsAllSystems,
		TestStoppingStopsAllSystems, TestIntentHoldsAllSystems, TestRetryGoesOnBesideTheOthers, TestFactBesideALookIsNotOvertaken,
		TestDeathAtEveryWriteOfManySystems, TestEveryAnswerLostBesideOthers,
		TestLateFacts,
		TestObserver, TestObserverIsToldOfLostLeases,
		TestWritesOfUnknownOutcome, TestAnErrorKeepsOutcomes, TestStopDuringAPatientVerification, TestOlderEntryAfterALateOneOnItsResource,
		TestResumeWhileTheRunnerIsStillAtWork, TestPausedFailsClosed,
		TestOverlapBlocksTheOlderUndo, TestOverlapEndsWithTheOther, TestOverlapIsOverruled, TestOverlapAfterTheWordBlocksAgain,
		TestOverlapIsMetUnderTheFence, TestOverlapKeepsAnEntryFromBeingClosedByALook, TestOverlapWaitsForTheOthersRun,
		TestOverlapUnderAnotherName, TestOverlapDoesNotWaitForAPausedRun, TestOverlapStandsInThePlan, TestOverlapIsSaidAtRecording,
		TestMarkedEntryRecordedDuringARunOfTheRestoreAlone, TestPartialIsNotBegunAnewByRetainedEntries,
		TestPartialGoesOnWhenWhatHeldItIsClosed,
		TestPartialLeavesWhatIsRecordedMeanwhile, TestPartialDoesNotOvertakeDependentsRecordedMeanwhile, TestPartialEndsBesideABusyScript,
		TestResolveDuringAPartialRun, TestResolveAfterACancel,
		TestWhatMayNotBeAskedFor, TestRestoreIsReadBack, TestRestoreStopsAtDrift, TestRestoredAlready,
		TestRestoreDeathAtEveryWrite, TestRestoreAnswersLost, TestHalfRestored, TestRestoreTakesHours,
		TestRestoreAtItsPlace, TestNoRestoreUnlessAsked, TestMarkedEntryHoldsTheRestore, TestStuckRestoreHoldsTheRest,
		TestFactsBesideARestore, TestIntentsBesideARestore, TestRestoreOverPages, TestCancelBeforeTheRestore,
		TestNewestFirstDriftKeptProtectionLeft, TestStuckHoldsOnlyWhatItDependsOn, TestOnStuck, TestInDoubtIsJudgedByLooking,
		TestEffectAfterItWasJudgedIsFoundByTheFinalLook, TestPartialNeitherFencesNorMoves, TestBackToAnEntryOrTag, TestEmptySelection,
		TestUnselectedNewerEntryHolds, TestRefusedCredentialParksTheSystem, TestSystemAwayWaitsAndOthersGoOn, TestPauseResumeCancel,
		TestCancelOfAPausedRunThatIsStillBusy,
		TestSealRace, TestSealBetweenCheckAndRecord,
		TestASecretEffectThatTurnsUpAgainIsUndoneAgain,
		TestReportDuringASlowLook, TestCompletionDuringASlowLook, TestRetryUnparksItsSystem, TestWordOnAnUndoThatWasNotAnswered,
		TestOneWordSettlesAnOpenAttempt, TestLateReportSendsNothingTwice, TestProofByAnotherRunDoesNotCount,
		TestBlindEntryAtASystemThatNeverHasTime, TestBlindEntryIsSentOnce, TestOnStuckOfAHeldEntry, TestAttemptsKeepNoQuery,
		TestAWordThatClosesLeavesNoReason,
	}, Raced: []func(*testing.T){
		TestDeathAtEveryWrite, TestEveryAnswerLost, TestLostAnswersOfWhatMayNotBeRepeated, TestThirtyPercentOfAnswersLost,
		TestFiftyTriggersOneRun, TestStaleRunnerWritesNothing, TestHalfRestored, TestWritesOfUnknownOutcome,
		TestDeathAtEveryWriteOfManySystems, TestPauseResumeCancel,
	}, Not: map[string]string{
		"it runs on PostgreSQL already": "TestPausedReplicas TestWordAtAnotherReplica TestClocksOfReplicasDiffer TestDeletionsOfAllReplicas",
	}}.Run(t)
}
