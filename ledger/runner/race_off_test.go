//go:build !race

package runner_test

// lateFacts is how many late facts TestLateFacts makes at each resource: 1,000 in all.
const lateFacts = 5

// restoreMinutes is how long the restore of TestRestoreTakesHours takes.
const restoreMinutes = 3 * 60
