//go:build !race

package main

// simDefault is how many seeds run where nobody says.
const simDefault = 500

// powerDefault is how many power cuts there are where nobody says.
const powerDefault = 20

// raceDetector says whether this is a build with the race detector.
const raceDetector = false
