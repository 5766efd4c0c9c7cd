//go:build race

package api

// mutantDefault is how many mutated requests are made where nobody says: fewer under the race detector.
const mutantDefault = 1_000

// schemaDefault is how many values are made for each operation's schema.
const schemaDefault = 150
