// Package ledgertest has what tests of the ledger share: [TestStore], the suite that every
// [ledger.Store] passes, fixtures, a [Clock] that stands still, a [FailingStore], and a PostgreSQL that a
// test starts itself.
package ledgertest
