//go:build race

package tagconsolidationprocessor

// raceDetector is on.
const raceDetector = true
