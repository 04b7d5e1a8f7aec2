package tagconsolidationprocessor

import (
	"maps"
	"math/big"
	"slices"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// age ends the inputs that sent nothing for the staleness; of one rule, or of
// all.
func (l *ledger) age(edge uint64, rule string) {
	for _, in := range l.inputs {
		if rule != "" && (!l.feeds(in) || in.out.rule.key != rule) {
			continue
		}
		if in.last != nil && in.seen+seconds(l.staleness) < seconds(edge) {
			l.leave(in)
			in.ended = true
		}
	}
}

// forget lets the inputs go that sent nothing for the staleness.
func (l *ledger) forget(edge uint64) {
	for name, in := range l.inputs {
		if in.last == nil || in.seen+seconds(l.staleness) >= seconds(edge) {
			continue
		}
		counted := in.counted
		if isCumulative(in.last.kind) {
			counted = max(counted, in.last.time)
		}
		l.inputs[name] = &memory{counted: counted}
	}
}

// live counts the inputs of an output.
func (l *ledger) live(o *life) int {
	n := 0
	for _, in := range l.inputs {
		if in.out == o && in.last != nil && !in.ended {
			n++
		}
	}
	return n
}

// flush is what is shown at an edge.
func (l *ledger) flush(edge uint64) (out []*expected) {
	l.age(edge, "")
	for _, key := range slices.Sorted(maps.Keys(l.lives)) {
		o := l.lives[key]
		live := l.live(o)
		hasValue := !isLevel(o.kind) || live > 0
		switch {
		case edge < o.emitted+1e6 || !isDelta(o.kind) && edge <= o.start:
		case o.touched && hasValue:
			out = append(out, l.show(o, edge))
		case live == 0 && seconds(edge) >= o.grace:
			if o.shown {
				out = append(out, l.finish(o, edge))
			}
			delete(l.lives, key)
		case !isDelta(o.kind) && o.shown && o.credit > 0 && hasValue && edge-o.emitted >= l.heartbeat:
			out = append(out, l.show(o, edge))
		}
	}
	l.forget(edge)
	l.flushed = edge
	return out
}

func (l *ledger) finish(o *life, at uint64) *expected {
	l.gone[o.key()] = max(l.gone[o.key()], at)
	return &expected{name: o.name, variant: o.variant, rule: o.rule, kind: o.kind, stale: true, time: at, start: o.start}
}

func (l *ledger) show(o *life, at uint64) *expected {
	e := &expected{name: o.name, variant: o.variant, rule: o.rule, kind: o.kind, start: o.start, time: at}
	switch {
	case isLevel(o.kind):
		e.value = l.level(o)
	case classicKind(o.kind) || o.kind == consolidation.Summary:
		e.value = amount{measured: o.gains.view(), classic: maps.Clone(o.classic)}
	case o.exponents.hasBuckets() || o.kind == consolidation.DeltaExponential || o.kind == consolidation.CumulativeExponential:
		e.value = amount{measured: o.gains.view(), exponents: o.exponents.at(o.exponents.scale, o.exponents.zero)}
	default:
		e.value = amount{number: plus(o.number, exact(0)), double: o.double}
	}
	if isDelta(o.kind) {
		e.start = o.windowStart(l.flushed, at)
		o.drain()
	}
	if o.floor != nil {
		o.raise(e)
	}
	o.emitted, o.shown, o.touched = at, true, false
	o.credit = max(0, o.credit-1)
	return e
}

// windowStart is where the deltas of an interval begin: at the earliest start
// that was given, else at the latest edge, and never before the last emission.
func (o *life) windowStart(flushed, at uint64) uint64 {
	start := max(o.first, o.emitted)
	if start == 0 || start >= at {
		start = max(flushed, o.emitted)
	}
	if start == 0 || start >= at {
		return at
	}
	return start
}

// drain forgets the deltas that were shown; bounds stay.
func (o *life) drain() {
	o.first, o.number, o.double, o.gains, o.exponents = 0, nil, false, gains{}, emptyExponents()
	if o.shaped {
		o.classic = classic{}.over(o.bounds)
	}
}

// raise lets nothing fall below what was shown since a crash or before, until
// that is reached everywhere.
func (o *life) raise(e *expected) {
	f, behind := o.floor, false
	switch {
	case f.classic != nil:
		common, some := shared(f.classic.bounds(), e.value.classic.bounds())
		counts := e.value.classic.over(common)
		behind = sumBehind(f, &e.value)
		for upper, n := range f.classic.over(common) {
			if counts[upper] < n {
				counts[upper], behind = n, true
			}
		}
		if behind = behind && some; behind {
			e.value.classic = counts
		}
	case f.exponents != nil:
		was, is := meet(f.exponents.unscaled(), e.value.exponents.unscaled(), 1<<14)
		behind = sumBehind(f, &e.value)
		if behind = is.atLeast(was) || behind; behind {
			e.value.exponents = is
		}
	default:
		if e.value.number.Cmp(f.number) < 0 {
			e.value.number, e.value.double = f.number, f.double
		}
		return
	}
	if !behind {
		o.floor = nil
		return
	}
	e.value.measured = measured{count: e.value.count(), sum: larger(f.measured.sum, e.value.measured.sum)}
	o.floor = &e.value
}

// larger is the larger sum, if both are known.
func larger(a, b *big.Float) *big.Float {
	switch {
	case a == nil || b == nil:
		return nil
	case a.Cmp(b) > 0:
		return a
	}
	return b
}

// sumBehind says whether a sum of measurements is less than it was. One that is
// negative, too, may be.
func sumBehind(was, is *amount) bool {
	then, now := was.measured.sum, is.measured.sum
	negative := is.exponents != nil && len(is.exponents.sides[1]) > 0
	return !negative && then != nil && now != nil && now.Cmp(then) < 0
}

// retire ends the outputs of a rule: a last point, if anything came since the
// latest one, and a stale marker. The inputs stay, without an output.
func (l *ledger) retire(rule string, edge uint64) (out []*expected) {
	if _, watched := l.activation[rule]; watched { // not one in preview
		l.changed = max(l.changed, edge, l.latest)
	}
	delete(l.activation, rule)
	l.age(edge, rule)
	for _, key := range slices.Sorted(maps.Keys(l.lives)) {
		o := l.lives[key]
		if o.rule.key != rule {
			continue
		}
		at := max(edge, o.start+1, o.emitted+1e6) // databases keep milliseconds
		if o.touched && (!isLevel(o.kind) || l.live(o) > 0) {
			out = append(out, l.show(o, at))
			at += 1e6
		}
		if o.shown {
			out = append(out, l.finish(o, at))
		}
		delete(l.lives, key)
	}
	for _, in := range l.inputs {
		if in.last != nil && in.rule == rule && in.freed == 0 {
			l.leave(in)
			in.out, in.freed = nil, l.turns
		}
	}
	return out
}

// restored is the ledger of a process that takes up what an earlier one left:
// the last checkpoint, and what was shown since. complete is the latest edge of
// which the storage says that all of it was sent.
func (l *ledger) restored(now, complete uint64, rules []*knownRule) *ledger {
	r := l.saved.copied()
	r.turns = l.turns + 1
	r.past, r.knows = nil, r.turns
	r.rules.rules, r.pending, r.hasPending = rules, nil, false
	for _, in := range r.inputs {
		in.seen = seconds(now)
	}
	if r.restart == 0 { // else what the first process after the crash knew holds on
		r.complete = r.flushed
		for _, ended := range r.gone {
			r.complete = max(r.complete, ended)
		}
	}
	for _, o := range r.lives {
		o.grace = seconds(now) + seconds(l.staleness)
		o.exponents = o.exponents.unscaled() // what has no buckets is stored without a scale
		if isDelta(o.kind) && complete > r.flushed {
			o.drain()
			o.touched, o.emitted = false, max(o.emitted, complete)
		}
	}
	r.flushed = max(r.flushed, complete)
	latest := map[string]*expected{} // by output and rule
	for _, e := range l.journal {
		if e.actual == nil || e.actual.journaled {
			r.restart = now
			latest[e.key()+e.rule.key] = e
		}
	}
	for _, e := range l.journal {
		if latest[e.key()+e.rule.key] == e {
			r.shownBefore(e.key(), e, now)
		}
	}
	for _, b := range l.based {
		if b.turn.begun || complete >= b.turn.edge {
			r.basedBefore(b, now)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.activation)) {
		if !r.rules.enforced(key) {
			r.held = append(r.held, r.retire(key, now)...)
		}
	}
	r.watch(now)
	r.save()
	return r
}

// shownBefore takes up what an output showed last before a crash.
func (l *ledger) shownBefore(key string, e *expected, now uint64) {
	o := l.lives[key]
	if o != nil && (e.stale || o.start != e.start && o.start != 0 && !isDelta(e.kind)) {
		for name, in := range l.inputs {
			if in.out != o {
				continue
			}
			// What it counted until now is in no checkpoint.
			counted := in.counted
			if isCumulative(o.kind) {
				counted = now
			}
			l.inputs[name] = &memory{counted: counted}
		}
		delete(l.lives, key)
		o = nil
	}
	if e.stale {
		l.gone[key] = max(l.gone[key], e.time)
		return
	}
	if o == nil && isDelta(e.kind) {
		l.gone[key] = max(l.gone[key], e.time)
		return
	}
	if o == nil {
		o = l.begin(e.name, e.variant, e.rule, e.kind, e.start)
		o.start = e.start
		if e.value.classic != nil { // the bounds of the rule, or those that all inputs had
			o.shaped, o.bounds = true, e.value.classic.bounds()
			o.classic = classic{}.over(o.bounds)
		}
		l.lives[key] = o
	}
	o.emitted, o.shown, o.grace = max(o.emitted, e.time), true, seconds(now)+seconds(l.staleness)
	o.touched, o.credit = false, 0 // what the checkpoint had was shown
	switch {
	case isDelta(e.kind):
		o.drain()
		o.start = 0
	case isCumulative(e.kind):
		o.floor = &e.value
	}
}

// basedBefore takes up the base line of an input that came after the checkpoint,
// unless its output began again since: what it counted is in the former one.
func (l *ledger) basedBefore(b *baseLine, now uint64) {
	o, in := l.lives[b.out.key()], l.inputs[b.input]
	if in == nil {
		in = &memory{}
		l.inputs[b.input] = in
	}
	if in.last != nil && in.last.time >= b.point.time { // the checkpoint is later
		return
	}
	if o != nil && o.start != b.since || o == nil && l.gone[b.out.key()] > b.since {
		if in.last != nil {
			*in = memory{counted: now}
		}
		return
	}
	*in = memory{last: b.point, until: b.point.time, seen: seconds(now), rule: b.rule, out: o, counted: in.counted}
}
