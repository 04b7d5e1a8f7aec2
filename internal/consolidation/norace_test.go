//go:build !race

package consolidation_test

const raceDetector = false
