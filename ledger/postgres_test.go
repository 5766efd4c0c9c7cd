package ledger_test

import (
	"testing"

	"sideledger/ledger/ledgertest"
	"sideledger/ledger/sqlstore/sqlstoretest"
)

// postgres is one server for the tests of this package; TestMain stops it.
var postgres sqlstoretest.Postgres

func TestMain(m *testing.M) {
	m.Run()
	if err := postgres.Stop(); err != nil {
		panic(err)
	}
}

// The tests of this package on PostgreSQL.
func TestOnPostgres(t *testing.T) {
	ledgertest.Round{Tests: []func(*testing.T){
		TestLateFactAfterTheEndWaitsForAPerson, TestResolve, TestSeenAgain, TestPlanOffersTheStateItShows, TestVerify, TestOnceHappensOnce,
		TestIfMatchUnderTheFence, TestTokens, TestVerifyByWhatEachOwns, TestResolveAfterAnotherSelection, TestRecordHonoursIfMatch,
		TestNothingToCompareIsBlocked, TestCapturedFactsSayWhatIsUnknown,
		TestEffectIsRecordedMadeAndUndone, TestEffectJudged, TestEffectAtAThirdPartyThatIsAway, TestEffectRefusedWithoutAName,
		TestEffectWithItsOwnSuccess, TestEffectNamesWhatItMade,
		TestEffectReplayMakesNoSecondCall, TestEffectKilledBetween, TestEffectKilledAfterADelete, TestEffectNotMadeOnceItsIntentFell,
		TestEffectOvertakenByARollback, TestEffectTakesNothingItCannotRecord, TestEffectAfterImage, TestEffectReads,
		TestEffectKeepsSecretsHidden, TestEffectRefusedBesideItsIntent,
		TestApplied, TestAppliedAtOnce, TestAppliedWithoutItsSystem, TestVerifyEachByItsOwnScope, TestAppliedWhileItsUndoIsSent,
		TestNoSecretBecomesAName,
		TestASecretIsNowhereAndComesBackByteForByte, TestWhatATelltaleHashWouldGive, TestTheSameSecretsAgainAreTheSameEntry,
		TestEqualSecretsHaveEqualFingerprints, TestReportsAndCapturesAreHidden, TestALateFactUsesTheBaselinesSecrets,
		TestEntriesOfOneResourceMayDifferInWhatIsSecret, TestOwnedBelowASecretIsStillCompared, TestWhatASecretMayNotBe,
		TestARecipesSecretsAreHiddenAndUsed, TestMovedCiphertextBlocksTheEntry, TestAJournalAndItsKeysRebuildTheSecrets,
		TestWithoutAKeySecretsAreRefused,
		TestBadDraftsNameTheField, TestTheSameIDTwice, TestWindowTakesIntentsOrNot, TestReports, TestCapture,
		TestPlanForeseesAndWritesNothing, TestPlanKeepsItsWord,
		TestSealLeavesAKeptWindow, TestLeaseOfTheDeadHasOneHeir, TestNamesAreCountedInCharacters,
	}, Not: map[string]string{
		"no ledger is opened": `
			TestLostAndBetween TestTheLatestAliasHolds TestCompareBlind TestBlindBaseline TestCompare TestDigestFollowsWhatIsOwned
			TestSlowCredentialCheck TestSlowCheckKeepsWhatWasKnown TestCheckOutlivesItsCaller TestCredentialIsAskedAboutAgain
			TestCredentialWarning TestLateFactGoesToTheBaseline TestLateFactWithoutOlderUndoGoesToItsOwnBefore
			TestMiddleEntryIsAtHomeAtTheBaselineOnlyAfterALateUndo TestJudge TestMayResend TestJudgeSaysWhatIsKnown TestJudgeState
			TestSettle TestBreakerBurnsNoAttempts TestCriticalPath TestEstimateSaysWhatWasMeasured TestUsesNameOperations TestUse
			TestEarly TestJudgeRestore TestASecretPrintsNothing TestStatesPage TestTablesAreClosed TestMoves TestOutlineTellsTheEntries
			TestOutlineRefuses`,
	}}.Run(t)
}
