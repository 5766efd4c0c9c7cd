// Package ledger is the domain of sideledger: windows, the entries recorded in them, the plan and
// the rollback that takes entries back, and the journal that proves it.
//
// The package imports the standard library, google/uuid and ledger/journal, and nothing else. It
// reaches the database through [Store], third parties through [Remediator], and the time through
// [Clock]. Decisions are pure functions ([Compare], [Judge], [Settle]); the methods of [Ledger] put
// them between a read and one guarded write.
package ledger
