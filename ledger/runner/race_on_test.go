//go:build race

package runner_test

// lateFacts is how many late facts TestLateFacts makes at each resource: 400 in all, and 1,000 without the race detector.
const lateFacts = 2

// restoreMinutes is how long the restore of TestRestoreTakesHours takes: three hours without the race detector.
const restoreMinutes = 60

// sealRounds is how many windows TestSealRace seals while 200 scripts record: 50 without the race detector.
const sealRounds = 5

// crashStep is how many writes, or answers, a crash test goes on by: every one fails without the race detector, to
// which a death at one write looks as at the next.
const crashStep = 3

// pauseRounds is how often TestPausedReplicas stops a replica: 100 times without the race detector.
const pauseRounds = 20
