//go:build !race

package api

// mutantDefault is how many mutated requests are made where nobody says.
const mutantDefault = 10_000
