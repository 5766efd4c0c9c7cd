//go:build race

package main

// simDefault is how many seeds run where nobody says: fewer under the race detector, which is ten times as slow.
const simDefault = 60

// powerDefault is how many power cuts there are where nobody says: the detector does not look into the real binary.
const powerDefault = 3

// raceDetector says whether this is a build with the race detector.
const raceDetector = true
