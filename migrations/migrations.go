// Package migrations holds the schema of the ledger's database, one folder a dialect.
//
// A file is named NUMBER_words.tx.up.sql. The .tx. makes the migrator run it in one transaction together
// with the row that marks it as applied; a file without it would leave half a migration behind when it
// fails. A released file is never changed: a new one follows.
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
