package tagconsolidationprocessor

import (
	"fmt"
	"slices"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// verdict is what a point is in its stream.
type verdict int

const (
	refused   verdict = iota
	duplicate         // of the last one
	late              // older than the last one
	baseline          // where counting begins
	whole             // it counts in full: the first one, or after a reset
	increased         // it counts by what it has more than the last one
)

func (p *clearPoint) wellFormed() bool {
	if p.time == 0 || p.time > 1<<63-1 || p.start > p.time {
		return false
	}
	return !p.malformed
}

// growth says by how much the stream of a point grew.
func (l *ledger) growth(rule *knownRule, in *memory, p *clearPoint) (amount, verdict) {
	if p.time == 0 || p.time > 1<<63-1 || p.start > p.time || p.malformed && (isDelta(p.kind) || p.kind == consolidation.CumulativeUpDown) {
		return amount{}, refused
	}
	switch {
	case isDelta(p.kind) && in.last != nil && p.time == in.until && p.start == in.last.start:
		return amount{}, duplicate
	case isDelta(p.kind) && p.time <= in.until:
		return p.value, late
	case isDelta(p.kind):
		return p.value, whole
	case in.last == nil:
		return l.firstGrowth(rule, in, p)
	case p.time < in.until:
		return amount{}, late
	case p.time == in.until:
		return amount{}, duplicate
	case p.malformed:
		return amount{}, refused
	case isLevel(p.kind):
		return p.value, whole
	case p.start > in.last.time && p.start < p.time:
		return p.value, whole
	}
	return p.since(in.last)
}

// firstGrowth counts the first point of a stream in full only if it is certain
// that the stream began under the rule's eyes, and nobody counted it before.
func (l *ledger) firstGrowth(rule *knownRule, in *memory, p *clearPoint) (amount, verdict) {
	if isLevel(p.kind) {
		return p.value, whole
	}
	// After a crash nobody knows who came and went since the last checkpoint.
	// What they counted is in no output but those that began later.
	unknown := l.restart > 0 && in.out.start > l.complete && in.out.start != l.watchedSince(rule, p) && p.start <= l.restart
	if p.start == 0 || p.start == p.time || p.start < l.watchedSince(rule, p) || p.start <= in.counted || unknown {
		return amount{}, baseline
	}
	return p.value, whole
}

func (l *ledger) watchedSince(rule *knownRule, p *clearPoint) uint64 {
	if since, known := l.activation[rule.key]; known {
		return since
	}
	return p.now
}

// since is what a point has more than an earlier one; if it has less anywhere
// the stream began again.
func (p *clearPoint) since(last *clearPoint) (amount, verdict) {
	now, before := &p.value, &last.value
	grown := amount{double: now.double || before.double}
	if now.measured.sum != nil && before.measured.sum != nil {
		grown.measured.sum = minus(now.measured.sum, before.measured.sum)
	}
	switch {
	case now.classic != nil:
		if now.measured.count < before.measured.count {
			return *now, whole
		}
		bounds, some := shared(now.classic.bounds(), before.classic.bounds())
		if !some {
			return amount{}, baseline
		}
		grown.classic = now.classic.over(bounds)
		for upper, n := range before.classic.over(bounds) {
			if grown.classic[upper] < n {
				return *now, whole
			}
			grown.classic[upper] -= n
			grown.measured.count += grown.classic[upper]
		}
	case now.exponents != nil:
		_, stored := meet(emptyExponents(), before.exponents, widest)
		after, known := meet(now.exponents, stored.unscaled(), widest)
		var ok bool
		if grown.exponents, ok = after.minus(known); !ok {
			return *now, whole
		}
		grown.measured.count = grown.exponents.count()
	case now.number.Cmp(before.number) < 0:
		return *now, whole
	default:
		grown.number = minus(now.number, before.number)
	}
	return grown, increased
}

// add lets an output grow.
func (l *ledger) add(in *memory, p *clearPoint, grown amount, v verdict) {
	o := in.out
	if isCumulative(p.kind) { // nobody knows them for an interval
		grown.measured.min, grown.measured.max = nil, nil
	}
	switch {
	case isLevel(p.kind):
	case p.value.classic != nil:
		if v == baseline {
			grown = amount{classic: classic{}.over(p.value.classic.bounds())}
		}
		o = l.addClassic(in, p, &grown)
	case p.value.exponents != nil:
		o.addExponents(&grown)
	default:
		o.double = o.double || p.value.double || grown.double
		if grown.number != nil {
			o.number = plus(o.number, grown.number)
		}
	}
	if isDelta(p.kind) && p.start != 0 && (o.first == 0 || p.start < o.first) {
		o.first = p.start
	}
}

// addClassic brings an output to the bounds that all share. A histogram that
// shares none feeds another output of the same stream.
func (l *ledger) addClassic(in *memory, p *clearPoint, grown *amount) *life {
	o, bounds := in.out, grown.classic.bounds()
	if !o.shaped {
		o.shaped, o.bounds = true, bounds
	}
	common, some := shared(o.bounds, bounds)
	if !some {
		variant := fmt.Sprint(p.value.classic.bounds())
		if o.variant == variant {
			return o
		}
		key := lifeKey(o.name, variant)
		if l.lives[key] == nil {
			l.lives[key] = l.begin(o.name, variant, o.rule, o.kind, o.start)
		}
		in.out = l.lives[key]
		return l.addClassic(in, p, grown)
	}
	o.bounds = common
	o.classic = o.classic.over(common)
	for upper, n := range grown.classic.over(common) {
		o.classic[upper] += n
	}
	o.gains.add(grown.measured)
	if m := &p.value.measured; !isDelta(p.kind) && grown.measured.count == 0 && m.count > 0 && m.sum == nil {
		o.gains.noSum = true // as its first measurement will make it
	}
	return o
}

// addExponents brings an output to the smaller scale and the larger zero
// bucket. What grew by nothing has no influence, unless it is a delta.
func (o *life) addExponents(grown *amount) {
	if grown.exponents == nil || isCumulative(o.kind) && grown.measured.count == 0 {
		return
	}
	_, x := meet(emptyExponents(), grown.exponents, widest)
	if isDelta(o.kind) {
		x = grown.exponents
	}
	mine, theirs := meet(o.exponents, x, widest)
	o.exponents = mine.plus(theirs)
	o.gains.add(grown.measured)
}

// level is the value of all live inputs of an output.
func (l *ledger) level(o *life) amount {
	var all []*clearPoint
	for _, in := range l.inputs {
		if in.out == o && !in.ended {
			all = append(all, in.last)
		}
	}
	policy := "sum"
	if o.kind == consolidation.Gauge {
		policy = string(o.rule.Gauge)
	}
	value := amount{number: exact(0)}
	for _, p := range all {
		value.double = value.double || p.value.double
		value.number = plus(value.number, p.value.number)
	}
	bySize := func(a, b *clearPoint) int { return a.value.number.Cmp(b.value.number) }
	switch policy {
	case "mean":
		value.double = true
		value.number.Quo(value.number, exact(float64(len(all))))
	case "min":
		value.number = slices.MinFunc(all, bySize).value.number
	case "max":
		value.number = slices.MaxFunc(all, bySize).value.number
	case "last":
		value.number = slices.MaxFunc(all, func(a, b *clearPoint) int {
			if a.time != b.time {
				return int(int64(a.time - b.time))
			}
			return bySize(a, b)
		}).value.number
	case "count":
		value = amount{number: exact(float64(len(all)))}
	}
	return value
}
