package verdict

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/stats"
)

// unitMeasures are those that are known of a unit.
var unitMeasures = [measureCount]experiment.Measure{experiment.MeasureSeries, experiment.MeasurePoints, experiment.MeasureBytes}

const measureCount = 3

// maxUnits bounds the units that are followed. Those that come first stay.
const maxUnits = 4096

// firstTest is after how many looks of a window units are first compared; then
// after twice as many, and so on.
const firstTest = 4

// unit is one unit: what it did at the first weight step, when almost all of them
// are in the baseline, and what it does at the present one.
//
// Units that send nothing at the present step are left out: what a candidate silences
// is no saving.
type unit struct {
	Unit uint64
	// Before and After add up looks, SeenBefore and SeenAfter are how many. Series
	// are a level, of which the mean over these looks counts: an arm that sends every
	// other interval has not half the series.
	Before, After         [measureCount]float32
	SeenBefore, SeenAfter uint32
	// First and Moved are 1 if it was the candidate's at the first step, and if it
	// is at the present one.
	First, Moved uint8
}

// effect is the difference between the arms in the logarithm of a measure of a unit,
// with the errors of criteria and of guardrails. It is unknown before units were
// compared.
type effect struct {
	Criterion, Rail stats.Interval
	Known           uint32
}

// takeUnits adds a look to the window of the present step, and compares the arms if
// a comparison is planned.
//
// The windows are the same for all units, so what happens to all of them at a time,
// as with the time of day, is in both arms. Units that were the candidate's from the
// beginning have no pre-period and are left out later; they are compared only with
// those that were the baseline's at the same time, without a pre-period.
func (j *Judge) takeUnits(l Look) {
	first := j.Step == 0
	known, at := j.units, -1
	for i := range l.Units {
		u := &l.Units[i]
		if at = find(known, at+1, u.Unit); at < len(known) && known[at].Unit == u.Unit {
			known[at].take(u, first)
		} else if first && len(j.units) < maxUnits {
			fresh := unit{Unit: u.Unit}
			fresh.take(u, true)
			j.units = append(j.units, fresh)
		}
	}
	looks := &j.After
	if first {
		looks = &j.Before
		if len(j.units) > len(known) {
			j.units = sorted(j.units)
		}
	}
	if *looks++; *looks >= firstTest && bits.OnesCount32(*looks) == 1 && !j.ratioBreached() {
		j.compare(first)
	}
}

// find is where a unit is, or would be, in a sorted list; likely at a hint.
func find(list []unit, hint int, hash uint64) int {
	if hint < len(list) && list[hint].Unit == hash {
		return hint
	}
	low, high := 0, len(list)
	for low < high {
		if middle := int(uint(low+high) >> 1); list[middle].Unit < hash {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// sorted sorts by the hashes, and makes one of what was there twice.
func sorted(list []unit) []unit {
	slices.SortFunc(list, func(a, b unit) int { return cmp.Compare(a.Unit, b.Unit) })
	merged := list[:1]
	for _, u := range list[1:] {
		last := &merged[len(merged)-1]
		if u.Unit != last.Unit {
			merged = append(merged, u)
			continue
		}
		last.First |= u.First
		last.SeenBefore += u.SeenBefore
		for m := range u.Before {
			last.Before[m] += u.Before[m]
		}
	}
	return merged
}

func (u *unit) take(l *UnitLook, first bool) {
	window, seen := &u.After, &u.SeenAfter
	if first {
		window, seen = &u.Before, &u.SeenBefore
	}
	*seen++
	if l.Candidate && first {
		u.First = 1
	} else if l.Candidate {
		u.Moved = 1
	}
	for m, v := range [measureCount]float64{l.Series, l.Points, l.Bytes} {
		if v > 0 && v < 1e30 {
			window[m] += float32(v)
		}
	}
}

// compare compares the arms in all measures of units. Whether there are enough units
// does not depend on what they do, so a comparison that is left out uses no error.
func (j *Judge) compare(first bool) {
	j.Sides = [2]uint32{}
	counted := false
	for m := range j.Effects {
		baseline, candidate := j.sides(m, first)
		sides := [2]uint32{uint32(len(baseline)), uint32(len(candidate))} //nolint:gosec // at most maxUnits
		if sides[0]+sides[1] > j.Sides[0]+j.Sides[1] {
			j.Sides = sides
		}
		if min(len(baseline), len(candidate)) < stats.MinUnits {
			continue
		}
		if !counted {
			counted = true
			j.Tests++
		}
		e := &j.Effects[m]
		at := func(alpha float64) stats.Interval {
			return stats.Shift(baseline, candidate, stats.Spend(alpha, int(j.Tests)))
		}
		e.Criterion = e.Criterion.And(at(j.criterionAlpha()))
		e.Rail = e.Rail.And(at(j.railAlpha()))
		e.Known = 1
	}
}

// railAlpha is the error of one side of the guardrail that units decide.
func (j *Judge) railAlpha() float64 {
	for i := range j.rails {
		if j.rails[i].Measure == experiment.MeasureCost {
			return j.rails[i].side()
		}
	}
	return Alpha
}

// sides are the logarithms of a measure of the units of both arms, sorted, less what
// their pre-period explains.
func (j *Judge) sides(measure int, first bool) (baseline, candidate []float64) {
	var groups [2][]stats.Unit
	for i := range j.units {
		u := &j.units[i]
		if u.Before[measure] <= 0 || !first && (u.First == 1 || u.After[measure] <= 0) {
			continue
		}
		v := stats.Unit{Before: logOf(u.Before, u.SeenBefore, measure)}
		side := u.Moved
		if first {
			v, side = stats.Unit{After: v.Before}, u.First
		} else {
			v.After = logOf(u.After, u.SeenAfter, measure)
		}
		groups[side] = append(groups[side], v)
	}
	slope := stats.Slope(groups[0], groups[1])
	var sides [2][]float64
	for i, group := range groups {
		for _, v := range group {
			sides[i] = append(sides[i], v.After-slope*v.Before)
		}
		slices.Sort(sides[i])
	}
	return sides[0], sides[1]
}

func logOf(window [measureCount]float32, seen uint32, measure int) float64 {
	v := float64(window[measure])
	if unitMeasures[measure] == experiment.MeasureSeries {
		v /= float64(seen)
	}
	return math.Log(v)
}

// unitChange is the relative change of a measure of the typical unit. What a price
// model charges for is not known here: a cost is somewhere between the changes of
// all measures, so if it changes by more than a bound, so does one of them, and no
// error is to be shared (intersection–union test: Berger 1982, Technometrics 24).
func (j *Judge) unitChange(measure experiment.Measure, of func(effect) stats.Interval) (change stats.Interval, known bool) {
	for m, e := range j.Effects {
		if e.Known == 0 || measure != experiment.MeasureCost && measure != unitMeasures[m] {
			continue
		}
		v := of(e)
		v = stats.Interval{Value: math.Expm1(v.Value), Lower: math.Expm1(v.Lower), Upper: math.Expm1(v.Upper)}
		if !known {
			change, known = v, true
			continue
		}
		change.Lower, change.Upper = min(change.Lower, v.Lower), max(change.Upper, v.Upper)
		change.Value = (change.Value*float64(m) + v.Value) / float64(m+1)
	}
	change.Value = min(max(change.Value, change.Lower), change.Upper)
	return change, known
}
