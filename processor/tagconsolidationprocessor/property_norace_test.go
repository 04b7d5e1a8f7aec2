//go:build !race

package tagconsolidationprocessor

// raceDetector is off.
const raceDetector = false
