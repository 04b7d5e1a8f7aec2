package consolidation_test

import (
	"math"
	"math/big"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// age ends and forgets what sent nothing for the staleness.
func (r *replay) age(edge uint64, rule c.RuleID) {
	for _, in := range r.inputs {
		if rule != 0 && (in.out == nil || in.out.rule != rule) {
			continue
		}
		if in.last != nil && in.seen+seconds(r.m.staleness) < seconds(edge) && !in.ended {
			in.ended = true
			if in.out != nil && levelled(in.out.kind) && in.out.in > in.out.out {
				in.out.touched = true
			}
		}
	}
}

func (r *replay) forget(edge uint64) {
	for name, in := range r.inputs {
		if in.last != nil && in.seen+seconds(r.m.staleness) < seconds(edge) {
			counted := in.counted
			if !isDelta(in.last.kind) && !levelled(in.last.kind) {
				counted = in.last.time
			}
			r.inputs[name] = &memory{counted: counted}
		}
	}
}

func (r *replay) flush(edge uint64) {
	r.age(edge, 0)
	for key, l := range r.lives {
		live := 0
		for _, in := range r.inputs {
			if in.out == l && in.last != nil && !in.ended {
				live++
			}
		}
		hasValue := !levelled(l.kind) || live > 0
		cumulative := !isDelta(l.kind)
		switch {
		case edge < l.emitted+1e6, cumulative && l.kind != c.Gauge && edge <= l.start:
		case l.touched && hasValue:
			r.show(l, edge)
		case live == 0 && seconds(edge) >= l.grace:
			if l.shown {
				r.end(l, edge)
			}
			delete(r.lives, key)
		case cumulative && l.shown && l.in > l.out && hasValue && edge-l.emitted >= r.m.heartbeat:
			r.show(l, edge)
		}
	}
	r.forget(edge)
	r.latest = edge
}

func (r *replay) end(l *life, at uint64) {
	r.result[l.name] = append(r.result[l.name], shown{kind: l.kind, rule: l.rule, stale: true, time: at})
	r.gone[l.name] = at
}

func (r *replay) show(l *life, at uint64) {
	s := shown{kind: l.kind, rule: l.rule, start: l.start, time: at, bounds: l.bounds, scale: l.scale, double: l.double, value: cells{}}
	s.value.add(l.grown)
	switch {
	case isDelta(l.kind):
		s.start = max(l.first, l.emitted)
		if s.start == 0 || s.start >= at {
			s.start = max(r.latest, l.emitted)
		}
		if s.start == 0 || s.start >= at {
			s.start = at
		}
		l.grown, l.first, l.double, l.scale = cells{}, 0, false, spatial.MaxScale
	case levelled(l.kind):
		s.float, s.double = r.level(l)
		if l.kind == c.Gauge {
			s.start = 0
		}
	}
	r.result[l.name] = append(r.result[l.name], s)
	l.emitted, l.shown, l.touched = at, true, false
	l.out++
}

// level is the value of all live inputs at once.
func (r *replay) level(l *life) (*big.Float, bool) {
	var all []*raw
	double := false
	for _, in := range r.inputs {
		if in.out == l && in.last != nil && !in.ended {
			all = append(all, in.last)
			double = double || in.last.double
		}
	}
	sum, least, most, last := num(0), all[0].number(), all[0].number(), all[0]
	for _, p := range all {
		v := p.number()
		sum.Add(sum, v)
		if v.Cmp(least) < 0 {
			least = v
		}
		if v.Cmp(most) > 0 {
			most = v
		}
		if p.time > last.time || p.time == last.time && v.Cmp(last.number()) > 0 {
			last = p
		}
	}
	policy := spatial.PolicySum
	if l.kind == c.Gauge {
		policy = l.policy
	}
	switch policy {
	case spatial.PolicyMean:
		return sum.Quo(sum, num(float64(len(all)))), true
	case spatial.PolicyMin:
		return least, double
	case spatial.PolicyMax:
		return most, double
	case spatial.PolicyLast:
		return last.number(), double
	case spatial.PolicyCount:
		return num(float64(len(all))), false
	default:
		return sum, double
	}
}

func (r *replay) retire(rule c.RuleID, edge uint64) {
	r.age(edge, rule)
	for key, l := range r.lives {
		if l.rule != rule {
			continue
		}
		live := 0
		for _, in := range r.inputs {
			if in.out == l && in.last != nil && !in.ended {
				live++
			}
		}
		at := max(edge, l.start+1)
		if l.kind == c.Gauge || isDelta(l.kind) {
			at = edge
		}
		at = max(at, l.emitted+1e6)
		if l.touched && (!levelled(l.kind) || live > 0) {
			r.show(l, at)
			at += 1e6
		}
		if l.shown {
			r.end(l, at)
		}
		delete(r.lives, key)
	}
	for _, in := range r.inputs {
		if in.last != nil && !in.free && in.rule == rule { // also if its output ended before, or is that of another rule
			if in.out != nil && levelled(in.out.kind) && in.out.in > in.out.out && !in.ended {
				in.out.touched = true
			}
			in.out, in.free, in.freed = nil, true, r.turn
		}
	}
}

func near(a, b *big.Float) bool {
	d := new(big.Float).Sub(a, b)
	m := new(big.Float).Abs(a)
	f, _ := d.Abs(d).Float64()
	g, _ := m.Float64()
	return f <= 1e-9*math.Max(g, 1)
}
