//go:build !race

package main

// simDefault is how many seeds run where nobody says.
const simDefault = 500

// raceDetector says whether this is a build with the race detector.
const raceDetector = false
