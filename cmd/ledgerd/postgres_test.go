package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"sideledger/ledger/ledgertest"
	"sideledger/ledger/sqlstore/sqlstoretest"
)

// migratedPostgres is the address of an empty, migrated ledger on PostgreSQL.
func migratedPostgres(t ledgertest.Lifetime) string {
	t.Helper()
	return postgres.Copy(t, func(url string) error {
		c := Config{Database: url}
		s, err := openStore(context.Background(), c, slog.New(slog.DiscardHandler), opening{})
		if err != nil {
			return err
		}
		return s.Close()
	})
}

// emptyLedger is the address of an empty, migrated ledger in memory, or, below TestOnPostgres, in a database there.
func emptyLedger(t testing.TB) string {
	t.Helper()
	if ledgertest.OnPostgres(t) {
		return migratedPostgres(t)
	}
	file := filepath.Join(ledgertest.MemoryDir(t), "l.db")
	sqlstoretest.Write(t, file)
	return "sqlite:" + file
}

// beside lets a test run beside others, but below TestOnPostgres: what a ledger there keeps in files stands in the folder
// that the process works in, and there is one such folder.
func beside(t *testing.T) {
	t.Helper()
	if !ledgertest.OnPostgres(t) {
		t.Parallel()
	}
}

// served is the keeper of a database on PostgreSQL, which pg_dump copies.
type served struct {
	*house
	bin, url string
}

func (s *served) database() string          { return s.url }
func (s *served) file(suffix string) string { return filepath.Join(s.dir, "ledgerd"+suffix) }

func (s *served) move() {
	s.Helper()
	s.url = migratedPostgres(s)
	s.Chdir(s.dir)
}

func (s *served) backup(to string) {
	s.Helper()
	sh(s.T, nil, filepath.Join(s.bin, "pg_dump"), "--no-owner", "-f", to, s.url)
}

func (s *served) restore(from string) {
	s.Helper()
	psql := filepath.Join(s.bin, "psql")
	sh(s.T, nil, psql, "-Xq", "-v", "ON_ERROR_STOP=1", "-c", "drop schema public cascade; create schema public", s.url)
	sh(s.T, nil, psql, "-Xq", "-v", "ON_ERROR_STOP=1", "-f", from, s.url)
	if err := os.RemoveAll(s.file(".side")); err != nil {
		s.Fatal(err)
	}
}

// The tests of this package on PostgreSQL.
func TestOnPostgres(t *testing.T) {
	migratedPostgres(t) // the cluster starts outside of any simulated time
	ledgertest.Round{Tests: []func(*testing.T){
		TestSimulation, TestMachine, TestOneSickOfTen, TestKilledAtRandom,
		TestCanaries, TestTheKeyAtStart, TestRewrap, TestMaskedSecretsAreNeverWrittenBack,
		TestMirrorAwayDuringRollback, TestWithoutMirror, TestMirrorThatLostItsRecords, TestFork, TestKeyMissing, TestRecoverNothing,
		TestSnapshotNeedsMirror, TestOtherMirrors,
		TestRebuiltLedgerIsTheSame, TestRebuildThatFailsLeavesNothing, TestHalfFilledDatabaseIsRefused, TestMirrorChangesWhileItIsRead, TestRebuiltLedgerOpensItsSecrets, TestRebuildWithoutTheKey,
		TestMirrorsWithoutKeys, TestNoValueIsTakenWithoutItsDataKey, TestServerBringsKeysToAnOlderMirror, TestChangedKeysInTheMirror,
		TestRewrapThenRebuild, TestRecoveredLedgerOpensItsSecrets, TestOtherMirrorsHaveTheKeys, TestRebuildNeedsNoKeyWithoutSecrets,
		TestRestoredWithMirror, TestRestoredWithoutMirror, TestCleanLedgersRaiseNoAlarm, TestPruneCommand, TestNothingIsRemovedInSafeMode,
		TestTamperedDatabase, TestKeptHeadFindsTampering, TestTamperedWindowID,
		TestShim, TestDoAtASystemThatIsAway, TestKilledDuringACall, TestDoOnARealCaddy,
		TestKilledDuringARehearsal, TestKilledDuringTheCreateOfARehearsal, TestRehearseOnARealCaddy, TestRehearseSaysWhichRightIsMissing,
		TestRestoreByHTTP, TestRestoreByHTTPKilledInTheMiddle, TestRestorePostgres, TestRestorePostgresKilledInTheMiddle,
		TestRestorePostgresOutlivesLedgerd, TestRestoreTreeKilledInTheMiddle, TestRestoreTreeOutlivesLedgerd,
		TestOfflineRollbackRestoresTheSnapshot, TestOfflineRollbackLeavesTheMachineAlone, TestOfflineRollbackHasNothingToRestore,
		TestOfflineRollbackAfterAFailedRestore,
		TestImportRecordsOnly, TestRecordersStayWithinAllow, TestCompletedOutsideAllow, TestDeniedAddressesBlock, TestPluginServes, TestScripts,
		TestServerLogsIDs, TestMetricsTellWhatHappened, TestOneTrace, TestTracePassesUnrecorded, TestTraceIsKept, TestSpansHoldNoSecrets, TestCollectorAway,
	}, Not: map[string]string{
		"it is about SQLite's file: its disk, its syncs, its lock": `TestPowerCut TestPowerCutBites TestFailedSync TestFaultAtEach TestFullDisk
			TestFullDiskBites TestOneLockForAllSpellings TestNoLedgerUnderTwoNames TestDatabaseFailsWhileMirrorIsCompared`,
		"it edits the mirror alone, many times": `TestTamperedMirror`,
		"it runs on PostgreSQL already": `TestLargeWindow TestReplicasShareAWindow TestReplicasBehindPgBouncer TestReplicasTellEachOther TestReplicaDies
			TestLimitsHoldOverAllReplicas TestReplicaDiesWithASlot TestRecoverBesideReplicas TestNoServerBesideARecovery TestFrozenDatabase
			TestReplicasRaceForTheDead TestOneKeyAtTwoReplicas TestKeyOfACallThatIsUnderWayElsewhere TestSynchronousStandby TestSynchronousStandbyBehindPgBouncer TestAsynchronousStandby TestRollingUpgrade`,
		"it opens no ledger, or asks one for nothing": `TestTheCanarySearchBites TestManifests TestUnit TestEveryRemediatorIsDescribed TestPagesNameRealTests TestCurlIsCurl
			TestCurlRefusesWhatItCannotCarry TestImports TestImportTable TestRiverInOneFile TestNoInit TestTopLevel TestLogLinesCarryTheirContext
			TestNotifier TestMetricsAreNamedAsOthers TestRulesSayWhoIsTold TestMirrorConfig TestLibrariesAreHushed TestPluginTest TestScalingPage TestScalingModel TestCheckConfigSaysWhatWillBeRefused`,
		"its text says where the ledger is": "TestQuickStartAsItIsPrinted",
	}}.Run(t)
	if left, err := filepath.Glob("ledgerd.*"); err != nil || len(left) > 0 {
		t.Errorf("a test kept what it should have in a folder of its own here: %v, %v", left, err)
	}
}
