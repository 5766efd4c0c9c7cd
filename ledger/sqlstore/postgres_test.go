package sqlstore

import (
	"testing"

	"sideledger/ledger/ledgertest"
)

// The tests of this package on PostgreSQL that are not on both databases by themselves.
func TestOnPostgres(t *testing.T) {
	ledgertest.Round{Tests: []func(*testing.T){
		TestColumns, TestResourceBuckets, TestReopen, TestMigrationNames,
		TestSecondMirrorGetsAll, TestPrunedIsVerified, TestNewMirrorOfPruned,
	}, Not: map[string]string{
		"its subtests are on both databases": `
			TestAbsorb TestAbsorbKeepsDataKeys TestVerifyRows TestSignedLeaves TestRecoverWindow TestCensus TestCommitsAreTold
			TestDataKeys TestRootKey TestMigrate TestBrokenMigration TestMigrateAtOnce TestStaleMigrationLock TestMarkedWithItsMigration
			TestMigrateUnderARunningServer TestStoreWithMirror TestMirrorAway TestMirrorCaughtUpAtStart TestSafeMode
			TestRecordWhileSigning TestKeysComeBeforeTheirRecords TestKeyChangesReachTheMirror TestOlderMirrorsGetTheKeys TestDuty
			TestAlone TestPrune TestAbsorbPruned TestFindEntryAmongManyIDs TestPruneReplies TestReaderGone TestStore
			TestFailedCommitIsUnknown TestTxIsOverWithItsFunction TestGrown TestTwoStoresOneDatabase TestMigrationsAreForOlderProgramsToo
			TestStoreOnTheNextSchema TestTheRestOnTheNextSchema TestMigrationsLetRecordsPass TestTally TestTallyOfOldAndForged TestManyEntries`,
		"it is about PostgreSQL alone": `
			TestDialLimits TestLines TestLineGoesOn TestDurability TestServerBecomesReadOnly TestCancelledWaitIsNoAnswer
			TestReplayWaitsForTheStandby TestSuspicion TestWindowsDoNotWaitForEachOther TestStoreBehindPgBouncer
			TestPostgresConnectionLost TestPostgresCallerGone TestPostgresMustBeDurable TestLimits TestSlotOfADeadProcess TestSlotsAreRenewed TestNextSlot
			TestDeletionsOfAMinute TestTurnsOfOneMicrosecond TestForeseenBehindTheFence TestFrozenServer TestSlowServer TestFrozenHostIsLeft TestDutiesEnd TestTurnsAfterTheClockWasSetBack TestLimitsWaitForNoStandby TestPingEnds`,
		"it is about the file of SQLite: its settings, its disk, its backup, its plans": `
			TestSQLiteVersions TestPragmasAreAsserted TestReadersCannotWrite TestFileIsItsOwnersAlone TestBackup TestBackupFailsWhole
			TestFullDisk TestQueryPlans TestCensusIsIndexed TestReserve TestReserveDividesABatch TestReserveIsOpenedAgain
			TestReserveIsWrittenOut`,
		"it is about the one connection that writes to SQLite; PostgreSQL's are TestLines and TestPostgresCallerGone": `
			TestGoexit TestRunningUpdateIsAwaited TestGoneCallerIsNotRun TestGroupSharesOneTransaction TestGroupForgetsAFailedUnit TestGroupRunsSinglyAfterAFailedStatement
			TestFailedCommitIsUnknownToAllOfAGroup TestFullQueueTurnsAway TestMirrorWritesOncePerBatch TestClose TestDamagedRows`,
		"it opens no ledger": "TestConfigIsChecked TestNumbered",
	}}.Run(t)
}
