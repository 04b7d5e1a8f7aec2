//go:build !race

package cardinality

const raceDetector = false
