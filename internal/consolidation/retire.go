package consolidation

import "time"

// step is the least time between two points of one stream: databases keep
// milliseconds.
const step = uint64(time.Millisecond)

// Retire ends a rule at an edge, which is best one just flushed. Each of its
// outputs gets a last point, if anything came since its latest one, and a stale
// marker, one millisecond later where two points would have one time.
//
// The inputs stay, without an output. If a rule takes one up that watches, or
// begins in the same change, it goes on counting from its last value, so an
// increase over the change is what the raw points say. A rule that begins later
// counts from its first point there: see Watch. Other rules are not touched.
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
	for _, rule := range list {
		rules[rule] = struct{}{}
	}
	free := e.watches.end(rules, edge)
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		s.retire(rules, free, edge, e.edge, e.staleness, &r)
		s.mu.Unlock()
		for j := range s.batch.list {
			emit(&s.batch.list[j])
		}
		s.batch.reset()
	}
	return r
}

func (s *shard) retire(rules map[RuleID]struct{}, free uint32, edge, latest uint64, staleness uint32, r *Report) {
	gone := func(o *output) bool {
		_, retired := rules[o.rule]
		return retired && o.used
	}
	s.eachGuest(func(g guest, at *cursor) {
		if _, retired := rules[g.rule]; retired {
			s.left(*at.to)
			*at.to = *at.to&flags | free
		}
	})
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
		o := s.target(*c.to)
		if o == nil || !gone(o) {
			return
		}
		to := free
		if rule := s.ruleOf(c.key, o); rule != o.rule { // a guest, whose rule stays
			to = s.watches.wait(rule)
		}
		*c.to = *c.to&flags | to
	})
	s.outputs.all(func(ref uint32, o *output) {
		if !gone(o) {
			return
		}
		at := max(edge, o.start+1, o.emitted+step)
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
