//go:build race

package cost

// raceDetector makes simulations smaller: they hold one goroutine, and the
// detector makes them many times as slow.
const raceDetector = true
