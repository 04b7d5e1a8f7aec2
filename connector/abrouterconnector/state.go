package abrouterconnector

import (
	"sync/atomic"
	"time"
)

// routeState is what lasts of a route from view to view: one for each epoch.
type routeState struct {
	experiment string
	epoch      uint64
	since      time.Time
	assigned   atomic.Pointer[assignment]
	// breach says why the router took the candidate's weight away.
	breach  atomic.Pointer[string]
	breaker breaker
	counts  [sides]counts
}

// counts are what one arm of one experiment got.
type counts struct {
	points, batches, refused, failed, dropped, retried, failedBatches atomic.Uint64
	nanos                                                             atomic.Int64
}

// outcome is what became of a batch at an arm.
type outcome uint8

const (
	outcomeTaken outcome = iota
	outcomeRefused
	outcomeFailed
)

// record counts a batch that an arm was given.
func (c *counts) record(points int, took time.Duration, what outcome) {
	n := uint64(points) //nolint:gosec // counts of points are not negative
	c.points.Add(n)
	c.batches.Add(1)
	c.nanos.Add(int64(took))
	switch what {
	case outcomeTaken:
		return
	case outcomeRefused:
		c.refused.Add(n)
	case outcomeFailed:
		c.failed.Add(n)
	}
	c.failedBatches.Add(1)
}
