package fidelity

import (
	"slices"
	"time"
)

// emission is when the points of a metric are emitted: at the first edge of an
// interval after they arrive, which is so long after the time that they bear.
// Without an interval they pass at once.
type emission struct {
	interval    time.Duration
	least, most time.Duration
	// edges are those at which there were outputs of the metric, in milliseconds.
	edges []int64
}

// complete adds the edges up to an instant that are overdue: there were never so
// many in a row without an output.
func (e emission) complete(at time.Time) []int64 {
	if len(e.edges) == 0 || e.interval > longestInterval {
		return e.edges
	}
	gap, last := e.interval.Milliseconds(), e.edges[len(e.edges)-1]
	for i := range e.edges[1:] {
		gap = max(gap, e.edges[i+1]-e.edges[i])
	}
	if at.UnixMilli()-last <= gap {
		return e.edges
	}
	for t := last + e.interval.Milliseconds(); t <= at.UnixMilli(); t += e.interval.Milliseconds() {
		e.edges = append(e.edges, t)
	}
	return e.edges
}

// between are the edges in a range.
func (e emission) between(from, to int64) []int64 {
	first, _ := slices.BinarySearch(e.edges, from)
	last, _ := slices.BinarySearch(e.edges, to+1)
	return e.edges[first:max(first, last)]
}

func (e emission) lag(late bool) int64 {
	if late {
		return e.most.Milliseconds()
	}
	return e.least.Milliseconds()
}
