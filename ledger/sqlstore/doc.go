// Package sqlstore keeps the ledger in SQLite or in PostgreSQL, through bun. [Store] passes
// ledgertest.TestStore on both.
//
// On SQLite one goroutine owns the one write connection and commits what is queued together (group
// commit, see group.go); reads go through a pool of their own. On PostgreSQL each update has its own
// transaction and the window's row is locked. The unit of work is the same code (batch.go, tx.go).
//
// Ids are uuid on PostgreSQL and TEXT on SQLite, both in order of time for a UUIDv7. Times are
// microseconds, documents are bytes and never json or jsonb, so that what was hashed comes back as it was.
package sqlstore
