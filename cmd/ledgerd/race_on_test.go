//go:build race

package main

// simDefault is how many seeds run where nobody says: fewer under the race detector, which is ten times as slow.
const simDefault = 60

// raceDetector says whether this is a build with the race detector.
const raceDetector = true
