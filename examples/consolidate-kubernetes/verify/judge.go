package main

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
)

// tolerance is how far a sum of fractions may be off, relative: doubles round
// at each addition.
const tolerance = 1e-9

// verdict is what was found.
type verdict struct {
	before, after int // series
	inputs        int // streams that rules took
	kept          int // label sets that are left of them
	compared      int // numbers of theirs
	untouched     int // streams that no rule took
	// difference is the largest difference that is no rounding.
	difference *big.Rat
	// rounding is the largest relative difference of a sum of fractions.
	rounding float64
	faults   []string
}

func (v *verdict) fault(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

// saving is which part of the series is gone.
func (v *verdict) saving() float64 { return 1 - float64(v.after)/float64(v.before) }

// judge compares what was exported with what was played.
func judge(t *tally, e *exported) *verdict {
	v := &verdict{difference: new(big.Rat), kept: len(t.kept)}
	for _, all := range t.series {
		v.before += len(all)
	}
	if len(e.resources) != 1 {
		v.fault("one server was played, %d were exported", len(e.resources))
	}
	for _, name := range slices.Sorted(maps.Keys(t.kept)) {
		k := t.kept[name]
		v.inputs += k.inputs
		if o := e.outputs[name]; o != nil {
			v.judgeHistory(name, o, k.gauge)
			v.judgeValues(name, o, k, t.expected(k))
		} else {
			v.fault("%s is missing", name)
		}
	}
	for name, in := range t.inputs {
		if in.into == nil {
			v.judgeUntouched(name, in, t, e)
		}
	}
	v.countAfter(t, e)
	slices.Sort(v.faults)
	return v
}

// countAfter counts the series of what was exported, but those of metrics that
// were not played: what the receiver says about its scrapes.
func (v *verdict) countAfter(t *tally, e *exported) {
	for name, o := range e.outputs {
		if !t.metrics[o.metric] {
			continue
		}
		if len(o.streams) > 1 {
			v.fault("%s is %d streams", name, len(o.streams))
		}
		if in := t.inputs[name]; t.kept[name] == nil && (in == nil || in.into != nil) {
			v.fault("%s must not be there", name)
		}
		all := map[number]bool{}
		for _, p := range o.points {
			if !p.stale {
				for n := range p.numbers {
					all[n] = true
				}
			}
		}
		v.after += len(all)
	}
}

// judgeHistory looks at an output over time: times that rise, and unless it is
// a gauge one start and values that never fall, whatever happened to its inputs
// or to the collector. Only an output that ended, with a stale marker because
// all its inputs were gone, may begin anew, where it ended or later.
func (v *verdict) judgeHistory(name string, o *output, gauge bool) {
	for i := 1; i < len(o.points); i++ {
		was, is := &o.points[i-1], &o.points[i]
		if is.time <= was.time {
			v.fault("%s: time %d is followed by %d", name, was.time, is.time)
		}
		switch {
		case gauge || is.stale:
		case was.stale:
			if is.start < was.time && is.start != was.start {
				v.fault("%s: ended at %d and began anew at %d", name, was.time, is.start)
			}
		case is.start != was.start:
			v.fault("%s: start %d is followed by %d", name, was.start, is.start)
		default:
			for n, now := range is.numbers {
				if now < was.numbers[n] {
					v.fault("%s: %s fell from %g to %g", name, n, was.numbers[n], now)
				}
			}
		}
	}
	if !gauge && len(o.points) > 0 && o.points[0].start == 0 {
		v.fault("%s has no start time", name)
	}
}

// judgeValues compares what an output grew by, or the last value of a gauge.
func (v *verdict) judgeValues(name string, o *output, k *kept, want map[number]*total) {
	p := o.latest()
	if p == nil {
		v.fault("%s has no value", name)
		return
	}
	got := o.increases()
	if k.gauge {
		got = (&output{points: []point{*p}}).increases()
	}
	for n := range p.numbers {
		if want[n] == nil {
			v.fault("%s: %s must not be there", name, n)
		}
	}
	for n, w := range want {
		if got[n] == nil {
			v.fault("%s: %s is missing", name, n)
			continue
		}
		v.compared++
		v.differ(fmt.Sprintf("%s: %s", name, n), w, got[n])
	}
}

func (v *verdict) differ(what string, want *total, got *big.Rat) {
	off := new(big.Rat).Sub(got, want.exact)
	if off.Sign() == 0 {
		return
	}
	wanted, _ := want.exact.Float64()
	is, _ := got.Float64()
	distance, _ := off.Abs(off).Float64()
	if want.fraction && wanted != 0 {
		if relative := distance / math.Abs(wanted); relative <= tolerance {
			v.rounding = max(v.rounding, relative)
			return
		}
	}
	if off.Cmp(v.difference) > 0 {
		v.difference.Set(off)
	}
	v.fault("%s is %g, want %g", what, is, wanted)
}

// judgeUntouched wants the last value as it came.
func (v *verdict) judgeUntouched(name string, in *input, t *tally, e *exported) {
	v.untouched++
	if t.latest[name] == nil {
		return // ended
	}
	o := e.outputs[name]
	if o == nil || o.latest() == nil {
		v.fault("%s is missing", name)
		return
	}
	got := o.latest().numbers
	for n, want := range in.last.numbers {
		if is, found := got[n]; !found || is != want && !(math.IsNaN(is) && math.IsNaN(want)) {
			v.fault("%s: %s is %g, want %g", name, n, is, want)
		}
	}
	if len(got) != len(in.last.numbers) {
		v.fault("%s has %d numbers, want %d", name, len(got), len(in.last.numbers))
	}
}
