//go:build race

package checkpoint_test

// raceDetector makes simulations smaller: they hold one goroutine, and the detector makes them ten times as slow.
const raceDetector = true
