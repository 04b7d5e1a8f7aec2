package consolidation

import "time"

// step is the least time between two points of one stream: databases keep
// milliseconds.
const step = uint64(time.Millisecond)

// Retire ends a rule at an edge, which is best one just flushed. Each of its
// outputs gets a last point, if anything came since its latest one, and a stale
// marker, one millisecond later where two points would have one time.
//
// The inputs stay, without an output. If another rule takes one up, it goes on
// counting from its last value, so an increase over the change is what the raw
// points say. Other rules are not touched.
func (e *Engine) Retire(rule RuleID, edge uint64, emit func(*Emission)) Report {
	return e.RetireAll([]RuleID{rule}, edge, emit)
}

// RetireAll ends several rules at once, in one pass over the state.
func (e *Engine) RetireAll(list []RuleID, edge uint64, emit func(*Emission)) Report {
	var r Report
	if len(list) == 0 {
		return r
	}
	rules := make(map[RuleID]struct{}, len(list))
	e.watchesMu.Lock()
	for _, rule := range list {
		rules[rule] = struct{}{}
		delete(e.watches, rule)
	}
	e.watchesMu.Unlock()
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		s.retire(rules, edge, e.edge, e.staleness, &r)
		s.mu.Unlock()
		for j := range s.batch.list {
			emit(&s.batch.list[j])
		}
		s.batch.reset()
	}
	return r
}

func (s *shard) retire(rules map[RuleID]struct{}, edge, latest uint64, staleness uint32, r *Report) {
	gone := func(o *output) bool {
		_, retired := rules[o.rule]
		return retired && o.used
	}
	found := false
	s.outputs.all(func(_ uint32, o *output) { found = found || gone(o) })
	if !found {
		return
	}
	s.watermark(edge, staleness, gone, r) // who is stale is noticed again at the next flush
	for c := range classes {
		s.expired[c] = s.expired[c][:0]
	}
	s.eachInput(func(c *cursor) {
		if o := s.target(*c.to); o != nil && gone(o) {
			*c.to &= flags
		}
	})
	s.outputs.all(func(ref uint32, o *output) {
		if !gone(o) {
			return
		}
		at := max(edge, o.start+1)
		if o.emitted >= at {
			at = o.emitted + step
		}
		if o.touched && o.hasValue() {
			s.show(o, at, latest, r)
			at += step
		}
		if o.shown {
			s.finish(o, at, r)
		}
		s.batch.gone = append(s.batch.gone, ref)
	})
	for _, ref := range s.batch.gone {
		s.removeOutput(ref, s.outputs.at(ref))
	}
}
