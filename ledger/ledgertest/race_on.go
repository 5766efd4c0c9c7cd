//go:build race

package ledgertest

// raceDetector reports whether this is a build with the race detector.
const raceDetector = true
