//go:build race

package runner_test

// lateFacts is how many late facts TestLateFacts makes at each resource: 400 in all, and 1,000 without the race detector.
const lateFacts = 2

// restoreMinutes is how long the restore of TestRestoreTakesHours takes: three hours without the race detector.
const restoreMinutes = 60
