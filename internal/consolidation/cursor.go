package consolidation

import "github.com/phoenix-platform/phoenix/internal/spatial"

// cursor is an input of any class, for what is done to all alike.
type cursor struct {
	class class
	key   Key
	to    *uint32
	seen  *uint32

	delta       *spatial.Span
	sum         *spatial.SumInput
	level       *spatial.Latest
	histogram   *spatial.HistogramInput
	exponential *spatial.ExponentialInput
}

// eachInput visits all inputs of the shard. The cursor is lent.
func (s *shard) eachInput(visit func(*cursor)) {
	for c := range classes {
		s.eachOf(c, visit)
	}
}

func (s *shard) eachOf(c class, visit func(*cursor)) {
	at := cursor{class: c}
	switch c {
	case deltas:
		s.deltas.each(func(e *entry[spatial.Span]) {
			at.key, at.to, at.seen, at.delta = e.key, &e.to, &e.seen, &e.last
			visit(&at)
		})
	case sums:
		s.sums.each(func(e *entry[spatial.SumInput]) {
			at.key, at.to, at.seen, at.sum = e.key, &e.to, &e.seen, &e.last
			visit(&at)
		})
	case levels:
		s.levels.each(func(e *entry[spatial.Latest]) {
			at.key, at.to, at.seen, at.level = e.key, &e.to, &e.seen, &e.last
			visit(&at)
		})
	case histograms:
		s.histograms.each(func(e *entry[spatial.HistogramInput]) {
			at.key, at.to, at.seen, at.histogram = e.key, &e.to, &e.seen, &e.last
			visit(&at)
		})
	default:
		s.exponentials.each(func(e *entry[spatial.ExponentialInput]) {
			at.key, at.to, at.seen, at.exponential = e.key, &e.to, &e.seen, &e.last
			visit(&at)
		})
	}
}

// find returns one input, and how to remove it.
func (s *shard) find(c class, key Key) (at cursor, remove func()) {
	at = cursor{class: c, key: key}
	switch c {
	case deltas:
		if ref, e := s.deltas.find(key); e != nil {
			at.to, at.seen, at.delta = &e.to, &e.seen, &e.last
			return at, func() { s.deltas.remove(ref, key) }
		}
	case sums:
		if ref, e := s.sums.find(key); e != nil {
			at.to, at.seen, at.sum = &e.to, &e.seen, &e.last
			return at, func() { s.sums.remove(ref, key) }
		}
	case levels:
		if ref, e := s.levels.find(key); e != nil {
			at.to, at.seen, at.level = &e.to, &e.seen, &e.last
			return at, func() { s.levels.remove(ref, key) }
		}
	case histograms:
		if ref, e := s.histograms.find(key); e != nil {
			at.to, at.seen, at.histogram = &e.to, &e.seen, &e.last
			return at, func() { s.histograms.remove(ref, key) }
		}
	default:
		if ref, e := s.exponentials.find(key); e != nil {
			at.to, at.seen, at.exponential = &e.to, &e.seen, &e.last
			return at, func() { s.exponentials.remove(ref, key) }
		}
	}
	return at, nil
}

// time returns the time of the last point.
func (c *cursor) time() uint64 {
	switch c.class {
	case deltas:
		return c.delta.Time
	case sums:
		return c.sum.Last().Time
	case levels:
		return c.level.Last().Time
	case histograms:
		return c.histogram.Last().Time
	default:
		return c.exponential.Last().Time
	}
}

// end moves the time of the last point on to that of the stale marker, so that
// what is older does not revive a level. A cumulative input keeps its time: it
// may have begun again between its last point and the marker.
func (c *cursor) end(time uint64) {
	switch c.class {
	case deltas:
		c.delta.Time = time
	case levels:
		last := c.level.Last()
		last.Time = time
		c.level.ObserveGauge(last)
	default:
	}
}

// cumulative reports whether the input counts by differences.
func (c class) cumulative() bool { return c != deltas && c != levels }
