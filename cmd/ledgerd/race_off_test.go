//go:build !race

package main

// simDefault is how many seeds run where nobody says.
const simDefault = 500
