package api

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
		TestAliasIsAnswered,
		TestRolesByRoute, TestRecorderAndItsWindow, TestProblemsEverywhere, TestInternalErrorsAreLoggedAndNotShown,
		TestRollbackThroughTheAPI,
		TestEffectOverHTTP,
		TestBigNumbersStayAsTheyAre, TestEveryBodyIsStrict,
		TestMutatedRequests,
		TestSameKeySameAnswer, TestEveryChangeHappensOnce, TestRefusalsAreKept, TestFailuresAreNotKept, TestKeyInProgress, TestKeyAtOnce, TestKeyAtTwoReplicas,
		TestOwnID, TestETags, TestCursors,
		TestOverlapIsAnswered, TestCredentialIsAnswered,
		TestParallelOverTheAPI,
		TestReplayComesBeforeEveryCheck, TestReplayWithAStalePrecondition, TestVerifyHonoursItsKey, TestSchemaRefusalsAreKept,
		TestIfMatchTakesAList, TestReadsCarryETags, TestTagLists,
		TestRestoreOverTheAPI, TestNoRestoreNamed, TestRestoreRefusedAtOpening,
		TestMetrics, TestReady, TestFailedAuthenticationsAreLimited, TestBatchLimits, TestTurningARollback,
		TestEventsReplayAndFollow, TestEventsSweep, TestEventsHeartbeat, TestRollbackEventsEnd, TestClientFollowsARollback,
		TestStreamsOutliveTheReadTimeoutAndEndWithTheServer, TestSlowReaderIsDropped, TestPlanThatBreaksOff, TestClientAgainstTheServer,
		TestHeadOfAnswers, TestSafeMode,
	}, Raced: []func(*testing.T){TestKeyAtOnce, TestRollbackThroughTheAPI, TestEventsReplayAndFollow}, Not: map[string]string{
		"no ledger is asked for anything": `TestAPanicShowsNoValue TestRemediatorsAreListed TestCompiledSchemasAgreeWithKinOpenAPI TestUnknownKeywordsAreRefused
			TestDurations TestPrefer TestEveryCodeHasAnAnswer TestBodiesAreStrict TestDocumentsKeepTheirBytes TestChosenNamesAreNotRepeated TestDocumentIsTrue
			TestDocs TestServerSettings`,
		"it is about slow connections": "TestSlowRequests TestReadersThatDoNotRead TestShutdownWithSlowClients",
	}}.Run(t)
}
