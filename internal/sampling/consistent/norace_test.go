//go:build !race

package consistent_test

const raceDetector = false
