//go:build !race

package runner_test

// lateFacts is how many late facts TestLateFacts makes at each resource: 1,000 in all.
const lateFacts = 5

// restoreMinutes is how long the restore of TestRestoreTakesHours takes.
const restoreMinutes = 3 * 60

// sealRounds is how many windows TestSealRace seals while 200 scripts record.
const sealRounds = 50

// crashStep is how many writes, or answers, a crash test goes on by: each of them is the one that fails.
const crashStep = 1

// pauseRounds is how often TestPausedReplicas stops a replica.
const pauseRounds = 100
