//go:build !race

package deadband_test

const raceDetector = false
