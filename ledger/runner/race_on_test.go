//go:build race

package runner_test

// lateFacts is how many late facts TestLateFacts makes at each resource: 400 in all, and 1,000 without the race detector.
const lateFacts = 2
