// Package migrations holds the schema of the ledger's database, one folder a dialect.
//
// A file is named NUMBER_words.tx.up.sql. The .tx. makes the migrator run it in one transaction together
// with the row that marks it as applied; a file without it would leave half a migration behind when it
// fails. A released file is never changed: a new one follows.
//
// The version before still runs while a migration is applied, and for some time after. So it adds, and takes nothing away: tables,
// columns that may be NULL or have a default, indexes that are not unique. A test holds every file after the first to that.
// What goes, goes a version after the last one that uses it.
package migrations

import "embed"

// SQLite holds sqlite/*.tx.up.sql.
//
//go:embed sqlite/*.tx.up.sql
var SQLite embed.FS

// Postgres holds postgres/*.tx.up.sql.
//
//go:embed postgres/*.tx.up.sql
var Postgres embed.FS
