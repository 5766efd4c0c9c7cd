//go:build race

package api

// mutantDefault is how many mutated requests are made where nobody says: fewer under the race detector.
const mutantDefault = 2_000
