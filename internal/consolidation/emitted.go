package consolidation

import "github.com/phoenix-platform/phoenix/internal/spatial"

// RestoreEdge says when the latest flush was whose emissions are known to have
// been handed on. Deltas that were waiting in an older snapshot went out then.
func (e *Engine) RestoreEdge(edge uint64) {
	if edge <= e.edge {
		return
	}
	e.edge = edge
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		s.outputs.all(func(_ uint32, o *output) {
			if o.used && o.kind.Delta() {
				o.drained()
				o.touched, o.emitted = false, max(o.emitted, edge)
			}
		})
		s.mu.Unlock()
	}
}

// RestoreEmitted says what an output showed last, if that was after the
// snapshot. Values are kept small on purpose, so that every flush can write
// them; inputs are in the snapshot and catch up by their next points. Until
// then the output shows the larger of both.
//
// Lost is only what inputs counted that ended since the snapshot: see
// Report.Lost and Report.Behind.
func (e *Engine) RestoreEmitted(m *Emission, now uint64) {
	e.crash = now
	at := e.part(m.Output)
	s := &e.shards[at]
	s.mu.Lock()
	ref, o := s.findOutput(m.Output, m.Variant)
	if o != nil && m.Time <= o.emitted && !m.Stale {
		o.shown, o.credit = true, 0 // a delta before the latest edge
		s.mu.Unlock()
		return
	}
	// An output that ended, or began again, counted its inputs elsewhere: what
	// they have counted until now is in no snapshot.
	anew := m.Stale || o != nil && o.start != m.Start && o.start != 0 && !m.Kind.Delta()
	var inputs []InputState
	if o != nil && anew {
		s.eachInput(func(c *cursor) {
			if s.target(*c.to) == o {
				inputs = append(inputs, InputState{Key: c.key, Kind: stored[c.class]})
				*c.to &= flags
			}
		})
		s.removeOutput(ref, o)
		o = nil
	}
	if m.Stale {
		s.gone.bury(m.Output.variant(m.Variant), m.Time)
	} else {
		s.restoreEmitted(o, m, secondsOf(now)+e.staleness)
	}
	s.mu.Unlock()
	for i := range inputs {
		e.drop(&inputs[i], now)
	}
}

func (s *shard) restoreEmitted(o *output, m *Emission, grace uint32) {
	if o == nil && m.Kind.Delta() {
		// All that is left of it is until when it was shown. The next point
		// describes it again, with the bounds of its rule.
		s.gone.bury(m.Output.variant(m.Variant), m.Time)
		return
	}
	if o == nil {
		p := Point{Output: m.Output, Rule: m.Rule, Kind: m.Kind, Policy: m.Policy}
		d := Description{Owner: m.Owner}
		if m.Histogram != nil && m.Histogram.Bounds != nil {
			d.Bounds, d.KeepBounds = m.Histogram.Bounds, true // those of the rule, or those that all inputs shared
		}
		_, o = s.makeOutput(&p, m.Variant, m.Start, &d)
		o.start = m.Start
		if m.Histogram != nil && !d.KeepBounds { // those with bounds stayed apart
			o.histogram.Add(&spatial.HistogramPoint{Counts: []uint64{0}})
		}
	}
	o.emitted, o.shown, o.grace = m.Time, true, grace
	// What the snapshot had was shown, and how many points came since is not known.
	o.touched, o.credit = false, 0
	switch {
	case o.kind.Delta():
		o.drained()
		o.start = 0
	case o.kind == CumulativeSum:
		o.last = m.Number
	case m.Histogram != nil:
		o.floorAt(m.Histogram, nil)
	case m.Exponential != nil:
		o.floorAt(nil, m.Exponential)
	}
}

// stored is the kind under which each class is written.
var stored = [classes]Kind{DeltaSum, CumulativeSum, Gauge, CumulativeHistogram, CumulativeExponential}

// drop forgets an input, wherever it is, that may have counted until now.
func (e *Engine) drop(in *InputState, now uint64) {
	dir := &e.directory[e.part(in.Key)]
	dir.mu.Lock()
	defer dir.mu.Unlock()
	place := -1
	dir.places.find(in.Key.tag(), func(shard int) bool {
		s := &e.shards[shard]
		s.mu.Lock()
		defer s.mu.Unlock()
		at, remove := s.find(in.Kind.class(), in.Key)
		if remove == nil {
			return false
		}
		if at.class.cumulative() {
			dir.gone.bury(in.Key.mark(), now)
		}
		s.left(*at.to)
		e.release(*at.to)
		remove()
		place = shard
		return true
	})
	if place >= 0 {
		dir.places.remove(in.Key.tag(), place)
	}
}
